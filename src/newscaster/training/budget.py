"""How long a training may take, and the learning rate that follows from it.

Most trainings are bounded by minutes, not by steps: the rate falls to almost nothing just when the time is
up, whatever the speed of the machine. The seconds that were used are stored in the checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Clock = Callable[[], float]


class Budget(Protocol):
    """A bound on a training. It counts seconds from :meth:`start` on."""

    def start(self, used_seconds: float) -> None:
        """Start the clock; ``used_seconds`` were spent before the last interruption."""

    @property
    def used_seconds(self) -> float:
        """Seconds spent so far, those before an interruption included."""

    def fraction(self, step: int) -> float:
        """The part of the budget that is spent after ``step`` steps, 0 to 1."""

    def minutes_left(self, step: int) -> float:
        """Minutes left, estimated if the budget is one of steps."""


class _Stopwatch:
    """Counts seconds, across interruptions."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._before, self._start = clock, 0.0, clock()

    def start(self, used_seconds: float) -> None:
        self._before, self._start = used_seconds, self._clock()

    @property
    def used_seconds(self) -> float:
        """Seconds spent so far."""
        return self._before + self._clock() - self._start


class TimeBudget(_Stopwatch):
    """A bound in minutes.

    Args:
        minutes: the whole budget; 0: nothing is trained.
        clock: returns seconds from some point in time on; for tests.
    """

    def __init__(self, minutes: float, *, clock: Clock = time.monotonic) -> None:
        if not (minutes >= 0 and math.isfinite(minutes)):
            raise ValueError(f"minutes is {minutes}; expected 0 or more")
        super().__init__(clock)
        self._seconds = minutes * 60

    def fraction(self, step: int) -> float:
        """See :class:`Budget`."""
        return min(1.0, self.used_seconds / self._seconds) if self._seconds else 1.0

    def minutes_left(self, step: int) -> float:
        """See :class:`Budget`."""
        return max(0.0, (self._seconds - self.used_seconds) / 60)


class StepBudget(_Stopwatch):
    """A bound in steps.

    Args:
        steps: of the whole training.
        clock: returns seconds from some point in time on; for tests.
    """

    def __init__(self, steps: int, *, clock: Clock = time.monotonic) -> None:
        if steps < 1:
            raise ValueError(f"steps is {steps}; expected at least 1")
        super().__init__(clock)
        self.steps = steps

    def fraction(self, step: int) -> float:
        """See :class:`Budget`."""
        return min(1.0, step / self.steps)

    def minutes_left(self, step: int) -> float:
        """See :class:`Budget`."""
        return self.used_seconds / max(step, 1) * max(0, self.steps - step) / 60


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A weight that rises from 0 to 1 during a training, linearly."""

    start: float
    """Fraction of the budget at which it starts to rise."""
    duration: float
    """Fraction of the budget over which it rises."""

    def weight(self, fraction: float) -> float:
        """The weight when this fraction of the budget is spent."""
        return min(1.0, max(0.0, (fraction - self.start) / self.duration))


def learning_rate(peak: float, *, step: int, used: float, warmup_steps: int, floor: float = 0.01) -> float:
    """Return a rate with linear warm-up over ``warmup_steps`` and cosine decay to ``floor`` of the peak.

    ``used`` is the fraction of the budget that is spent (arXiv 1608.03983, without restarts).
    """
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return peak * rise * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * used)))
