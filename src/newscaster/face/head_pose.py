"""The head frame: the coordinates in which a mouth is measured free of the head's pose.

Origin midway between the outer eye corners, x along the line through them, y down the face, z into the
image. The unit is the inter-ocular distance (IOD): the distance between the outer eye corners. A
:class:`Head` is one person's rigid head, :class:`Poses` are its poses in each image. The camera is a weak
perspective (scaled orthographic):

    pixel = scale * R[:2] @ (x, y, z) + shift

which removes roll, yaw and pitch from mouth shapes; a similarity of the plane would leave yaw and pitch in.
A flat landmark takes its depth from the person's mean face. Mouths and crops are left to other modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import Similarity, smooth
from newscaster.face.topology import LANDMARKS, LEFT_EYE_OUTER, RIGHT_EYE_OUTER, STABLE
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayFloat

_POSE_STEPS = 8
_MIN_SPREAD_PX = 1e-3
_MIN_AREA = 1e-9
"""Smallest area in pixels that one square IOD may cover in the image."""
SMOOTHING_SECONDS = 0.06
"""Standard deviation of the smoothing that removes the detector's jitter from poses: 1.5 frames at 25 fps."""


@dataclass(frozen=True)
class Poses:
    """Poses of the head in F images."""

    matrix: ArrayF64
    """The first two rows of scale * rotation, (F, 2, 3): head frame to pixels."""
    shift: ArrayF64
    """Position of the head frame's origin in the image, (F, 2) pixels."""

    def __post_init__(self) -> None:
        if self.matrix.shape[1:] != (2, 3) or self.shift.shape != (len(self.matrix), 2):
            raise ValueError(
                f"poses need (F, 2, 3) and (F, 2), not {self.matrix.shape} and {self.shift.shape}"
            )

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, index: slice | npt.NDArray[np.integer[Any]] | ArrayBool) -> Poses:
        return Poses(self.matrix[index], self.shift[index])

    def repeated(self, count: int) -> Poses:
        """Return one pose, (1,), for ``count`` images."""
        return Poses(np.repeat(self.matrix, count, axis=0), np.repeat(self.shift, count, axis=0))

    @property
    def scale(self) -> ArrayF64:
        """Pixels per IOD of a frontal face, (F,)."""
        rows: ArrayF64 = np.linalg.norm(self.matrix, axis=2)
        return np.asarray(rows.mean(axis=1))

    @property
    def angles(self) -> ArrayF64:
        """Yaw, pitch and roll in degrees, (F, 3)."""
        r = self.matrix / np.linalg.norm(self.matrix, axis=2, keepdims=True)
        yaw, pitch = np.arcsin(np.clip(r[:, :, 2], -1, 1)).T
        return np.asarray(np.degrees(np.stack([yaw, pitch, self._roll()], axis=1)))

    @property
    def planes(self) -> ArrayF32:
        """Head units (x, y) on the plane through the outer eye corners, z = 0, to pixels: (F, 2, 3)."""
        planes = np.concatenate([self.matrix[:, :, :2], self.shift[..., None]], axis=-1)
        return np.asarray(planes, np.float32)

    def _roll(self) -> ArrayF64:
        m = self.matrix
        return np.asarray(np.arctan2(m[:, 1, 0] - m[:, 0, 1], m[:, 0, 0] + m[:, 1, 1]))

    def project(self, points: ArrayFloat) -> ArrayF64:
        """Return the pixels (F, P, 2) of head-frame points (P, 3) or (F, P, 3)."""
        many = np.broadcast_to(points, (len(self), *points.shape[-2:]))
        return np.asarray(np.einsum("fij,fpj->fpi", self.matrix, many) + self.shift[:, None])

    def unproject(self, pixels: ArrayFloat, depths: ArrayFloat) -> ArrayF64:
        """Return the head-frame (x, y), (F, P, 2), of pixels (F, P, 2) with known depths (P,)."""
        flat = pixels - self.shift[:, None] - np.einsum("fi,p->fpi", self.matrix[:, :, 2], depths)
        return np.asarray(np.einsum("fij,fpj->fpi", np.linalg.inv(self.matrix[:, :, :2]), flat))

    def upright(self, centre: ArrayFloat, *, to: Similarity) -> Similarity:
        """Return the similarities that set the head upright: pixels -> ``to`` of flat head units.

        ``centre`` (3,) is the head-frame point about which yaw and pitch distort least. In every pose, it
        maps to ``to`` of its own (x, y).
        """
        angle, scale = -self._roll(), 1.0 / self.scale
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        linear = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)
        seen = self.project(centre[None, :])[:, 0]
        shift = centre[:2] - np.einsum("fij,fj->fi", linear, seen)
        return Similarity(np.concatenate([linear, shift[..., None]], axis=-1)).then(to)


