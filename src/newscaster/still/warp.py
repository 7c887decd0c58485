"""The flow of a turning head: from the pixels of a frame back to those of the photograph.

The head is a surface in a weak perspective: the depths of the landmarks inside the face, an ellipsoid
around it. It turns about the top of the neck. The displacement D of a pixel of the photograph falls off from
the head through the neck to the shoulders, which only breathe, and towards the borders of the image::

    frame pixel p = q + D(q)        q: pixel of the photograph

Frames are sampled backwards, so q is needed for a grid of p: a fixed-point iteration, which converges since D
changes slowly. Between the points of the grid, q is bilinear. ``layers`` samples; ``target`` moves landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from newscaster.face.head_pose import Head
from newscaster.types import ArrayF64, ArrayFloat, ArrayI64

CHIN = 152
_CELLS_PER_IOD = 8
_MIN_CELL_PX = 8
_INVERSION_STEPS = 8
_FORWARD_STEPS = 8
_CONVERGED_PX = 1e-3
"""A step of an iteration that moves no point further is the last one; the next would be far smaller."""
_STEPS_PER_PX = 1024
"""Resolution of the flow: a pixel that does not move is sampled exactly."""
_PIVOT = (0.0, 1.0, 1.0)
"""The joint of head and neck in the head frame, IOD: behind the mouth, between the ears."""
_RADII = (1.12, 1.3)
"""Horizontal radius of the ellipsoid in half widths of the face; vertical radius in IOD."""
_LIMB = 0.3
"""Softness of the ellipsoid's rim, where the depth of a real one changes infinitely fast."""
_KERNEL_IOD, _RIDGE = 0.22, 0.02
"""Width and regularisation of the kernel that adds the landmarks' depths to the ellipsoid's."""
_NECK = (0.06, 1.15)
"""The motion of the head falls off between these heights below the chin, in IOD."""
_ASIDE = (1.5, 3.2)
"""The same for distances from the head's centre."""
_BORDER_IOD = 0.6
"""Motion across a border of the image falls off over this distance from it."""
_BREATH_IOD, _BREATH_WIDTH, _BREATH_HEAD = 0.018, 0.003, 0.3
"""Rise of the shoulders, widening of the chest, and the head's part in the rise."""
_BODY = (3.0, 6.0)
"""Breathing falls off between these heights below the chin, in IOD."""
_FACE_SIDES = (234, 454)
_EYE_CORNERS = (33, 263)


@dataclass(frozen=True)
class HeadMove:
    """The motion of one frame. All zeros and scale 1: the photograph."""

    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll in degrees."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Right and down, in IOD."""
    scale: float = 1.0
    breath: float = 0.0
    """0 to 1."""


