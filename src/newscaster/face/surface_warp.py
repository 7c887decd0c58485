"""Lower faces laid flat: where a pixel of a picture lies in the region, and the way back.

A region shows the face as if a sheet of paper, bent round chin and cheeks, had been peeled off and laid on a
table. A sheet that stays flat (a similarity of the plane) does for a head that looks into the camera. On one
that turns, near and far cheek shrink and grow, and the mouth wanders; bent, they stay where they are.

The camera is the weak perspective of ``face.head``, and the sheet's depth a + b y + c x², in head units. A
picture's pixel p then shows the region's pixel (X, Y) for which

    matrix @ (p, 1) = (X, Y) + bend (X - middle)²

which is solved by square roots alone, either way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head, Poses

Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]
SamplingGrid = tuple[Image.Transform, Sequence[Any]]
"""A kind of Pillow's transforms, and its numbers."""

MIN_TURNING_DEGREES = 12.0
"""Heads whose yaw or pitch varies by less than this, a tenth of the time left out, get a flat sheet: it wants
no angles, and what is wrong in them would shake it."""
_BELOW_EYES = 0.5
"""The sheet lies along the points of the face below this height: mouth, chin and the cheeks beside them."""
_MAX_BEND = 0.8
"""Of the bend at which the region's edge would be seen edge on."""
_OFF_PX = 0.2
"""By how much straight pieces may miss a curve."""
_MIN_ROOT = 0.4
"""Where the sheet is seen more edge on than this, pieces need not be finer: no mask reaches there."""
_EDGE_POINTS = 9


class Surface(NamedTuple):
    """Depths in head units: ``near + down * y + across * x**2``."""

    near: float
    down: float
    across: float

    @staticmethod
    def of(head: Head) -> Surface:
        """What comes nearest to a person's lower face, by least squares over its landmarks."""
        points = head.points[head.points[:, 1] > _BELOW_EYES]
        terms = np.stack([np.ones(len(points)), points[:, 1], points[:, 0] ** 2], axis=1)
        near, down, across = np.linalg.lstsq(terms, points[:, 2], rcond=None)[0].tolist()
        return Surface(near, down, across)

    @staticmethod
    def where_turned(head: Head, poses: Poses) -> Surface | None:
        """:meth:`of`, where a head turns by more than a flat sheet can bear; None where it does not."""
        angles = poses.angles[:, :2]
        low, high = np.nanpercentile(angles, [5, 95], axis=0)
        return Surface.of(head) if (high - low).max() >= MIN_TURNING_DEGREES else None


@dataclass(frozen=True)
class SurfaceWarp:
    """Pictures to regions, one or many; see above. Points are in pixels, edge based."""

    matrix: Array
    """(..., 2, 3)."""
    bend: Array
    """(..., 2), in 1/px; 0 is flat."""
    middle: float = 0.0
    """The column of the region that the sheet is bent about."""

    def __post_init__(self) -> None:
        if self.matrix.shape[-2:] != (2, 3) or self.bend.shape != (*self.matrix.shape[:-2], 2):
            raise ValueError(
                f"a flattening has a matrix (..., 2, 3) and a bend (..., 2), not {self.matrix.shape} and "
                f"{self.bend.shape}"
            )

    def __repr__(self) -> str:
        return f"Flattening{self.matrix.shape[:-2]}"

    def __getitem__(self, index: int | slice | npt.NDArray[Any]) -> SurfaceWarp:
        return SurfaceWarp(self.matrix[index], self.bend[index], self.middle)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    @staticmethod
    def of(flat: Similarity) -> SurfaceWarp:
        """Similarities, as they are."""
        return SurfaceWarp(flat.matrix, np.zeros(flat.matrix.shape[:-1]))

    @staticmethod
    def on_surface(surface: Surface, poses: Poses, *, to: Similarity) -> SurfaceWarp:
        """For heads in these poses; ``to`` leads from head units to region pixels."""
        depth = poses.matrix[:, :, 2]
        sheet = np.stack([poses.matrix[:, :, 0], poses.matrix[:, :, 1] + surface.down * depth], axis=-1)
        scale, corner = float(to.scale), to.matrix[:, 2]
        back = scale * np.linalg.inv(sheet)
        shift = corner - np.einsum("fij,fj->fi", back, poses.shift + surface.near * depth)
        bend = np.einsum("fij,fj->fi", back, depth) * (surface.across / scale**2)
        most = _MAX_BEND / (2 * float(corner[0]))
        bend *= np.minimum(1, most / np.maximum(np.abs(bend[:, :1]), 1e-12))
        return SurfaceWarp(np.concatenate([back, shift[..., None]], axis=-1), bend, float(corner[0]))

    def apply(self, points: npt.NDArray[np.floating[Any]]) -> Array:
        """Region pixels of a picture's points (..., P, 2); leading axes broadcast against the matrix's."""
        flat = np.einsum("...ij,...pj->...pi", self.matrix[..., :2], points) + self.matrix[..., None, :, 2]
        if not self.bend.any():
            return np.asarray(flat)
        bend, across = self.bend[..., None, :], flat[..., 0] - self.middle
        # Beyond what the sheet can show there is no root: such points lie outside of every region.
        root = np.sqrt(np.maximum(1 + 4 * bend[..., 0] * across, 0))
        return np.asarray(flat - bend * ((2 * across / (1 + root)) ** 2)[..., None])

    def back(self, points: npt.NDArray[np.floating[Any]]) -> Array:
        """A picture's pixels of region points (..., P, 2)."""
        across = points[..., 0] - self.middle
        bent = points + self.bend[..., None, :] * (across**2)[..., None] - self.matrix[..., None, :, 2]
        return np.asarray(np.einsum("...ij,...pj->...pi", np.linalg.inv(self.matrix[..., :2]), bent))

    def after(self, first: Similarity) -> SurfaceWarp:
        """The flattening of pictures that ``first`` leads to those of this one."""
        linear = self.matrix[..., :2] @ first.matrix[..., :2]
        shift = np.einsum("...ij,...j->...i", self.matrix[..., :2], first.matrix[..., 2])
        matrix = np.concatenate([linear, (shift + self.matrix[..., 2])[..., None]], axis=-1)
        return SurfaceWarp(matrix, self.bend, self.middle)

    def from_corner(self, left: float, top: float) -> SurfaceWarp:
        """The flattening of the part of the picture that begins there."""
        return self.after(Similarity.of(scale=1.0, shift=(left, top)))

    def moved(self, right: float, down: float) -> SurfaceWarp:
        """The same, of a region that has grown by so much at its left and its top."""
        matrix = self.matrix.copy()
        matrix[..., 2] += [right, down]
        return SurfaceWarp(matrix, self.bend, self.middle + right)

    def outline(self, left: float, top: float, right: float, bottom: float) -> Array:
        """The edge of a rectangle of the region in the picture: a closed line (..., P, 2)."""
        along = np.linspace(left, right, _EDGE_POINTS)
        above, below = (np.stack([along, np.full_like(along, y)], axis=1) for y in (top, bottom))
        return self.back(np.concatenate([above, below[::-1], above[:1]]))

    def to_array(self) -> Array:
        """For storing: (..., 2, 3), or (..., 2, 4) if it lies on a surface, bent or not."""
        if self.middle or self.bend.any():
            return np.concatenate([self.matrix, self.bend[..., None]], axis=-1)
        return self.matrix

    @staticmethod
    def from_array(array: npt.NDArray[np.floating[Any]], side: int) -> SurfaceWarp:
        """What :meth:`to_array` made, for regions of ``side``."""
        numbers = array.astype(np.float64)
        if numbers.shape[-1] == 3:
            return SurfaceWarp(numbers, np.zeros(numbers.shape[:-1]))
        return SurfaceWarp(numbers[..., :3], numbers[..., 3], side / 2)


