r"""The level of speech: its minimum, and the gain that raises quiet speech to the usual level.

Voice activity and the motion network use the same levelled samples, in files and in streams. So all audio
that is accepted as speech also moves the mouth.

::

    samples     ..||..||..||..||..||       |||||||||    quiet speech, then speech at the usual level
    envelope    __________________________/^^^^^^^^^    the peak; held, then falling
    gain        --------------------------\_________    TARGET_DBFS over the envelope, never below 1
"""

from __future__ import annotations

import math

import numpy as np

from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayF32, ArrayFloat

QUIETEST_DBFS = -60.0
"""Audio whose loudest sample lies below this counts as silence."""
TARGET_DBFS = -6.0
"""Peak of quiet speech after levelling. Voice activity misses some voices whose peaks lie below -12 dBFS, and
most below -48."""
_HOLD_STEPS = 50
"""Steps (2 s) for which the envelope holds after a peak within 6 dB of it, to bridge pauses in speech."""
_FALL_DB_PER_SECOND = 6.0
_STEP_SAMPLES = SAMPLE_RATE // 25
_QUIETEST = 10 ** (QUIETEST_DBFS / 20)
_TARGET = 10 ** (TARGET_DBFS / 20)
_FALL = 10 ** (-_FALL_DB_PER_SECOND * _STEP_SAMPLES / SAMPLE_RATE / 20)


def level_dbfs(peak: float) -> float:
    """Convert a magnitude to dB relative to full scale, 1.0; -inf for 0."""
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def loud_peak(samples: ArrayF32, rate: int = SAMPLE_RATE) -> float:
    """Return the typical peak of the loud passages of (N,) float32 samples; 1.0 = full scale."""
    from newscaster.media import PeakMeter  # lazy: imports PyAV

    meter = PeakMeter(rate)
    meter.push(samples)
    return meter.loud


def is_silence(samples: ArrayFloat) -> bool:
    """Return whether no sample reaches QUIETEST_DBFS."""
    return not samples.size or float(np.abs(samples).max()) < _QUIETEST


class Leveller:
    """A streaming leveller: it raises quiet speech to the usual level and leaves loud speech unchanged.

    It adds no delay: the gain of a sample depends on it and on earlier ones. The gain falls at once when
    louder samples arrive, so that no peak is raised above TARGET_DBFS; it rises 2 s after the last peak, by
    6 dB per second. Voice activity rejects raised noise, and the mouth rests without speech.

    Args:
        loud: peak of loud passages, 1.0 = full scale, if known in advance: it sets the gain of the first
            samples. Otherwise they get the gain of the quietest speech, until louder samples arrive.
    """

    def __init__(self, loud: float = 0.0) -> None:
        self._envelope = max(_QUIETEST, loud)
        self._peak = 0.0  # of the step so far
        self._in_step = 0  # samples of it
        self._held = 0  # steps since the last peak

    def successor(self) -> Leveller:
        """Return a leveller for later speech of the same voice: it starts with the level of this one."""
        other = Leveller(self._envelope)
        other._held = self._held
        return other

    def push(self, samples: ArrayF32) -> ArrayF32:
        """Level (n,) float32 mono samples at 16 kHz. The result does not depend on the chunking."""
        levelled = np.empty_like(samples)
        first = 0
        while first < len(samples):
            stop = min(len(samples), first + _STEP_SAMPLES - self._in_step)
            levelled[first:stop] = self._part(samples[first:stop])
            first = stop
        return levelled

    def _part(self, samples: ArrayF32) -> ArrayF32:
        """Level samples of one step."""
        magnitudes = np.abs(samples)
        envelope: np.float32 | ArrayF32
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
