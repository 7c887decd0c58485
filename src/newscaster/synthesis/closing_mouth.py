"""The mouth of a live stream when speech breaks off: it closes at the speed of speech."""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction

import numpy as np

from newscaster.types import ArrayF64

CLOSING_SECONDS = 0.08
"""Maximum duration of closing the mouth if speech breaks off."""
CLOSING_SPEED = 1.25
"""Speed of its fastest point then, in IOD per second. 5 % of frames of speech (GRID speaker 1) are faster."""


class ClosingMouth:
    """The shapes of a mouth without speech: closing, then at rest.

    Args:
        rest: the mouth at rest, (57, 2) in IOD.
        fps: frames per second.
    """

    def __init__(self, rest: ArrayF64, fps: Fraction) -> None:
        self.rest = rest
        self._fps = fps
        self._shapes: deque[ArrayF64] = deque()

    @property
    def is_closing(self) -> bool:
        """Whether shapes between are left."""
        return bool(self._shapes)

    def start(self, shape: ArrayF64) -> None:
        """Queue the shapes between `shape` and rest, by a raised cosine; none if it is nearly closed."""
        if np.array_equal(shape, self.rest):
            return
        distance = float(np.linalg.norm(shape - self.rest, axis=1).max())
        steps = min(int(CLOSING_SECONDS * self._fps), math.ceil(distance / CLOSING_SPEED * self._fps))
        steps = max(1, steps)
        gains = (1 + np.cos(np.pi * np.arange(1, steps) / steps)) / 2
        self._shapes.extend(self.rest + gain * (shape - self.rest) for gain in gains)

    def next(self) -> ArrayF64:
        """Return the mouth of the next frame."""
        return self._shapes.popleft() if self._shapes else self.rest

    def stop(self) -> None:
        """Drop the shapes between: speech goes on."""
        self._shapes.clear()
