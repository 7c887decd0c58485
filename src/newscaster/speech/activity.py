"""When somebody speaks: a simple detector by energy, for reports and gates; no network, no training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from newscaster.speech.level import is_silence
from newscaster.speech.spectral import SAMPLE_RATE, Floats

_STEP_SAMPLES = SAMPLE_RATE // 25
_NOISE_STEPS = 125
"""Reach of the noise floor to either side: 5 seconds, which hold a pause in any running speech."""
_ABOVE_NOISE_DB = 8.0
_BELOW_SPEECH_DB = 35.0
_STEADY_DB = 6.0
_SMALLEST_POWER = 1e-12
"""Power of digital silence, in place of 0: below the noise of 16-bit audio."""
_HANGOVER_STEPS = 3
"""Steps (120 ms) that speech reaches over at either end: closures and soft ends belong to it."""
MIN_SPEECH_SECONDS = 0.4
"""With less, no speech is heard in a sound: a single click counts for 0.28 s."""
MIN_SPEAKING_SECONDS = 3.0
"""Of speech in all footage; with less, motion is not learnt: the base network is used as it is."""


def speech_activity(samples: Floats) -> NDArray[np.bool_]:
    """Whether there is speech in each motion step: (N,) samples at 16 kHz to (ceil(N / 640),).

    A step is active where its level lies 8 dB above the noise floor of the 5 seconds around it, and not more
    than 35 dB under the sound's loud passages; then widened by 120 ms. In sound that never reaches
    `level.QUIETEST_DBFS` none is. The floor is the
    10th percentile of the levels around, but never nearer than 20 dB to the loud passages, so that speech
    without a pause is not taken for noise; a sound of a second or more that stays within 6 dB is noise.
    """
    steps = -(-len(samples) // _STEP_SAMPLES)
    if steps == 0:
        return np.zeros(0, np.bool_)
    padded = np.pad(samples.astype(np.float64), (0, steps * _STEP_SAMPLES - len(samples))).reshape(steps, -1)
    swing = padded - padded.mean(axis=1, keepdims=True)
    if is_silence(swing):
        return np.zeros(steps, np.bool_)
    level_db = 10.0 * np.log10(np.mean(swing**2, axis=1) + _SMALLEST_POWER)
    loud_db = float(np.percentile(level_db, 95))
    if steps >= 25 and loud_db - float(np.percentile(level_db, 5)) < _STEADY_DB:
        return np.zeros(steps, np.bool_)
    floor_db = np.minimum(_running_percentile(level_db, reach=_NOISE_STEPS, percent=10.0), loud_db - 20.0)
    least_db = np.maximum(floor_db + _ABOVE_NOISE_DB, loud_db - _BELOW_SPEECH_DB)
    active = (level_db > least_db).astype(np.float64)
    widened = np.convolve(active, np.ones(2 * _HANGOVER_STEPS + 1))[_HANGOVER_STEPS : _HANGOVER_STEPS + steps]
    return widened > 0.5


def _running_percentile(values: NDArray[np.float64], *, reach: int, percent: float) -> NDArray[np.float64]:
    """Percentile of the values around each one, computed once per half second and held."""
    stride = 12
    held = [
        np.percentile(values[max(0, middle - reach) : middle + reach + 1], percent)
        for middle in range(0, len(values), stride)
    ]
    return np.repeat(np.array(held), stride)[: len(values)]