def rotation(angles: tuple[float, float, float]) -> ArrayF64:
    """Return the rotation (3, 3) of yaw, pitch and roll in degrees, signs as in ``Poses.angles``."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(yaw @ pitch @ roll)


class HeadFlow:
    """The flow of one photograph's head.

    Args:
        landmarks: of the face, (478, 3) pixels.
        size: width and height of the photograph.
    """

    def __init__(self, landmarks: ArrayFloat, size: tuple[int, int]) -> None:
        points = landmarks.astype(np.float64)
        head = Head.fit(points[None])
        pose = head.poses(points[None])
        self.size = size
        self.iod = float(pose.scale[0])
        """Inter-ocular distance of the frontal face in pixels."""
        rows = pose.matrix[0] / np.linalg.norm(pose.matrix[0], axis=1, keepdims=True)
        self._turn = np.stack([*rows, np.cross(rows[0], rows[1])])
        self._origin = pose.shift[0]
        roll = np.radians(float(pose.angles[0, 2]))
        self._axes = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        self._depth_origin = float(points[list(_EYE_CORNERS), 2].mean())
        self._chin = points[CHIN, :2]
        self._pivot = self._turn @ (self.iod * np.array(_PIVOT))
        cell = max(_MIN_CELL_PX, round(self.iod / _CELLS_PER_IOD))
        self.columns, self.rows = (_cuts(side, cell) for side in size)
        self._fields = _Fields(size, cell / 2, lambda at: self._sample_fields(at, points, head))

    def grid(self, move: HeadMove) -> ArrayF64:
        """Return the pixels of the photograph, (rows, columns, 2), under the corners of a frame's cells."""
        corners = np.stack(np.meshgrid(self.columns, self.rows), axis=-1).reshape(-1, 2).astype(np.float64)
        sources = corners
        for _ in range(_INVERSION_STEPS):
            before = sources
            sources = corners - self.displacement(before, move)
            if np.abs(sources - before).max() < _CONVERGED_PX:
                break
        sources = np.clip(np.round(sources * _STEPS_PER_PX) / _STEPS_PER_PX, 0, self.size)
        return np.asarray(sources.reshape(len(self.rows), len(self.columns), 2))

    def displacement(self, points: ArrayFloat, move: HeadMove) -> ArrayF64:
        """Return how far pixels of the photograph, (P, 2), move."""
        depth, follow, breathe, across, down = self._fields(points).T
        relative = np.concatenate([points - self._origin, depth[:, None]], axis=1) - self._pivot
        turn = move.scale * (self._turn @ rotation(move.angles) @ self._turn.T)[:2] - np.eye(2, 3)
        out = follow[:, None] * (relative @ turn.T + self.iod * np.asarray(move.shift))
        out[:, 1] -= move.breath * breathe * self.iod * _BREATH_IOD
        out[:, 0] += move.breath * breathe * (1 - follow) * (points[:, 0] - self._chin[0]) * _BREATH_WIDTH
        return np.asarray(out * np.stack([across, down], axis=1))

    def depth(self, points: ArrayFloat) -> ArrayF64:
        """Return depths (P,) of the surface in pixels, from the eye corners into the image."""
        return self._fields(points)[:, 0]

    def turned_depth(self, points: ArrayFloat, move: HeadMove) -> ArrayF64:
        """Return depths (P,) of landmarks (P, 3) in pixels after the head turned about its pivot."""
        middle = np.array([*self._origin, self._depth_origin]) + self._pivot
        turn = move.scale * (self._turn @ rotation(move.angles) @ self._turn.T)[2]
        return np.asarray((points - middle) @ turn + middle[2])

    def forward(self, points: ArrayFloat, grid: ArrayF64) -> ArrayF64:
        """Return the pixels in the frame, (P, 2), of points of the photograph: the inverse of the grid."""
        moved = points.astype(np.float64)
        for _ in range(_FORWARD_STEPS):
            error = self._backward(moved, grid) - points
            moved = moved - error
            if np.abs(error).max() < _CONVERGED_PX:
                break
        return np.asarray(moved)

    def _backward(self, points: ArrayF64, grid: ArrayF64) -> ArrayF64:
        column, x = _within(self.columns, points[:, 0])
        row, y = _within(self.rows, points[:, 1])
        x, y = x[:, None], y[:, None]
        above = grid[row, column] * (1 - x) + grid[row, column + 1] * x
        below = grid[row + 1, column] * (1 - x) + grid[row + 1, column + 1] * x
        return np.asarray(above * (1 - y) + below * y)

    def min_jacobian(self, grid: ArrayF64) -> float:
        """Return the smallest area of a cell's corner in the photograph, relative to the cell's own.

        Above 0, the flow of the whole frame is invertible.
        """
        right = np.diff(grid, axis=1) / np.diff(self.columns)[None, :, None]
        below = np.diff(grid, axis=0) / np.diff(self.rows)[:, None, None]
        areas = [
            _cross(right[i : i + len(below)], below[:, j : j + right.shape[1]])
            for i in (0, 1)
            for j in (0, 1)
        ]
        return float(np.min(areas))

    def _sample_fields(self, at: ArrayF64, points: ArrayF64, head: Head) -> ArrayF64:
        """Return depth and the weights of motion, breathing, x and y: (P, 5), at pixels (P, 2)."""
        below = (at - self._chin) @ self._axes[1] / self.iod
        aside = np.linalg.norm(at - self._origin - self._pivot[:2] * 0.2, axis=1) / self.iod
        follow = (1 - _smoothstep(below, *_NECK)) * (1 - _smoothstep(aside, *_ASIDE))
        breathe = _smoothstep(below, *_NECK) * (1 - _smoothstep(below, *_BODY)) + _BREATH_HEAD * follow
        border = _BORDER_IOD * self.iod
        fades = [
            _smoothstep(at[:, i], 0, border) * _smoothstep(self.size[i] - at[:, i], 0, border) for i in (0, 1)
        ]
        return np.stack([self._depths(at, points, head), follow, breathe, *fades], axis=1)

    def _depths(self, at: ArrayF64, points: ArrayF64, head: Head) -> ArrayF64:
        width = abs(head.points[_FACE_SIDES[1], 0] - head.points[_FACE_SIDES[0], 0]) / 2
        radii = self.iod * np.array([_RADII[0] * width, _RADII[1]])
        middle = points[list(_FACE_SIDES), :2].mean(axis=0)
        # Between the ears, which are behind the eyes: in a turned head their middle is beside the face's.
        middle = middle + self._axes[1] * ((self._origin - middle) @ self._axes[1])

        def cap(pixels: ArrayF64) -> ArrayF64:
            inside = 1 - (((pixels - middle) @ self._axes.T / radii) ** 2).sum(axis=1)
            return np.asarray(np.sqrt((inside + np.hypot(inside, _LIMB)) / 2))

        pixels = points[:, :2]
        depths = points[:, 2] - self._depth_origin
        terms = np.stack([np.ones(len(pixels)), cap(pixels)], axis=1)
        fit = np.linalg.lstsq(terms, depths, rcond=None)[0]
        kernel = _gauss(pixels, pixels, _KERNEL_IOD * self.iod)
        weights = np.linalg.solve(kernel + _RIDGE * np.eye(len(kernel)), depths - terms @ fit)
        out = fit[0] + fit[1] * cap(at)
        for start in range(0, len(at), 4096):
            part = slice(start, start + 4096)
            out[part] += _gauss(at[part], pixels, _KERNEL_IOD * self.iod) @ weights
        return np.asarray(out)


