"""Mouth shapes: what the motion network predicts.

A mouth shape is the (57, 2) points of :data:`newscaster.face.topology.MOUTH` in the head's own frame, in
units of the outer-eye distance. Knows the basis that a shape's ``K`` coefficients refer to, and measures
taken on shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.head_pose import Head, Poses
from newscaster.face.topology import MOUTH, MOUTH_POINTS, OPENING_PAIRS

Array = npt.NDArray[np.float64]
_CLOSED_PERCENT = 15
"""The share of frames that is taken for a closed mouth: running speech has more pauses and bilabials."""
_MOVING_RANGE = 0.03
"""Of openings, their extreme twentieths left out. On GRID speaker 1 it is 0.09 to 0.15 in a sentence, and
under 0.002 where the mouth rests."""


def mouth_shapes(landmarks: npt.NDArray[np.floating[Any]], head: Head) -> Array:
    """Mouth shapes (F, 57, 2) of landmarks (F, 478, >=2), frame by frame, not smoothed."""
    points = landmarks[:, list(MOUTH), :2].astype(np.float64)
    return head.poses(landmarks).unproject(points, head.points[list(MOUTH), 2])


def place_mouth(shapes: npt.NDArray[np.floating[Any]], head: Head, poses: Poses) -> Array:
    """Pixels (F, 57, 2) of mouth shapes (F, 57, 2) put on a head in these poses: undoes mouth_shapes."""
    depths = np.broadcast_to(head.points[list(MOUTH), 2:], (*shapes.shape[:-1], 1))
    return poses.project(np.concatenate([shapes, depths], axis=-1))


def opening(shapes: npt.NDArray[np.floating[Any]]) -> Array:
    """Distance between the inner lips, in outer-eye distances, for shapes (..., 57, 2): shape (...)."""
    upper = shapes[..., [MOUTH.index(u) for u, _ in OPENING_PAIRS], :]
    lower = shapes[..., [MOUTH.index(v) for _, v in OPENING_PAIRS], :]
    return np.asarray(np.hypot(*np.moveaxis(upper - lower, -1, 0)).mean(axis=-1))


def is_moving(openings: npt.NDArray[np.floating[Any]]) -> bool:
    """Whether a mouth of these openings (F,), NaN where it is not seen, moves clearly, as in talking."""
    seen = openings[np.isfinite(openings)]
    return len(seen) > 0 and float(np.ptp(np.percentile(seen, [5, 95]))) >= _MOVING_RANGE


def rest_shape(shapes: npt.NDArray[np.floating[Any]]) -> Array:
    """A person's mouth at rest, (57, 2): the median of the most closed among shapes (F, 57, 2).

    Closed lips mean the same in every mouth (silence; b, p, m), so motion measured from here carries from one
    person to another; a mean or median shape depends on how much somebody talks. NaN frames are left out.
    """
    gap = opening(shapes)
    closed = gap <= np.nanpercentile(gap, _CLOSED_PERCENT)
    return np.asarray(np.median(shapes[closed], axis=0))


_KEYS = ("mean", "components", "deviations")
"""Of the arrays in files."""


@dataclass(frozen=True)
class MouthBasis:
    """A linear basis of mouth shapes: shape = mean + sum of coefficient * deviation * component."""

    mean: Array
    """What shapes are measured from, (57, 2): the person's mouth at rest (:func:`rest_shape`)."""
    components: Array
    """Orthonormal directions, (K, 57, 2)."""
    stds: Array
    """Standard deviation along each direction, (K,): coefficients have unit variance."""

    def __post_init__(self) -> None:
        size = self.size
        wanted = ((MOUTH_POINTS, 2), (size, MOUTH_POINTS, 2), (size,))
        for name, array, shape in zip(_KEYS, self._arrays(), wanted, strict=True):
            if array.shape != shape:
                raise ValueError(f"the mouth basis's {name} has shape {array.shape}, expected {shape}")

    def _arrays(self) -> tuple[Array, Array, Array]:
        return self.mean, self.components, self.stds

    @property
    def size(self) -> int:
        """The number of coefficients, ``K``."""
        return len(self.stds)

    @staticmethod
    def fit(shapes: npt.NDArray[np.floating[Any]], *, size: int = 20) -> MouthBasis:
        """Principal components of shapes (F, 57, 2)."""
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

    def with_mean(self, mean: npt.NDArray[np.floating[Any]]) -> MouthBasis:
        """The same directions around another person's mean shape (57, 2)."""
        return MouthBasis(np.asarray(mean, np.float64), self.components, self.stds)

    def project(self, shapes: npt.NDArray[np.floating[Any]]) -> Array:
        """Coefficients (..., K) of shapes (..., 57, 2)."""
        return np.asarray(np.einsum("...pd,kpd->...k", shapes - self.mean, self.components) / self.stds)

    def reconstruct(self, coefficients: npt.NDArray[np.floating[Any]]) -> Array:
        """Shapes (..., 57, 2) of coefficients (..., K)."""
        return np.asarray(self.mean + np.einsum("...k,kpd->...pd", coefficients * self.stds, self.components))

    def to_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """For storing; the way back is :meth:`from_arrays`."""
        stored = zip(_KEYS, self._arrays(), strict=True)
        return {f"basis.{key}": array.astype(np.float32) for key, array in stored}

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[np.floating[Any]]]) -> MouthBasis:
        """The basis stored by :meth:`to_arrays`; ``KeyError`` where an array is missing."""
        return MouthBasis(*(np.asarray(arrays[f"basis.{key}"], np.float64) for key in _KEYS))
