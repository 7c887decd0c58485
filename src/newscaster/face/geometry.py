"""Similarities of the plane, smoothing without lag, and small helpers on landmarks.

Contains nothing about heads or mouths; ``face.head_pose`` builds the head frame from this.

Pixel coordinates are edge based: pixel (0, 0) covers [0, 1) x [0, 1) and its centre is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from newscaster.face.topology import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from newscaster.types import ArrayBool, ArrayF64, ArrayFloat


@dataclass(frozen=True)
class Similarity:
    """Rotations, uniform scales and shifts, one or many: ``matrix`` has shape (..., 2, 3)."""

    matrix: ArrayF64

    def __post_init__(self) -> None:
        if self.matrix.shape[-2:] != (2, 3):
            raise ValueError(f"a similarity has a matrix of shape (..., 2, 3), not {self.matrix.shape}")

    def __repr__(self) -> str:
        return f"Similarity{self.matrix.shape[:-2]}"

    def __getitem__(self, index: int | slice) -> Similarity:
        return Similarity(self.matrix[index])

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    @staticmethod
    def of(*, scale: float, shift: tuple[float, float]) -> Similarity:
        """Return one similarity without rotation: p -> scale * p + shift."""
        return Similarity(np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]]))

    @property
    def scale(self) -> ArrayF64:
        """The factor by which lengths grow, shape (...)."""
        return np.asarray(np.hypot(self.matrix[..., 0, 0], self.matrix[..., 1, 0]))

    def apply(self, points: ArrayFloat) -> ArrayF64:
        """Map points of shape (..., P, 2); the leading axes broadcast against the similarity's."""
        turned = np.einsum("...ij,...pj->...pi", self.matrix[..., :2], points)
        return np.asarray(turned + self.matrix[..., None, :, 2])

    def then(self, after: Similarity) -> Similarity:
        """Return the composition: this similarity first, ``after`` second."""
        linear = after.matrix[..., :2] @ self.matrix[..., :2]
        shift = np.einsum("...ij,...j->...i", after.matrix[..., :2], self.matrix[..., 2])
        return Similarity(np.concatenate([linear, (shift + after.matrix[..., 2])[..., None]], axis=-1))


def smooth(values: ArrayFloat, present: ArrayBool, *, sigma_frames: float) -> ArrayF64:
    """Smooth a series along its first axis without lag, never across frames that are not ``present``.

    A Gaussian of ``sigma_frames``, symmetric in time, renormalised at the ends of every run of present
    frames. Frames that are not present are NaN in the result.
    """
    out = np.full(values.shape, np.nan)
    radius = max(1, int(np.ceil(3 * sigma_frames)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma_frames, 1e-6)) ** 2)
    for start, stop in runs(present):
        run = values[start:stop].reshape(stop - start, -1).astype(np.float64)
        weight = np.convolve(np.ones(stop - start), kernel, mode="full")[radius:-radius]
        padded = np.pad(run, ((radius, radius), (0, 0)))
        total = np.zeros_like(run)
        for k, w in enumerate(kernel):
            total += w * padded[k : k + stop - start]
        out[start:stop] = (total / weight[:, None]).reshape(values[start:stop].shape)
    return out


def runs(present: ArrayBool) -> list[tuple[int, int]]:
    """Return the runs of true values as (start, stop) pairs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def eye_distance(landmarks: ArrayFloat) -> ArrayF64:
    """Return the distance between the outer eye corners in pixels, for landmarks (..., L, >=2)."""
    between = landmarks[..., LEFT_EYE_OUTER, :2] - landmarks[..., RIGHT_EYE_OUTER, :2]
    return np.asarray(np.hypot(between[..., 0], between[..., 1]), np.float64)


def smoothstep(x: ArrayF64) -> ArrayF64:
    """Return what rises from 0 to 1 as x does, with level ends; of any shape."""
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
