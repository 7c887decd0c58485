"""Mouth shapes: what the motion network predicts.

A mouth shape is the (57, 2) points of :data:`newscaster.face.topology.MOUTH` in the head frame, in units of
the inter-ocular distance (IOD). Contains the basis of a shape's ``K`` coefficients, and measures of shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from newscaster.face.head_pose import Head, Poses
from newscaster.face.topology import INNER_RING, MOUTH, MOUTH_POINTS, OPENING_PAIRS, RING
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

_CLOSED_PERCENT = 15
"""Percentage of frames taken as a closed mouth: running speech has more pauses and bilabials than that."""
_CLOSING_PENALTY = 1e-5
"""Of squared coefficients, against squared gaps in IOD: first, 0.003 IOD are left of a wide smile."""
_EXTREME_STDS = 2.0
_INNER_UPPER = list(range(INNER_RING.start + 1, INNER_RING.start + RING // 2))
_INNER_LOWER = list(range(INNER_RING.stop - 1, INNER_RING.start + RING // 2, -1))
"""Points of the inner lips that face each other, without the corners."""
_MOVING_RANGE = 0.03
"""Range of openings from the 5th to the 95th percentile. On GRID speaker 1 it is 0.09 to 0.15 in a sentence,
and under 0.002 while the mouth rests."""


def mouth_shapes(landmarks: ArrayFloat, head: Head) -> ArrayF64:
    """Return the mouth shapes (F, 57, 2) of landmarks (F, 478, >=2), frame by frame, not smoothed."""
    points = landmarks[:, list(MOUTH), :2].astype(np.float64)
    return head.poses(landmarks).unproject(points, head.points[list(MOUTH), 2])


def place_mouth(shapes: ArrayFloat, head: Head, poses: Poses) -> ArrayF64:
    """Return the pixels (F, 57, 2) of mouth shapes (F, 57, 2) on a head in these poses.

    The inverse of :func:`mouth_shapes`.
    """
    depths = np.broadcast_to(head.points[list(MOUTH), 2:], (*shapes.shape[:-1], 1))
    return poses.project(np.concatenate([shapes, depths], axis=-1))


def with_level_lips(head: Head) -> Head:
    """Return a head in which inner lips that face each other have one depth.

    The lower lip of an open mouth lies deeper, since the jaw turns. Closed at these depths, lips would be
    apart in a head that is tilted.
    """
    points = head.points.copy()
    upper, lower = ([MOUTH[number] for number in lip] for lip in (_INNER_UPPER, _INNER_LOWER))
    points[upper, 2] = points[lower, 2] = (points[upper, 2] + points[lower, 2]) / 2
    return Head(points)


def opening(shapes: ArrayFloat) -> ArrayF64:
    """Return the distance between the inner lips in IOD, (...), for shapes (..., 57, 2)."""
    upper = shapes[..., [MOUTH.index(u) for u, _ in OPENING_PAIRS], :]
    lower = shapes[..., [MOUTH.index(v) for _, v in OPENING_PAIRS], :]
    return np.asarray(np.hypot(*np.moveaxis(upper - lower, -1, 0)).mean(axis=-1))


def is_moving(openings: ArrayFloat) -> bool:
    """Return whether a mouth of these openings (F,) moves clearly, as in talking; unseen frames are NaN."""
    visible = openings[np.isfinite(openings)]
    return len(visible) > 0 and float(np.ptp(np.percentile(visible, [5, 95]))) >= _MOVING_RANGE


def rest_shape(shapes: ArrayFloat) -> ArrayF64:
    """Return a person's mouth at rest, (57, 2): the median of the most closed among shapes (F, 57, 2).

    Closed lips mean the same in every mouth (silence; b, p, m), so motion measured from here transfers
    between people. A mean or median shape depends on how much a person talks. NaN frames are skipped.
    """
    gap = opening(shapes)
    closed = gap <= np.nanpercentile(gap, _CLOSED_PERCENT)
    return np.asarray(np.median(shapes[closed], axis=0))


def extreme_shapes(basis: MouthBasis) -> ArrayF64:
    """Return mouths that speech may make, (2 K, 57, 2): far along each direction of the basis, both ways.

    A mask leaves room for them, as speech may open a mouth further than the footage does.
    """
    steps = _EXTREME_STDS * np.eye(basis.size)
    return basis.reconstruct(np.concatenate([steps, -steps]))


def closed_shape(shape: ArrayFloat, basis: MouthBasis) -> ArrayF64:
    """Return a mouth (57, 2) with its lips closed along the directions of a basis; its mean does not matter.

    Least squares of the gaps between the inner lips, with a penalty on coefficients that keeps the rest of
    the mouth as it is. What remains of the gaps is closed point by point.
    """
    upper = [MOUTH.index(u) for u, _ in OPENING_PAIRS]
    lower = [MOUTH.index(v) for _, v in OPENING_PAIRS]
    directions = basis.components * basis.stds[:, None, None]
    gaps = (directions[:, lower] - directions[:, upper]).reshape(basis.size, -1).T
    now = np.asarray(shape, np.float64)
    gap = (now[lower] - now[upper]).reshape(-1)
    ridge = _CLOSING_PENALTY * np.eye(basis.size)
    coefficients = np.linalg.solve(gaps.T @ gaps + ridge, -gaps.T @ gap)
    closed = now + np.einsum("k,kpd->pd", coefficients, directions)
    apart = np.maximum(closed[_INNER_LOWER, 1] - closed[_INNER_UPPER, 1], 0)
    closed[_INNER_UPPER, 1] += apart / 2
    closed[_INNER_LOWER, 1] -= apart / 2
    return np.asarray(closed)


_KEYS = ("basis.mean", "basis.components", "basis.deviations")
"""Keys of the arrays in files."""


@dataclass(frozen=True)
class MouthBasis:
    """A linear basis of mouth shapes: shape = mean + sum of coefficient * std * component."""

    mean: ArrayF64
    """Origin of the shapes, (57, 2): the person's mouth at rest (:func:`rest_shape`)."""
    components: ArrayF64
    """Orthonormal directions, (K, 57, 2)."""
    stds: ArrayF64
    """Standard deviation along each direction, (K,): coefficients have unit variance."""

    def __post_init__(self) -> None:
        size = self.size
        expected = ((MOUTH_POINTS, 2), (size, MOUTH_POINTS, 2), (size,))
        for key, array, shape in zip(_KEYS, self._arrays(), expected, strict=True):
            if array.shape != shape:
                raise ValueError(f"the mouth basis's array {key} has shape {array.shape}, expected {shape}")

    def _arrays(self) -> tuple[ArrayF64, ArrayF64, ArrayF64]:
        return self.mean, self.components, self.stds

    @property
    def size(self) -> int:
        """The number of coefficients, ``K``."""
        return len(self.stds)

    @staticmethod
    def fit(shapes: ArrayFloat, *, size: int = 20) -> MouthBasis:
        """Fit the principal components of shapes (F, 57, 2)."""
        flat = shapes.reshape(len(shapes), -1).astype(np.float64)
        mean = flat.mean(axis=0)
        free = flat - mean
        values, vectors = np.linalg.eigh(free.T @ free / len(free))
        top = np.argsort(values)[::-1][:size]
        return MouthBasis(
            mean.reshape(MOUTH_POINTS, 2),
            vectors[:, top].T.reshape(size, MOUTH_POINTS, 2),
            np.sqrt(np.maximum(values[top], 1e-12)),
        )

    def with_mean(self, mean: ArrayFloat) -> MouthBasis:
        """Return the same directions around another person's mean shape (57, 2)."""
        return MouthBasis(np.asarray(mean, np.float64), self.components, self.stds)

    def project(self, shapes: ArrayFloat) -> ArrayF64:
        """Return the coefficients (..., K) of shapes (..., 57, 2)."""
        return np.asarray(np.einsum("...pd,kpd->...k", shapes - self.mean, self.components) / self.stds)

    def reconstruct(self, coefficients: ArrayFloat) -> ArrayF64:
        """Return the shapes (..., 57, 2) of coefficients (..., K)."""
        return np.asarray(self.mean + np.einsum("...k,kpd->...pd", coefficients * self.stds, self.components))

    def to_arrays(self) -> dict[str, ArrayF32]:
        """Return the arrays to store; :meth:`from_arrays` is the inverse."""
        arrays = zip(_KEYS, self._arrays(), strict=True)
        return {key: array.astype(np.float32) for key, array in arrays}

    @staticmethod
    def from_arrays(arrays: Mapping[str, ArrayFloat]) -> MouthBasis:
        """Return the basis stored by :meth:`to_arrays`. Raise ``KeyError`` if an array is missing."""
        return MouthBasis(*(np.asarray(arrays[key], np.float64) for key in _KEYS))
