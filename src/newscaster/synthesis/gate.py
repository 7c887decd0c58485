r"""Where the mouth may move: open a little before somebody speaks, closed a little after.

A gain for the mouth's coefficients, from the probability of speech; 0 leaves the mouth at rest. Each step's
gain depends on a fixed number of steps to either side, and so not on how the sound was cut.

::

    probability   . . . . . . . 8 9 9 9 9 9 9 . . . . . .
    speaking      . . . . . . . # # # # # # # . . . . . .     from 0.8 on, until it falls below 0.65
    widened       . . . . # # # # # # # # # # # . . . . .     gaps of up to 160 ms go
    gain          . . / / / / # # # # # # # \ \ \ \ . . .     a raised cosine of 5 steps
                      |- ahead -|             |    |          behind

On 40 sentences of GRID the gain is one half 100 ms before the sound begins (median; 70 to 140 ms), and zero
100 ms after it ends (0 to 220 ms): voice activity comes late and lingers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from newscaster.speech.features import STEP_SAMPLES
from newscaster.speech.spectral import SAMPLE_RATE, Floats
from newscaster.speech.voice_activity import LATE_SAMPLES, VoiceActivity
from newscaster.synthesis.sliding_window import Array, SlidingWindow

AHEAD_STEPS = 5
"""Motion steps (200 ms) before speech is found in which the mouth begins to open: what the gate waits for."""
_BEHIND_STEPS = 3
"""Motion steps after the last one with speech in which the mouth still moves."""
_ON, _OFF = 0.8, 0.65
"""Probabilities between which speech goes on but does not begin. Noise shaped like breath reaches 0.7; higher
numbers take whispered speech for breath."""
_FADE = np.array([1.0, 3.0, 4.0, 3.0, 1.0])
"""Raised cosine, 2 + 2 cos(pi k / 3); whole numbers, so that a gain of 1 is exactly 1."""


def ahead_steps_within(look_ahead_ms: int) -> int:
    """How far a gate looks ahead that may wait for so much sound from its step's begin: AHEAD_STEPS at most,
    and 1 at least, which takes 104 ms.
    """
    samples = look_ahead_ms * SAMPLE_RATE // 1000
    return min(AHEAD_STEPS, max(1, (samples - LATE_SAMPLES) // STEP_SAMPLES - 1))


class Gate:
    """Gains for the mouth's coefficients, of speech that comes in pieces.

    Args:
        activity: tells speech from other sound.
        ahead_steps: how far the gate looks ahead, 1 or more. With fewer steps the mouth opens later, and only
            shorter gaps between words are bridged.
    """

    def __init__(self, activity: VoiceActivity, *, ahead_steps: int = AHEAD_STEPS) -> None:
        assert ahead_steps >= 1
        self._activity = activity.stream()
        self._windows = SlidingWindow(behind=_BEHIND_STEPS, ahead=ahead_steps, channels=1, ends_last=False)
        self._speaking = False
        self._speech_steps = 0
        self._ahead_steps = ahead_steps

    @property
    def delay_seconds(self) -> float:
        """The longest from a step's begin to the sample that makes its gain certain."""
        return ((self._ahead_steps + 1) * STEP_SAMPLES + LATE_SAMPLES) / SAMPLE_RATE

    @property
    def speech_seconds(self) -> float:
        """Speech found so far."""
        return self._speech_steps * STEP_SAMPLES / SAMPLE_RATE

    def push(self, samples: Floats) -> Array:
        """The gains (t,) in [0, 1] that have become certain with samples (n,), float32 mono at 16 kHz.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
        """
        return _gains(self._windows.push(self._decided(self._activity.push(samples))))

    def flush(self) -> Array:
        """The rest: in all ceil(N / 640) gains have then been given."""
        gains = _gains(self._windows.push(self._decided(self._activity.flush())))
        return np.concatenate([gains, _gains(self._windows.flush())])

    def _decided(self, probabilities: Floats) -> Array:
        """Whether there is speech, (t, 1), with hysteresis."""
        decided = np.zeros((len(probabilities), 1))
        for step, probability in enumerate(probabilities):
            self._speaking = bool(probability >= (_OFF if self._speaking else _ON))
            decided[step] = self._speaking
        self._speech_steps += int(decided.sum())
        return decided


def _gains(windows: npt.NDArray[np.float64]) -> Array:
    """Gains (t,) of windows (t, 1, behind + 1 + ahead): the most of as many steps as fit, faded."""
    reach = windows.shape[2] - len(_FADE) + 1
    widened = np.lib.stride_tricks.sliding_window_view(windows[:, 0], reach, axis=1).max(axis=2)
    return np.asarray(widened @ _FADE / _FADE.sum())
