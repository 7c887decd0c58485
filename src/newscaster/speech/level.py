r"""The level of speech: how quiet it may be, and the gain that brings quiet speech to the usual level.

The one place for both, so that what is accepted as speech also moves the mouth: voice activity and the motion
network work on levelled samples, in files and in streams.

::

    samples     ..||..||..||..||..||       |||||||||    quiet speech, then speech at the usual level
    envelope    __________________________/^^^^^^^^^    the peak; held, then falling
    gain        --------------------------\_________    TARGET_DBFS over the envelope, never below 1
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newscaster.speech.spectral import SAMPLE_RATE, Floats

QUIETEST_DBFS = -60.0
"""Speech whose loudest sample lies below this is taken for silence."""
TARGET_DBFS = -6.0
"""Peak that quieter speech is brought to. Voice activity misses some voices whose peaks lie below -12 dBFS,
and most below -48."""
_HOLD_STEPS = 50
"""Steps (2 s) that the envelope stays after a peak within 6 dB of it: pauses between words and sentences."""
_FALL_DB_PER_SECOND = 6.0
_STEP_SAMPLES = SAMPLE_RATE // 25
_QUIETEST = 10 ** (QUIETEST_DBFS / 20)
_TARGET = 10 ** (TARGET_DBFS / 20)
_FALL = 10 ** (-_FALL_DB_PER_SECOND * _STEP_SAMPLES / SAMPLE_RATE / 20)


def level_dbfs(peak: float) -> float:
    """A magnitude in dB relative to full scale, 1.0; -inf for 0."""
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def loud_peak(samples: Floats, rate: int = SAMPLE_RATE) -> float:
    """The usual peak of the loud passages of (N,) float32 samples, 1.0 = full scale; 0 in silence."""
    from newscaster.media import PeakMeter  # with PyAV, which speech is imported without

    meter = PeakMeter(rate)
    meter.push(samples)
    return meter.loud


def is_silence(samples: NDArray[np.floating[Any]]) -> bool:
    """Whether none of the samples reaches QUIETEST_DBFS, if there are any."""
    return not samples.size or float(np.abs(samples).max()) < _QUIETEST


class Leveller:
    """Brings quiet speech to the usual level as it comes in; what is loud enough stays as it is.

    Nothing is delayed: the gain of a sample depends on it and on earlier ones. It falls at once when louder
    samples come, so that no peak is raised above TARGET_DBFS; it rises 2 s after the last peak, by 6 dB per
    second. Voice activity does not take raised noise for speech, and the mouth rests where there is none.

    Args:
        loud: peak of loud passages, 1.0 = full scale, if it is known before: it sets the gain of the first
            samples. Otherwise they are raised as the quietest speech is, until louder ones come.
    """

    def __init__(self, loud: float = 0.0) -> None:
        self._envelope = max(_QUIETEST, loud)
        self._peak = 0.0  # of the step so far
        self._in_step = 0  # samples of it
        self._held = 0  # steps since the last peak

    def push(self, samples: Floats) -> Floats:
        """Levelled samples (n,) of (n,) float32 mono at 16 kHz; independent of how the audio was cut."""
        levelled = np.empty_like(samples)
        first = 0
        while first < len(samples):
            stop = min(len(samples), first + _STEP_SAMPLES - self._in_step)
            levelled[first:stop] = self._part(samples[first:stop])
            first = stop
        return levelled

    def _part(self, samples: Floats) -> Floats:
        """Samples of one step."""
        magnitudes = np.abs(samples)
        envelope: np.float32 | Floats
        peak = float(magnitudes.max())
        if peak <= self._envelope:
            envelope = np.float32(self._envelope)
        else:
            magnitudes[0] = max(float(magnitudes[0]), self._envelope)
            envelope = np.maximum.accumulate(magnitudes)
            self._envelope = peak
        gains = np.maximum(np.float32(1), np.float32(_TARGET) / envelope)
        self._peak = max(self._peak, peak)
        self._in_step += len(samples)
        if self._in_step == _STEP_SAMPLES:
            self._end_step()
        return np.asarray(samples * gains, np.float32)

    def _end_step(self) -> None:
        self._held = 0 if self._peak > self._envelope / 2 else self._held + 1
        if self._held > _HOLD_STEPS:
            self._envelope = max(_QUIETEST, self._envelope * _FALL)
        self._peak, self._in_step = 0.0, 0
