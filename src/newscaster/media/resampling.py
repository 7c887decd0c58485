"""Mono audio at another rate, all at once or as it arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from newscaster.types import AudioF32


class Resampler:
    """A streaming resampler; the first sample keeps its time.

    The output lags the input by a few samples of filter; `flush` returns the rest.

    Args:
        source_rate: of the input, in Hz.
        rate: of the output, in Hz.
    """

    def __init__(self, source_rate: int, rate: int) -> None:
        self._source_rate = source_rate
        same = source_rate == rate
        self._resampler = None if same else AudioResampler(format="flt", layout="mono", rate=rate)

    def blocks(self, samples: AudioF32 | None) -> Iterator[AudioF32]:
        """Push (n,) samples, or None at the end, and yield the blocks (n,) float32 that are ready."""
        if self._resampler is None:
            if samples is not None:
                yield samples
            return
        for frame in self._resampler.resample(
            None if samples is None else _mono_frame(samples, self._source_rate)
        ):
            yield frame.to_ndarray()[0].astype(np.float32, copy=False)

    def push(self, samples: AudioF32) -> AudioF32:
        """Push (n,) samples; return those that are ready, float32."""
        return np.concatenate([np.zeros(0, np.float32), *self.blocks(samples)]) if len(samples) else samples

    def flush(self) -> AudioF32:
        """Return the rest; nothing can be pushed after it."""
        return np.concatenate([np.zeros(0, np.float32), *self.blocks(None)])


def resample(blocks: Iterator[AudioF32], source_rate: int, rate: int) -> Iterator[AudioF32]:
    """Yield (n,) float32 blocks at another rate; the first sample keeps its time."""
    if source_rate == rate:
        yield from blocks
        return
    resampler = Resampler(source_rate, rate)
    for block in blocks:
        yield from resampler.blocks(block)
    yield from resampler.blocks(None)


def _mono_frame(block: AudioF32, rate: int) -> AudioFrame:
    """Return an FFmpeg frame of (n,) float32 samples."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(block[None]), format="flt", layout="mono")
    frame.sample_rate = rate
    return frame