class _Fields:
    """Functions of the image's pixels, sampled once on a lattice; bilinear in between."""

    def __init__(self, size: tuple[int, int], step: float, sample: Callable[[ArrayF64], ArrayF64]) -> None:
        counts = [int(np.ceil(side / step)) + 1 for side in size]
        self._step = step
        at = np.stack(np.meshgrid(*(np.arange(count) * step for count in counts)), axis=-1)
        self._values = sample(at.reshape(-1, 2)).reshape(counts[1], counts[0], -1)

    def __call__(self, points: ArrayFloat) -> ArrayF64:
        rows, columns = self._values.shape[:2]
        x = np.clip(points[:, 0] / self._step, 0, columns - 1.001)
        y = np.clip(points[:, 1] / self._step, 0, rows - 1.001)
        i, j = y.astype(np.int64), x.astype(np.int64)
        x, y = (x - j)[:, None], (y - i)[:, None]
        above = self._values[i, j] * (1 - x) + self._values[i, j + 1] * x
        below = self._values[i + 1, j] * (1 - x) + self._values[i + 1, j + 1] * x
        return np.asarray(above * (1 - y) + below * y)


def _cuts(side: int, cell: int) -> ArrayI64:
    return np.linspace(0, side, max(1, round(side / cell)) + 1).round().astype(np.int64)


def _within(cuts: ArrayI64, at: ArrayF64) -> tuple[ArrayI64, ArrayF64]:
    """Return cells (P,) and positions in them, 0 to 1; more outside the image."""
    cell = np.clip(np.searchsorted(cuts, at, side="right") - 1, 0, len(cuts) - 2)
    return cell, np.asarray((at - cuts[cell]) / (cuts[cell + 1] - cuts[cell]))


def _cross(a: ArrayF64, b: ArrayF64) -> ArrayF64:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _gauss(a: ArrayF64, b: ArrayF64, width: float) -> ArrayF64:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * squares / width**2))


def _smoothstep(x: ArrayF64, start: float, end: float) -> ArrayF64:
    x = np.clip((x - start) / (end - start), 0, 1)
    return np.asarray(x * x * x * (x * (6 * x - 15) + 10))
