"""How long a training may take and what follows from that: the learning rate at every moment.

Training is bounded by minutes, not by steps: the rate falls to nothing just when the time is up, however
quick the machine. The time that was used is part of the state that a run resumes from.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]


class TimeBudget:
    """Seconds that may be spent, over all sittings together.

    Args:
        minutes: the whole budget.
        used_seconds: what earlier sittings spent.
        clock: seconds from some moment on; for tests.
    """

    def __init__(self, minutes: float, *, used_seconds: float = 0.0, clock: Clock = time.monotonic) -> None:
        if not (minutes > 0 and math.isfinite(minutes)):
            raise ValueError(f"minutes is {minutes}; expected a number above 0")
        self._seconds, self._before, self._clock = minutes * 60, used_seconds, clock
        self._start = clock()

    @property
    def used_seconds(self) -> float:
        """Spent so far, earlier sittings included."""
        return self._before + self._clock() - self._start

    @property
    def used(self) -> float:
        """The share that is spent, 0 to 1."""
        return min(1.0, self.used_seconds / self._seconds)

    @property
    def minutes_left(self) -> float:
        """What is left of the budget."""
        return max(0.0, (self._seconds - self.used_seconds) / 60)


def learning_rate(peak: float, *, step: int, used: float, warmup_steps: int, floor: float = 0.01) -> float:
    """Linear warm-up over ``warmup_steps``, and half a cosine over the budget to ``floor`` of the peak."""
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return peak * rise * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * used)))
