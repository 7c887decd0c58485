"""Decoded audio as float32 of one rate and one number of channels, whatever changes on the way.

Broadcasts go from stereo to 5.1 and back, and recordings put end to end differ. The first frame sets rate and
layout, as in players; FFmpeg's resampler converts what differs (its usual downmix: ITU-R BS.775).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from newscaster.media.downmix import Downmix, Samples

_MAX_PLANES = 8
_READABLE = frozenset({"u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"})
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0}


class Conformer:
    """Converts frames to the rate and layout of the first one.

    Args:
        first: the frame that sets rate and layout.
    """

    def __init__(self, first: AudioFrame) -> None:
        self.rate: int = first.sample_rate
        self.channels: int = len(first.layout.channels)
        self.rate_changed = False
        """Whether a frame of another rate has come: demuxers that count samples are out of step from then."""
        self._layout = first.layout.name
        self._resampler = self._new_resampler(first)
        self._source = _format_of(first)
        self._downmix: Downmix | None = None

    def watch(self, frame: AudioFrame) -> None:
        """Note the rate of a frame that is about to be converted."""
        self.rate_changed |= frame.sample_rate != self.rate

    def convert(self, frame: AudioFrame) -> Iterator[Samples]:
        """(C, n) float32 blocks, full scale 1.0; a converted frame may come out a few samples later."""
        source = _format_of(frame)
        if source != self._source:
            yield from self.flush()
            self._source = source
            self._resampler = self._new_resampler(frame)
        if self._resampler is None:
            yield self._mapped(to_float(frame))
            return
        frame.pts = None  # the caller keeps the time
        for converted in self._resampler.resample(frame):
            yield self._mapped(to_float(converted))

    def flush(self) -> Iterator[Samples]:
        """What the conversion still holds; frames may follow."""
        if self._resampler is not None:
            for converted in self._resampler.resample(None):
                yield self._mapped(to_float(converted))
            self._resampler = None

    def _new_resampler(self, frame: AudioFrame) -> AudioResampler | None:
        """None if the frame has the rate, channels that need no downmix, and samples that NumPy can read."""
        layout = frame.layout.name
        if len(frame.layout.channels) > 2 and layout != self._layout:
            # Speech is in the centre of 5.1: a mean of the six channels would make it fade at the change.
            layout = self._layout if self.channels > 2 else "stereo"
        if (frame.sample_rate, frame.layout.name) == (self.rate, layout) and _is_readable(frame):
            return None
        return AudioResampler(format="flt", layout=layout, rate=self.rate)

    def _mapped(self, block: Samples) -> Samples:
        """The block with the first frame's channels: the downmix in all of them if the number differs."""
        if len(block) == self.channels:
            return block
        if self._downmix is None or self._downmix.channels != len(block):
            self._downmix = Downmix(len(block), self.rate)
        return np.repeat(self._downmix.mix(block)[None], self.channels, axis=0)


def _format_of(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _is_readable(frame: AudioFrame) -> bool:
    """Whether PyAV can make an array of a frame.

    It cannot of 64-bit integers, and it reads past the end of the pointers to eight planes or more.
    """
    layout, kind = frame.layout, frame.format
    return kind.name in _READABLE and not (kind.is_planar and len(layout.channels) >= _MAX_PLANES)


def to_float(frame: AudioFrame) -> Samples:
    """(C, n) float32, full scale 1.0, of a frame in any sample format."""
    data = frame.to_ndarray()
    name = frame.format.name
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    kind = name.removesuffix("p")
    if kind in _FULL_SCALE:
        scale = _FULL_SCALE[kind]
        block: Samples = data.astype(np.float32) - (scale if kind == "u8" else 0.0)
        return block / np.float32(scale)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(data, dtype=np.float32)
