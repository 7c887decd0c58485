"""Articulation: openness and smoothness of the mouth motion, both 1 as trained.

Applies them to mouth coefficients and lips. `gate` closes the mouth in silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import INNER_LIPS, MOUTH, RING
from newscaster.speech.features import MOTION_HZ
from newscaster.synthesis.sliding_window import SlidingWindow
from newscaster.types import ArrayF64, ArrayFloat

_MAX_COEFFICIENT = 3.5
"""Upper bound of scaled coefficients: real mouths hardly exceed it."""
_CLOSING_DISTANCE = 0.02
"""Inter-ocular distances (outer corners): lips closer than this are moved closer. Of 60 closures (b, p, m) in
the test clips of GRID, the real lips met on 58, predicted ones on 54 without this, and on 59 with it."""
_UPPER = [MOUTH.index(INNER_LIPS[k]) for k in range(1, RING // 2)]
_LOWER = [MOUTH.index(INNER_LIPS[-k]) for k in range(1, RING // 2)]


@dataclass(frozen=True, kw_only=True)
class Articulation:
    """How clearly an anchor speaks. The defaults are the motion as trained.

    Raises:
        InputError: a value is out of range.
    """

    openness: float = 1.0
    """Amplitude of the motion from rest, 0 (none) to 2. Wide motion grows less, so that mouths stay within
    the training range of the renderer. Lips that meet still meet, and never cross."""
    smoothness: float = 1.0
    """Smoothness of the motion, 0 to 4. Above 1, motion is averaged over about 40 ms times this number, which
    attenuates fast movements first. Below 1, the difference to such an average is added: they become
    crisper."""
    rests: bool = True
    """Whether the lips close in silence, and meet if they nearly do. Otherwise the motion network alone
    decides: the mouth may move a little in noise, and breathes in before a sentence as the person did."""

    def __post_init__(self) -> None:
        for name, most in (("openness", 2), ("smoothness", 4)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"{name} is {value}; expected 0 to {most}, where 1 is the motion as trained")

    @property
    def kernel(self) -> ArrayF64:
        """Weights of neighbouring motion steps: symmetric, odd length, sum 1; [1] at smoothness 1.

        Above 1: a raised cosine, 1 + cos(pi k / smoothness) at k steps. Below 1, with w the kernel of
        smoothness 2: delta + (1 - smoothness) (delta - w).
        """
        if self.smoothness >= 1:
            return _raised_cosine(self.smoothness)
        delta = np.array([0.0, 1.0, 0.0])
        return np.asarray(delta + (1 - self.smoothness) * (delta - _raised_cosine(2.0)))

    def shapes(self, coefficients: ArrayFloat, basis: MouthBasis) -> ArrayF64:
        """Return mouth shapes (F, 57, 2) of coefficients (F, K), with this articulation."""
        if self.openness == 1 and not self.rests:
            return basis.reconstruct(coefficients)
        scaled = coefficients if self.openness == 1 else _scale_coefficients(coefficients, self.openness)
        return _close_lips(basis.reconstruct(scaled), basis.mean)


AS_TRAINED = Articulation()


class Smoother:
    """A zero-phase filter over a stream of coefficients; it waits for 3 later steps at most.

    The first and the last step are repeated beyond the ends of the audio.

    Args:
        kernel: (2 r + 1,), centred.
        channels: coefficients per step, K.
    """

    def __init__(self, kernel: ArrayF64, channels: int) -> None:
        self._kernel = kernel
        reach = len(self._kernel) // 2
        self._windows = SlidingWindow(behind=reach, ahead=reach, channels=channels, ends_last=True)

    @property
    def delay_seconds(self) -> float:
        """Delay of each step."""
        return len(self._kernel) // 2 / MOTION_HZ

    def push(self, coefficients: ArrayFloat) -> ArrayF64:
        """Return the coefficients (t, K) that are complete with these (n, K)."""
        return np.asarray(self._windows.push(coefficients) @ self._kernel)

    def flush(self) -> ArrayF64:
        """Return the rest: as many coefficients in all as were pushed."""
        return np.asarray(self._windows.flush() @ self._kernel)


def _raised_cosine(width: float) -> ArrayF64:
    reach = math.ceil(width) - 1
    weights = 1 + np.cos(np.pi * np.arange(-reach, reach + 1) / width)
    return np.asarray(weights / weights.sum())


def _scale_coefficients(coefficients: ArrayFloat, openness: float) -> ArrayF64:
    """Return coefficients (F, K) times `openness`, limited to the range of real mouths.

    With m the largest magnitude of a frame and r = _MAX_COEFFICIENT - m the remaining range, m becomes
    m + r tanh((openness - 1) m / r). The others keep their proportion to it. For openness above 1, no frame
    shrinks.
    """
    if openness <= 1:
        return np.asarray(openness * coefficients, np.float64)
    largest = np.maximum(np.abs(coefficients).max(axis=1, keepdims=True), 1e-9)
    room = np.maximum(_MAX_COEFFICIENT - largest, 1e-9)
    return np.asarray(coefficients * (1 + room / largest * np.tanh((openness - 1) * largest / room)))


def _close_lips(shapes: ArrayF64, rest: ArrayF64) -> ArrayF64:
    """Return shapes (F, 57, 2) whose inner lips meet if they nearly met or crossed.

    A predicted mouth is a mean of likely ones: if most of them are closed, it is nearly closed. With g the
    vertical distance between an upper and a lower point and d = _CLOSING_DISTANCE, g becomes g sqrt(g / d)
    below d, and 0 below 0. Points that cross at rest may cross as far as at rest.
    """
    crossing = np.minimum(rest[_LOWER, 1] - rest[_UPPER, 1], 0)
    distance = shapes[:, _LOWER, 1] - shapes[:, _UPPER, 1] - crossing
    closed = np.maximum(distance, 0) * np.sqrt(np.clip(distance / _CLOSING_DISTANCE, 0, 1))
    shapes[:, _UPPER, 1] -= (closed - distance) / 2
    shapes[:, _LOWER, 1] += (closed - distance) / 2
    return shapes
