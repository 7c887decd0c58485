"""The media clock of a live stream: samples and due time of each frame, and statistics of delays.

::

    frame      |---- k ----|-- k + 1 --|
    seconds    k/fps       (k + 1)/fps
    samples    round(k rate/fps) to round((k + 1) rate/fps)

Frames and samples follow from the same frame number: late or dropped frames cause no drift.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from typing import Protocol

import numpy as np

_WINDOW = 250
"""Number of recent delays for percentiles."""


class Clock(Protocol):
    """A monotonic clock that can wait."""

    def __call__(self) -> float:
        """Return seconds since an arbitrary origin."""
        ...

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until `condition`, whose lock is held, is notified, or until `seconds` have passed."""
        ...


class WallClock:
    """The monotonic clock of the system."""

    def __call__(self) -> float:
        """Return seconds since an arbitrary origin."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until notified, or until `seconds` have passed."""
        condition.wait(seconds)


class MediaClock:
    """Frames, samples and seconds of one stream.

    Args:
        fps: frames per second.
        rate: samples per second, in Hz.
    """

    def __init__(self, fps: Fraction, rate: int) -> None:
        self.fps = fps
        self.rate = rate
        self._origin: float | None = None

    def start(self, now: float, number: int) -> None:
        """Start the clock: frame `number` is due now. Do nothing if it runs."""
        if self._origin is None:
            self._origin = now - self.seconds(number)

    def seconds(self, number: int) -> float:
        """Return the start of a frame on the media clock."""
        return float(number / self.fps)

    def due(self, number: int) -> float:
        """Return when a frame is due, on the clock of `start`."""
        assert self._origin is not None
        return self._origin + self.seconds(number)

    def samples(self, number: int) -> int:
        """Return how many samples frame `number` covers."""
        first, stop = (round(k * self.rate / self.fps) for k in (number, number + 1))
        return stop - first


class Delays:
    """Recent delays of one kind."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_WINDOW)

    def add(self, seconds: float) -> None:
        """Add a delay."""
        self._seconds.append(seconds)

    @property
    def last(self) -> float | None:
        """The last delay in seconds; None if there was none."""
        return self._seconds[-1] if self._seconds else None

    @property
    def p95(self) -> float | None:
        """95th percentile of the last 250 delays; None if there were none."""
        return float(np.percentile(self._seconds, 95)) if self._seconds else None
