"""A clock that tests move: waiting takes no time, and what is to happen meanwhile happens."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable


class VirtualClock:
    """Time that passes only while somebody waits, or as a test says; things can be planned for a moment."""

    def __init__(self) -> None:
        self.now = 100.0
        self._planned: list[tuple[float, int, Callable[[], object]]] = []
        self._count = itertools.count()

    def __call__(self) -> float:
        return self.now

    def at(self, seconds: float, event: Callable[[], object]) -> None:
        """Have `event` happen so many seconds from now."""
        heapq.heappush(self._planned, (self.now + seconds, next(self._count), event))

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Go on until the next event, or for so long."""
        until = self.now + seconds
        if self._planned and self._planned[0][0] <= until:
            when, _, event = heapq.heappop(self._planned)
            self.now = max(self.now, when)
            event()
        else:
            self.now = until
