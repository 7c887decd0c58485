r"""A gate for the mouth: it opens half a second before speech, and closes a little after.

A gain for mouth coefficients, computed from the probability of speech; 0 keeps the mouth at rest. Each gain
depends on a fixed number of steps on either side. Chunked audio therefore gives the same gains.

::

    probability   . . . . . . . . . . . . . . . . 8 9 9 9 9 . . . . . .
    speaking      . . . . . . . . . . . . . . . . # # # # # . . . . . .   from 0.8 on, until below 0.65
    widened       . . . . # # # # # # # # # # # # # # # # # # . . . . .   gaps of up to 520 ms close
    gain          . . / / / / # # # # # # # # # # # # # # \ \ \ \ . . .   a raised cosine of 5 steps
                      |--------- ahead -----------|         |    |        behind

People draw breath, with open lips, before they speak: so half a second ahead the motion network moves the
mouth. Voice activity starts late and lingers. Audio that starts with speech leaves no time for that: see
`Gate.start_closed`.
"""

from __future__ import annotations

import numpy as np

from newscaster.speech.features import STEP_SAMPLES
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voice_activity import LATE_SAMPLES, VoiceActivity
from newscaster.synthesis.sliding_window import SlidingWindow
from newscaster.types import ArrayF32, ArrayF64

AHEAD_STEPS = 14
"""Motion steps (560 ms) before detected speech from which the mouth may open: the look-ahead. The gain is one
half 500 ms before, about as long as people draw breath. On training sentences of GRID, the correlation of the
opening is 0.87 with 5 steps, 0.93 with 12, 0.94 with 14 and without a gate."""
_BEHIND_STEPS = 3
"""Motion steps after the last one with speech during which the mouth still moves."""
_ON, _OFF = 0.8, 0.65
"""Hysteresis: between these probabilities speech continues but does not start. Breath-like noise reaches 0.7;
higher thresholds reject whispered speech as breath."""
_FADE = np.array([1.0, 3.0, 4.0, 3.0, 1.0])
"""Raised cosine, 2 + 2 cos(pi k / 3); integers, so that a gain of 1 is exactly 1."""

_FROM_CLOSED = np.array([0.0, 0.25, 0.75])
"""Largest gains of the first steps of a video: lips open within 120 ms, as in speech."""


def ahead_steps_within(look_ahead_ms: int) -> int:
    """Return how many steps a gate with this look-ahead, counted from the start of a step, can use.

    At most AHEAD_STEPS, and at least 1, which takes 104 ms.
    """
    samples = look_ahead_ms * SAMPLE_RATE // 1000
    return min(AHEAD_STEPS, max(1, (samples - LATE_SAMPLES) // STEP_SAMPLES - 1))


class Gate:
    """Gains for mouth coefficients, for speech that arrives in pieces.

    Args:
        activity: voice activity detection.
        ahead_steps: look-ahead of the gate, 1 or more. With fewer steps the mouth opens later, and only
            shorter gaps between words are bridged.
    """

    def __init__(self, activity: VoiceActivity, *, ahead_steps: int = AHEAD_STEPS) -> None:
        assert ahead_steps >= 1
        self._activity = activity.stream()
        self._windows = SlidingWindow(behind=_BEHIND_STEPS, ahead=ahead_steps, channels=1, ends_last=False)
        self._speaking = False
        self._speech_steps = 0
        self._ahead_steps = ahead_steps
        self._bounds = _FROM_CLOSED[:0]

    def start_closed(self, *, at_rest: bool = False) -> None:
        """Start with closed lips, before the first push, even if there is speech from the start.

        Args:
            at_rest: whether a mouth at rest was shown before, so that the first step may move.
        """
        self._bounds = _FROM_CLOSED[1:] if at_rest else _FROM_CLOSED

    @property
    def delay_seconds(self) -> float:
        """Longest time from the start of a step to the last sample that its gain depends on."""
        return ((self._ahead_steps + 1) * STEP_SAMPLES + LATE_SAMPLES) / SAMPLE_RATE

    @property
    def lead_seconds(self) -> float:
        """Longest time before detected speech at which a gain may be above 0."""
        return self._ahead_steps * STEP_SAMPLES / SAMPLE_RATE

    @property
    def speech_seconds(self) -> float:
        """Detected speech so far."""
        return self._speech_steps * STEP_SAMPLES / SAMPLE_RATE

    def push(self, samples: ArrayF32) -> ArrayF64:
        """Return the gains (t,) in [0, 1] that are complete with samples (n,), float32 mono at 16 kHz.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
        """
        return self._bounded(_gains(self._windows.push(self._detect(self._activity.push(samples)))))

    def flush(self) -> ArrayF64:
        """Return the rest: ceil(N / 640) gains in all."""
        gains = _gains(self._windows.push(self._detect(self._activity.flush())))
        return self._bounded(np.concatenate([gains, _gains(self._windows.flush())]))

    def _bounded(self, gains: ArrayF64) -> ArrayF64:
        """Apply the bounds of the first steps to the next gains (t,)."""
        count = min(len(gains), len(self._bounds))
        gains[:count] = np.minimum(gains[:count], self._bounds[:count])
        self._bounds = self._bounds[count:]
        return gains

    def _detect(self, probabilities: ArrayF32) -> ArrayF64:
        """Return whether there is speech, (t, 1), with hysteresis."""
        detected = np.zeros((len(probabilities), 1))
        for step, probability in enumerate(probabilities):
            self._speaking = bool(probability >= (_OFF if self._speaking else _ON))
            detected[step] = self._speaking
        self._speech_steps += int(detected.sum())
        return detected


def _gains(windows: ArrayF64) -> ArrayF64:
    """Return gains (t,) of windows (t, 1, behind + 1 + ahead): a moving maximum, then a fade."""
    reach = windows.shape[2] - len(_FADE) + 1
    widened = np.lib.stride_tricks.sliding_window_view(windows[:, 0], reach, axis=1).max(axis=2)
    return np.asarray(widened @ _FADE / _FADE.sum())