@dataclass(frozen=True)
class Head:
    """One person's mean face in the head frame; ``points`` has shape (478, 3)."""

    points: ArrayF64

    def __post_init__(self) -> None:
        if self.points.shape != (LANDMARKS, 3):
            raise ValueError(f"a head has points of shape ({LANDMARKS}, 3), not {self.points.shape}")

    @staticmethod
    def fit(landmarks: ArrayFloat) -> Head:
        """Return the mean face of landmarks (F, 478, 3), rigidly aligned on the :data:`STABLE` points.

        Generalised Procrustes analysis (Gower 1975) with the depths of the landmark detector.
        """
        stable = list(STABLE)
        points = landmarks.astype(np.float64)
        mean = points[0]
        for _ in range(4):
            turn, scale = _rigid(points[:, stable], mean[stable])
            source, target = points[:, stable].mean(axis=1), mean[stable].mean(axis=0)
            mean = (scale[:, None, None] * (points - source[:, None]) @ turn + target).mean(axis=0)
        return Head(_frontal(mean))

    def poses(
        self,
        landmarks: ArrayFloat,
        present: ArrayBool | None = None,
        *,
        sigma_frames: float = 0.0,
    ) -> Poses:
        """Return the least-squares poses of landmarks (F, 478, >=2), fitted on the :data:`STABLE` points.

        ``sigma_frames`` smooths these points over time first, without lag (:func:`smooth`), which keeps the
        detector's jitter out of stabilised crops. Frames that are not ``present`` are NaN, and so are frames
        whose points lie in one spot or on one line.
        """
        pixels = landmarks[:, list(STABLE), :2].astype(np.float64)
        if sigma_frames > 0:
            mask = np.ones(len(pixels), bool) if present is None else present
            pixels = smooth(pixels, mask, sigma_frames=sigma_frames)
        valid = np.isfinite(pixels).all(axis=(1, 2)) & (np.ptp(pixels, axis=1) > _MIN_SPREAD_PX).all(axis=1)
        matrix, shift = np.full((len(pixels), 2, 3), np.nan), np.full((len(pixels), 2), np.nan)
        if valid.any():
            matrix[valid], shift[valid] = self._fit(pixels[valid])
            area = np.abs(matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0])
            matrix[area < _MIN_AREA] = np.nan
        return Poses(matrix, shift)

    def steady_poses(
        self,
        landmarks: ArrayFloat,
        present: ArrayBool | None = None,
        *,
        fps: Fraction | float,
    ) -> Poses:
        """As :meth:`poses`, smoothed by SMOOTHING_SECONDS: for crops, target videos and full-face maps."""
        return self.poses(landmarks, present, sigma_frames=SMOOTHING_SECONDS * float(fps))

    @property
    def has_depth(self) -> bool:
        """Whether the points that poses are fitted on do not lie in one plane."""
        points = self.points[list(STABLE)]
        return int(np.linalg.matrix_rank(points - points.mean(axis=0))) == 3

    def _fit(self, pixels: ArrayF64) -> tuple[ArrayF64, ArrayF64]:
        # The unknown depths of the image's points come from the last pose; with depths the fit is Procrustes
        # in three dimensions. The two steps alternate until they agree.
        template = self.points[list(STABLE)]
        centre = template.mean(axis=0)
        free, seen = template - centre, pixels - pixels.mean(axis=1, keepdims=True)
        affine = np.einsum("fpi,pj->fij", seen, free) @ np.linalg.inv(free.T @ free)
        u, s, vt = np.linalg.svd(affine, full_matrices=False)
        rows, scale = u @ vt, s.mean(axis=1)
        for _ in range(_POSE_STEPS):
            depth = scale[:, None] * np.einsum("fj,pj->fp", np.cross(rows[:, 0], rows[:, 1]), free)
            rotation, _ = _rigid(np.concatenate([seen, depth[..., None]], axis=-1), free)
            rows = rotation[:, :2]
            flat = np.einsum("fij,pj->fpi", rows, free)
            scale = (flat * seen).sum(axis=(1, 2)) / (flat**2).sum(axis=(1, 2))
        matrix = scale[:, None, None] * rows
        return matrix, pixels.mean(axis=1) - matrix @ centre

    def to_arrays(self) -> dict[str, ArrayF32]:
        """Return the arrays to store; :meth:`from_arrays` is the inverse."""
        return {"head.points": self.points.astype(np.float32)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, ArrayFloat]) -> Head:
        """Return the head stored by :meth:`to_arrays`. Raise ``KeyError`` if it is missing."""
        return Head(np.asarray(arrays["head.points"], np.float64))


def _rigid(source: ArrayF64, target: ArrayF64) -> tuple[ArrayF64, ArrayF64]:
    """Return rotations R (F, 3, 3) and scales (F,): scale * (source - mean) @ R fits target - mean.

    Orthogonal Procrustes for sources (F, P, 3) and one target (P, 3) (Kabsch 1976, Umeyama 1991).
    """
    a, b = source - source.mean(axis=1, keepdims=True), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(np.einsum("fpi,pj->fij", a, b))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    return np.einsum("fij,fj,fjk->fik", u, sign, vt), (s * sign).sum(axis=1) / (a**2).sum(axis=(1, 2))


def _frontal(points: ArrayF64) -> ArrayF64:
    """Move, scale and turn points so that the outer eye corners lie at (-0.5, 0, 0) and (0.5, 0, 0)."""
    left, right = points[LEFT_EYE_OUTER], points[RIGHT_EYE_OUTER]
    points = (points - (left + right) / 2) / np.linalg.norm(right - left)
    for other in (1, 2):
        along = points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]
        angle = np.arctan2(along[other], along[0])
        turn = np.eye(3)
        turn[0, 0] = turn[other, other] = np.cos(angle)
        turn[0, other], turn[other, 0] = np.sin(angle), -np.sin(angle)
        points = points @ turn.T
    return points
