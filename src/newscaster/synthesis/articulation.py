"""How much the mouth moves, and how fast: two numbers for taste, 1 as trained.

Knows what they do to the mouth's coefficients and to the lips. The gate that closes the mouth in silence is
another's affair (`gate`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import INNER_LIPS, MOUTH, RING
from newscaster.speech.features import MOTION_HZ
from newscaster.synthesis.sliding_window import Array, SlidingWindow

Coefficients = npt.NDArray[np.floating[Any]]

_LARGEST = 3.5
"""Coefficients stay below this when they are made larger: real mouths hardly go beyond."""
_NEARLY = 0.02
"""Outer-eye distances: lips that are nearer than this come nearer still. Of 60 closures (b, p, m) in GRID's
test clips, the real lips met on 58, predicted ones on 54 without this, and on 59 with it."""
_UPPER = [MOUTH.index(INNER_LIPS[k]) for k in range(1, RING // 2)]
_LOWER = [MOUTH.index(INNER_LIPS[-k]) for k in range(1, RING // 2)]


@dataclass(frozen=True, kw_only=True)
class Articulation:
    """How clearly an anchor speaks. The defaults are the motion as trained.

    Raises:
        InputError: a number is out of its range.
    """

    openness: float = 1.0
    """How far the mouth moves from rest, 0 (not at all) to 2. Motion that is already wide grows less, so that
    the mouth stays one that the renderer has seen; lips that meet still meet, and never cross."""
    smoothness: float = 1.0
    """How softly it moves, 0 to 4. Above 1, motion is averaged over about 40 ms times this number, which
    takes from fast sounds first; below 1, what such an average would take is added: they become crisper."""
    rests: bool = True
    """Whether the lips close where nobody speaks, and meet where they nearly do. Otherwise the motion network
    alone decides: it may move a little in noise, and breathes in before a sentence as the person did."""

    def __post_init__(self) -> None:
        for name, most in (("openness", 2), ("smoothness", 4)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"{name} is {value}; expected 0 to {most}, where 1 is the motion as trained")

    @property
    def kernel(self) -> Array:
        """Weights of neighbouring motion steps, symmetric, of odd length, with sum 1; at smoothness 1 just 1.

        Above 1 a raised cosine, 1 + cos(pi k / smoothness) at k steps; below 1, with w that of smoothness 2,
        delta + (1 - smoothness) (delta - w).
        """
        if self.smoothness >= 1:
            return _raised_cosine(self.smoothness)
        once = np.array([0.0, 1.0, 0.0])
        return np.asarray(once + (1 - self.smoothness) * (once - _raised_cosine(2.0)))

    def shapes(self, coefficients: Coefficients, basis: MouthBasis) -> Array:
        """Mouth shapes (F, 57, 2) of coefficients (F, K), opened more or less."""
        if self.openness == 1 and not self.rests:
            return basis.reconstruct(coefficients)
        scaled = coefficients if self.openness == 1 else _scaled(coefficients, self.openness)
        return _met(basis.reconstruct(scaled), basis.mean)


AS_TRAINED = Articulation()


class Smoother:
    """Smoothness over a stream of coefficients, without delay of the motion; it waits for 3 steps at most.

    Beyond either end of the sound, the end's step goes on.

    Args:
        kernel: (2 r + 1,), centred.
        channels: coefficients per step, K.
    """

    def __init__(self, kernel: Array, channels: int) -> None:
        self._kernel = kernel
        reach = len(self._kernel) // 2
        self._windows = SlidingWindow(behind=reach, ahead=reach, channels=channels, ends_last=True)

    @property
    def delay_seconds(self) -> float:
        """How long each step waits for later ones."""
        return len(self._kernel) // 2 / MOTION_HZ

    def push(self, coefficients: Coefficients) -> Array:
        """Coefficients (t, K) that have become certain with these (n, K)."""
        return np.asarray(self._windows.push(coefficients) @ self._kernel)

    def flush(self) -> Array:
        """The rest: as many have then been given as were pushed."""
        return np.asarray(self._windows.flush() @ self._kernel)


def _raised_cosine(width: float) -> Array:
    reach = math.ceil(width) - 1
    weights = 1 + np.cos(np.pi * np.arange(-reach, reach + 1) / width)
    return np.asarray(weights / weights.sum())


def _scaled(coefficients: Coefficients, openness: float) -> Array:
    """Coefficients (F, K) times `openness`; where that would leave the range of real mouths, less.

    With m the largest of a frame and r = _LARGEST - m the room that is left, m becomes
    m + r tanh((openness - 1) m / r), and the others keep their proportion to it: no frame is made smaller
    than it was trained.
    """
    if openness <= 1:
        return np.asarray(openness * coefficients, np.float64)
    largest = np.maximum(np.abs(coefficients).max(axis=1, keepdims=True), 1e-9)
    room = np.maximum(_LARGEST - largest, 1e-9)
    return np.asarray(coefficients * (1 + room / largest * np.tanh((openness - 1) * largest / room)))


def _met(shapes: Array, rest: Array) -> Array:
    """Shapes (F, 57, 2) whose inner lips meet where they nearly met, or crossed.

    A predicted mouth is a mean of likely ones, and where most are closed it is nearly so. With g the way
    between an upper and a lower point, g becomes g sqrt(g / _NEARLY) below _NEARLY, and 0 where it was below
    0. Where the points cross at rest already, they may do so as far as there.
    """
    least = np.minimum(rest[_LOWER, 1] - rest[_UPPER, 1], 0)
    apart = shapes[:, _LOWER, 1] - shapes[:, _UPPER, 1] - least
    wanted = np.maximum(apart, 0) * np.sqrt(np.clip(apart / _NEARLY, 0, 1))
    shapes[:, _UPPER, 1] -= (wanted - apart) / 2
    shapes[:, _LOWER, 1] += (wanted - apart) / 2
    return shapes
