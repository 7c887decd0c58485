"""Decoded audio as float32 of one rate and one number of channels, even if they change within the file.

Broadcasts switch between stereo and 5.1, and concatenated recordings differ. The first frame sets rate and
layout, as in players. FFmpeg's resampler converts later frames that differ (its usual downmix: ITU-R BS.775).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from newscaster.media.downmix import Downmix
from newscaster.types import AudioF32

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
        """Whether a frame of another rate has come: from then on, demuxers that count samples are off."""
        self._layout = first.layout.name
        self._resampler = self._new_resampler(first)
        self._source = _format_of(first)
        self._downmix: Downmix | None = None

    def watch(self, frame: AudioFrame) -> None:
        """Record the rate of a frame before it is converted."""
        self.rate_changed |= frame.sample_rate != self.rate

    def convert(self, frame: AudioFrame) -> Iterator[AudioF32]:
        """Yield (C, n) float32 blocks, full scale 1.0; the resampler may delay them by a few samples."""
        source = _format_of(frame)
        if source != self._source:
            yield from self.flush()
            self._source = source
            self._resampler = self._new_resampler(frame)
        if self._resampler is None:
            yield self._map_channels(to_float(frame))
            return
        frame.pts = None  # the caller keeps the time
        for converted in self._resampler.resample(frame):
            yield self._map_channels(to_float(converted))

    def flush(self) -> Iterator[AudioF32]:
        """Yield the samples that the resampler holds; more frames may follow."""
        if self._resampler is not None:
            for converted in self._resampler.resample(None):
                yield self._map_channels(to_float(converted))
            self._resampler = None

    def _new_resampler(self, frame: AudioFrame) -> AudioResampler | None:
        """Return None if the frame has the rate, needs no downmix, and has samples that NumPy can read."""
        layout = frame.layout.name
        if len(frame.layout.channels) > 2 and layout != self._layout:
            # Speech is in the centre of 5.1: the mean of six channels would make it quieter at the change.
            layout = self._layout if self.channels > 2 else "stereo"
        if (frame.sample_rate, frame.layout.name) == (self.rate, layout) and _is_readable(frame):
            return None
        return AudioResampler(format="flt", layout=layout, rate=self.rate)

    def _map_channels(self, block: AudioF32) -> AudioF32:
        """Return the block with the first frame's number of channels: each is the downmix if it differs."""
        if len(block) == self.channels:
            return block
        if self._downmix is None or self._downmix.channels != len(block):
            self._downmix = Downmix(len(block), self.rate)
        return np.repeat(self._downmix.mix(block)[None], self.channels, axis=0)


def _format_of(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _is_readable(frame: AudioFrame) -> bool:
    """Return whether PyAV can convert a frame to an array.

    It cannot convert 64-bit integers. With eight planes or more, it reads past the end of their pointers.
    """
    layout, kind = frame.layout, frame.format
    return kind.name in _READABLE and not (kind.is_planar and len(layout.channels) >= _MAX_PLANES)


def to_float(frame: AudioFrame) -> AudioF32:
    """Convert a frame of any sample format to (C, n) float32, full scale 1.0."""
    data = frame.to_ndarray()
    name = frame.format.name
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    kind = name.removesuffix("p")
    if kind in _FULL_SCALE:
        scale = _FULL_SCALE[kind]
        block: AudioF32 = data.astype(np.float32) - (scale if kind == "u8" else 0.0)
        return block / np.float32(scale)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(data, dtype=np.float32)
