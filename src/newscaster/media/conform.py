"""Decoded audio as float32 of one rate and one number of channels, whatever changes on the way.

Broadcasts go from stereo to 5.1 and back, and recordings put end to end differ. The first frame sets rate and
layout, as in players; FFmpeg's resampler converts what differs (its usual downmix: ITU-R BS.775).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

Samples = npt.NDArray[np.float32]

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
        self._resampler: AudioResampler | None = None
        self._source = _format_of(first)

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
        """None if the frame has the rate, and channels that need no downmix."""
        layout = frame.layout.name
        if len(frame.layout.channels) > 2 and layout != self._layout:
            # Speech is in the centre of 5.1: a mean of the six channels would make it fade at the change.
            layout = self._layout if self.channels > 2 else "stereo"
        if (frame.sample_rate, frame.layout.name) == (self.rate, layout):
            return None
        return AudioResampler(format="flt", layout=layout, rate=self.rate)

    def _mapped(self, block: Samples) -> Samples:
        """The block with the first frame's channels: the mean in all of them if the number differs."""
        if len(block) == self.channels:
            return block
        return np.repeat(block.mean(axis=0, dtype=np.float32, keepdims=True), self.channels, axis=0)


def _format_of(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


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
