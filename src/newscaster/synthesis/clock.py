"""The media clock of a live stream: which sound a frame covers, when it is due, and how late things were.

::

    frame      |---- k ----|-- k + 1 --|
    seconds    k/fps       (k + 1)/fps
    samples    round(k rate/fps) to round((k + 1) rate/fps)

Both are cut by the same count, so that they cannot drift apart, whatever is late or left out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from typing import Protocol

import numpy as np

_REMEMBERED = 250
"""Delays that the percentiles are taken of."""


class Clock(Protocol):
    """Seconds that go on, and how to wait for them."""

    def __call__(self) -> float:
        """Seconds since some moment."""
        ...

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait until `condition`, which is held, is notified, or for so many seconds."""
        ...


class WallClock:
    """The machine's own clock, which nobody sets."""

    def __call__(self) -> float:
        """Seconds since the machine was started."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait as long as is said, or until notified."""
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
        """Have frame `number` be due now, unless the clock runs already."""
        if self._origin is None:
            self._origin = now - self.seconds(number)

    def seconds(self, number: int) -> float:
        """Begin of a frame on the media clock."""
        return float(number / self.fps)

    def due(self, number: int) -> float:
        """When a frame is to be shown, on the clock that `start` was told of."""
        assert self._origin is not None
        return self._origin + self.seconds(number)

    def samples(self, number: int) -> int:
        """How many samples frame `number` covers."""
        first, stop = (round(k * self.rate / self.fps) for k in (number, number + 1))
        return stop - first


class Delays:
    """The last delays of one kind."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, seconds: float) -> None:
        """Remember one."""
        self._seconds.append(seconds)

    @property
    def last(self) -> float | None:
        """The last one in seconds; None where there was none."""
        return self._seconds[-1] if self._seconds else None

    @property
    def p95(self) -> float | None:
        """What 19 of 20 of the last 250 did not exceed."""
        return float(np.percentile(self._seconds, 95)) if self._seconds else None
