"""A clock that moves when it is asked, so that a training of minutes takes a few steps."""

from __future__ import annotations


class TickingClock:
    """Each call takes some time.

    Args:
        seconds: of each call.
    """

    def __init__(self, seconds: float = 0.1) -> None:
        self._seconds, self.now = seconds, 0.0

    def __call__(self) -> float:
        self.now += self._seconds
        return self.now