def warped(image: Image.Image, warp: SurfaceWarp, side: int) -> ImageArray:
    """The region (side, side, ...) of a picture, by bicubic weights; what lies outside of it is 0."""
    linear = np.linalg.inv(warp.matrix[:, :2])
    grid: SamplingGrid
    if warp.bend.any():
        pieces = _pieces(side, 2 * float(np.hypot(*(linear @ warp.bend))))
        grid = Image.Transform.MESH, _tiles(_cut(side, pieces), _cut(side, 1), warp.back)
    else:
        grid = _straight(np.column_stack([linear, -linear @ warp.matrix[:, 2]]))
    kind, numbers = grid
    return np.asarray(image.transform((side, side), kind, numbers, resample=Image.Resampling.BICUBIC))


def sampling_grid(warp: SurfaceWarp, size: tuple[int, int]) -> SamplingGrid:
    """Where the pixels of a picture of ``size`` (width, height) lie in a region: for :func:`resample`."""
    if warp.bend.any():
        return Image.Transform.MESH, _tiles(*_cuts(warp, size), warp.apply)
    return _straight(warp.matrix)


def resample(
    image: Image.Image, grid: SamplingGrid, size: tuple[int, int], *, smooth: bool = True
) -> ImageArray:
    """A region, or a part of one, put onto a picture of ``size`` (width, height).

    Args:
        image: the region, any channels.
        grid: from the picture into the image, of :func:`sampling_grid` for this size.
        size: of the picture.
        smooth: bicubic in place of linear weights. What lies outside of the image is 0.
    """
    resample = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    kind, numbers = grid
    return np.asarray(image.transform(size, kind, numbers, resample=resample))


def _straight(matrix: Array) -> SamplingGrid:
    return Image.Transform.AFFINE, tuple(matrix.reshape(6).tolist())


def _cuts(warp: SurfaceWarp, size: tuple[int, int]) -> tuple[Whole, Whole]:
    """Columns and rows of a picture between which the way into the region is as good as straight."""
    width, height = size
    right, down, first = warp.matrix[0]
    corners = first - warp.middle + np.add.outer([0.0, right * width], [0.0, down * height])
    roots = np.sqrt(np.maximum(1 + 4 * warp.bend[0] * corners, _MIN_ROOT**2))
    curvature = 2 * float(np.hypot(*warp.bend)) / float(roots.min()) ** 3
    columns, rows = (
        _pieces(abs(step) * length, curvature) for step, length in ((right, width), (down, height))
    )
    return _cut(width, columns), _cut(height, rows)


def _pieces(length: float, curvature: float) -> int:
    """Into how many straight pieces a curve of this length and second derivative is cut."""
    return max(1, int(np.ceil(length * (curvature / (8 * _OFF_PX)) ** 0.5)))


def _cut(length: int, pieces: int) -> Whole:
    """The ends of pieces of whole pixels."""
    return np.linspace(0, length, min(pieces, length) + 1).round().astype(int)


def _tiles(
    columns: Whole, rows: Whole, lookup: Callable[[Array], Array]
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Pillow's mesh: rectangles, and where their corners are found, counter-clockwise from the upper left."""
    found = lookup(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64))
    corners = found.reshape(len(rows), len(columns), 2)
    quads = np.stack([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=2)
    boxes = [(*a, *b) for a, b in itertools.product(pairwise(rows.tolist()), pairwise(columns.tolist()))]
    return [
        ((left, top, right, bottom), tuple(quad))
        for (top, bottom, left, right), quad in zip(boxes, quads.reshape(-1, 8).tolist(), strict=True)
    ]
