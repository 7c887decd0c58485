"""Speech activity by energy: a simple detector for reports and gates; no network, no training."""

from __future__ import annotations

import numpy as np

from newscaster.speech.level import is_silence
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayBool, ArrayF32, ArrayF64

_STEP_SAMPLES = SAMPLE_RATE // 25
_NOISE_STEPS = 125
"""Reach of the noise floor to either side: 5 seconds, in which all running speech has a pause."""
_ABOVE_NOISE_DB = 8.0
_BELOW_SPEECH_DB = 35.0
_STEADY_DB = 6.0
_SMALLEST_POWER = 1e-12
"""Power of digital silence, in place of 0: below the noise of 16-bit audio."""
_HANGOVER_STEPS = 3
"""Steps (120 ms) added to speech at either end, for closures and soft ends."""
MIN_SPEECH_SECONDS = 0.4
"""Audio with less counts as without speech: a single click counts for 0.28 s."""
MIN_SPEAKING_SECONDS = 3.0
"""Of speech in all footage. With less, the motion network is not adapted: the base network is used."""


def speech_activity(samples: ArrayF32) -> ArrayBool:
    """Return whether each motion step has speech: (N,) samples at 16 kHz to (ceil(N / 640),).

    A step is active if its level lies 8 dB above the noise floor of the 5 seconds around it, and at most
    35 dB below the loud passages; active runs are then widened by 120 ms. In audio that never reaches
    `level.QUIETEST_DBFS`, no step is active. The floor is the 10th percentile of the levels around, but at
    least 20 dB below the loud passages, so that speech without a pause does not count as noise. Audio of a
    second or more that stays within 6 dB is noise.
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
    threshold_db = np.maximum(floor_db + _ABOVE_NOISE_DB, loud_db - _BELOW_SPEECH_DB)
    active = (level_db > threshold_db).astype(np.float64)
    widened = np.convolve(active, np.ones(2 * _HANGOVER_STEPS + 1))[_HANGOVER_STEPS : _HANGOVER_STEPS + steps]
    return widened > 0.5


def _running_percentile(values: ArrayF64, *, reach: int, percent: float) -> ArrayF64:
    """Return the percentile of the values around each one, computed once per half second and held."""
    stride = 12
    held = [
        np.percentile(values[max(0, middle - reach) : middle + reach + 1], percent)
        for middle in range(0, len(values), stride)
    ]
    return np.repeat(np.array(held), stride)[: len(values)]
