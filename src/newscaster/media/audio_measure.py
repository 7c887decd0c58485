"""The level of audio, measured over all of it in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.media.audio import open_audio
from newscaster.types import AudioF32

MAX_MAGNITUDE = float(2**32)
"""Maximum magnitude of audio, 1.0 = full scale. Unscaled 32-bit integers are within it."""
_LOUD_FRACTION = 0.05
_LOWEST_DB, _HIGHEST_DB, _BINS_PER_DB = -120, 60, 2


@dataclass(frozen=True, slots=True)
class AudioMeasure:
    """The audio of a file, measured over its whole length. Levels are of the mono mix, 1.0 = full scale."""

    rate: int
    """Samples per second, as stored."""
    channels: int
    samples: int
    """Exact number of samples per channel at `rate`, gaps in the time stamps filled."""
    peak: float
    """Largest magnitude of the finite samples."""
    loud: float
    """The usual peak of loud passages, see :class:`PeakMeter`."""
    rms: float
    """Root mean square of the finite samples."""
    finite: bool
    """Whether every sample is a number (float files can hold NaN and infinity)."""

    @property
    def is_audio(self) -> bool:
        """Whether every sample is a number of at most MAX_MAGNITUDE."""
        return self.finite and self.peak <= MAX_MAGNITUDE

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return self.samples / self.rate


class PeakMeter:
    """The usual peak of the loud passages of audio that comes in blocks.

    One in twenty pieces of 40 ms has a higher peak, so a click or a bang does not count.

    Args:
        rate: in Hz.
    """

    def __init__(self, rate: int) -> None:
        self._piece = max(1, rate // 25)
        self._counts = np.zeros((_HIGHEST_DB - _LOWEST_DB) * _BINS_PER_DB, np.int64)
        self._rest: AudioF32 = np.zeros(0, np.float32)

    def push(self, samples: AudioF32) -> None:
        """Add the next samples: (n,) float32, finite."""
        samples = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        whole = len(samples) // self._piece * self._piece
        self._count(np.abs(samples[:whole]).reshape(-1, self._piece).max(axis=1))
        self._rest = samples[whole:].copy()

    def _count(self, peaks: AudioF32) -> None:
        with np.errstate(divide="ignore"):
            bins = np.ceil((20 * np.log10(peaks.astype(np.float64)) - _LOWEST_DB) * _BINS_PER_DB) - 1
        bins = np.clip(bins, 0, len(self._counts) - 1).astype(np.int64)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    @property
    def loud(self) -> float:
        """That peak, 1.0 = full scale, up to 0.5 dB too high; 0 in silence, and without a whole piece."""
        total = int(self._counts.sum())
        louder = np.cumsum(self._counts[::-1])
        if not total or self._counts[0] == total:
            return 0.0
        index = len(self._counts) - 1 - int(np.argmax(louder > _LOUD_FRACTION * total))
        return float(10 ** ((_LOWEST_DB + (index + 1) / _BINS_PER_DB) / 20))


def measure_audio(path: Path, *, watch: Callable[[float], None] | None = None) -> AudioMeasure:
    """Decode the audio once and measure it.

    Args:
        path: any file with audio.
        watch: called repeatedly with the seconds decoded so far; an exception of its ends the measurement.

    Raises:
        MediaError: the file is missing, has no audio, or breaks off.
    """
    with open_audio(Path(path)) as source:
        samples = finite_samples = 0
        peak = energy = 0.0
        meter = PeakMeter(source.rate)
        for block in source.mono_blocks():
            samples += len(block)
            if watch is not None:
                watch(samples / source.rate)
            with np.errstate(over="ignore"):
                total = float(np.dot(block, block))
            if not math.isfinite(total):  # a sample that is NaN or infinite, or too large to square
                block = block[np.isfinite(block)]
                total = float(np.dot(block.astype(np.float64), block))
            finite_samples += len(block)
            meter.push(block)
            energy += total
            if len(block):
                peak = max(peak, float(block.max()), -float(block.min()))
        return AudioMeasure(
            rate=source.rate,
            channels=source.channels,
            samples=samples,
            peak=peak,
            loud=meter.loud,
            rms=math.sqrt(energy / finite_samples) if finite_samples else 0.0,
            finite=finite_samples == samples,
        )
