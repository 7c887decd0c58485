"""Surface warps: the mapping between image pixels and crop pixels, both ways.

A crop shows the lower face from the front, projected through a surface that bends round chin and cheeks. A
plane (a similarity of the image) suffices for a head that faces the camera. If the head turns, a plane lets
the cheeks shrink and grow and the mouth drift; on the bent surface they keep size and position.

The camera is the weak perspective of ``face.head_pose``. The surface has the depth a + b y + c x² in head
units. An image pixel p then shows the crop pixel (X, Y) for which

    matrix @ (p, 1) = (X, Y) + bend (X - middle)²

Both directions need square roots alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head, Poses
from newscaster.types import ArrayF64, ArrayFloat, ArrayI64, ImageU8

SamplingGrid = tuple[Image.Transform, Sequence[Any]]
"""A method of Pillow's ``Image.transform``, and its data."""

MIN_TURNING_DEGREES = 12.0
"""Heads whose yaw or pitch varies by less (5th to 95th percentile) get a plane. A plane needs no angles, so
errors of the angles cannot shake it."""
_BELOW_EYES = 0.5
"""The surface is fitted to the face points below this height: mouth, chin and the cheeks beside them."""
_MAX_BEND = 0.8
"""Largest bend, as a fraction of the bend at which the crop's border would be seen edge on."""
_OFF_PX = 0.2
"""Largest error of a straight piece against its curve, in pixels."""
_MIN_ROOT = 0.4
"""Smallest root that refines the pieces. Below it the surface is nearly edge on; no mask reaches there."""
_EDGE_POINTS = 9


class Surface(NamedTuple):
    """Depths in head units: ``near + down * y + across * x**2``."""

    near: float
    down: float
    across: float

    @staticmethod
    def of(head: Head) -> Surface:
        """Fit a person's lower face, by least squares over its landmarks."""
        points = head.points[head.points[:, 1] > _BELOW_EYES]
        terms = np.stack([np.ones(len(points)), points[:, 1], points[:, 0] ** 2], axis=1)
        near, down, across = np.linalg.lstsq(terms, points[:, 2], rcond=None)[0].tolist()
        return Surface(near, down, across)

    @staticmethod
    def where_turned(head: Head, poses: Poses) -> Surface | None:
        """Return :meth:`of` if the head turns by :data:`MIN_TURNING_DEGREES` or more, else None."""
        angles = poses.angles[:, :2]
        low, high = np.nanpercentile(angles, [5, 95], axis=0)
        return Surface.of(head) if (high - low).max() >= MIN_TURNING_DEGREES else None


@dataclass(frozen=True)
class SurfaceWarp:
    """Mappings from images to crops, one or many; see above. Points are in pixels, edge based."""

    matrix: ArrayF64
    """(..., 2, 3)."""
    bend: ArrayF64
    """(..., 2), in 1/px; 0 is flat."""
    middle: float = 0.0
    """The column of the crop about which the surface is bent."""

    def __post_init__(self) -> None:
        if self.matrix.shape[-2:] != (2, 3) or self.bend.shape != (*self.matrix.shape[:-2], 2):
            raise ValueError(
                f"a surface warp has a matrix (..., 2, 3) and a bend (..., 2), not {self.matrix.shape} and "
                f"{self.bend.shape}"
            )

    def __repr__(self) -> str:
        return f"SurfaceWarp{self.matrix.shape[:-2]}"

    def __getitem__(self, index: int | slice | npt.NDArray[Any]) -> SurfaceWarp:
        return SurfaceWarp(self.matrix[index], self.bend[index], self.middle)

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    @staticmethod
    def of(flat: Similarity) -> SurfaceWarp:
        """Return similarities as surface warps without a bend."""
        return SurfaceWarp(flat.matrix, np.zeros(flat.matrix.shape[:-1]))

    @staticmethod
    def on_surface(surface: Surface, poses: Poses, *, to: Similarity) -> SurfaceWarp:
        """Return the warps for heads in these poses; ``to`` maps head units to crop pixels."""
        depth = poses.matrix[:, :, 2]
        tangent = np.stack([poses.matrix[:, :, 0], poses.matrix[:, :, 1] + surface.down * depth], axis=-1)
        scale, corner = float(to.scale), to.matrix[:, 2]
        back = scale * np.linalg.inv(tangent)
        shift = corner - np.einsum("fij,fj->fi", back, poses.shift + surface.near * depth)
        bend = np.einsum("fij,fj->fi", back, depth) * (surface.across / scale**2)
        max_bend = _MAX_BEND / (2 * float(corner[0]))
        bend *= np.minimum(1, max_bend / np.maximum(np.abs(bend[:, :1]), 1e-12))
        return SurfaceWarp(np.concatenate([back, shift[..., None]], axis=-1), bend, float(corner[0]))

    def apply(self, points: ArrayFloat) -> ArrayF64:
        """Map image points (..., P, 2) to crop pixels; leading axes broadcast against the matrix's."""
        flat = np.einsum("...ij,...pj->...pi", self.matrix[..., :2], points) + self.matrix[..., None, :, 2]
        if not self.bend.any():
            return np.asarray(flat)
        bend, across = self.bend[..., None, :], flat[..., 0] - self.middle
        # Points beyond the surface have no root; they lie outside every crop.
        root = np.sqrt(np.maximum(1 + 4 * bend[..., 0] * across, 0))
        return np.asarray(flat - bend * ((2 * across / (1 + root)) ** 2)[..., None])

    def back(self, points: ArrayFloat) -> ArrayF64:
        """Map crop points (..., P, 2) to image pixels."""
        across = points[..., 0] - self.middle
        bent = points + self.bend[..., None, :] * (across**2)[..., None] - self.matrix[..., None, :, 2]
        return np.asarray(np.einsum("...ij,...pj->...pi", np.linalg.inv(self.matrix[..., :2]), bent))

    def after(self, first: Similarity) -> SurfaceWarp:
        """Return the composition: ``first``, an image similarity, then this warp."""
        linear = self.matrix[..., :2] @ first.matrix[..., :2]
        shift = np.einsum("...ij,...j->...i", self.matrix[..., :2], first.matrix[..., 2])
        matrix = np.concatenate([linear, (shift + self.matrix[..., 2])[..., None]], axis=-1)
        return SurfaceWarp(matrix, self.bend, self.middle)

    def from_corner(self, left: float, top: float) -> SurfaceWarp:
        """Return the warp for the part of the image whose upper left corner is (left, top)."""
        return self.after(Similarity.of(scale=1.0, shift=(left, top)))

    def moved(self, right: float, down: float) -> SurfaceWarp:
        """Return the warp for a crop that is extended by ``right`` at its left and ``down`` at its top."""
        matrix = self.matrix.copy()
        matrix[..., 2] += [right, down]
        return SurfaceWarp(matrix, self.bend, self.middle + right)

    def scaled_down(self, image: float, crop: float) -> SurfaceWarp:
        """Return the warp between an image and a crop with pixels ``image`` and ``crop`` times as large."""
        matrix = self.matrix / crop
        matrix[..., :2] *= image
        return SurfaceWarp(matrix, self.bend * crop, self.middle / crop)

    def outline(self, left: float, top: float, right: float, bottom: float) -> ArrayF64:
        """Return the border of a rectangle of the crop in the image: a closed line (..., P, 2)."""
        along = np.linspace(left, right, _EDGE_POINTS)
        above, below = (np.stack([along, np.full_like(along, y)], axis=1) for y in (top, bottom))
        return self.back(np.concatenate([above, below[::-1], above[:1]]))

    def to_array(self) -> ArrayF64:
        """Return the array to store: (..., 2, 3), or (..., 2, 4) on a surface, bent or not."""
        if self.middle or self.bend.any():
            return np.concatenate([self.matrix, self.bend[..., None]], axis=-1)
        return self.matrix

    @staticmethod
    def from_array(array: ArrayFloat, side: int) -> SurfaceWarp:
        """Return the warp stored by :meth:`to_array`, for crops of ``side``."""
        stored = array.astype(np.float64)
        if stored.shape[-1] == 3:
            return SurfaceWarp(stored, np.zeros(stored.shape[:-1]))
        return SurfaceWarp(stored[..., :3], stored[..., 3], side / 2)


def warped(image: Image.Image, warp: SurfaceWarp, side: int) -> ImageU8:
    """Return the crop (side, side, ...) of an image by bicubic interpolation; pixels outside it are 0."""
    linear = np.linalg.inv(warp.matrix[:, :2])
    grid: SamplingGrid
    if warp.bend.any():
        pieces = _pieces(side, 2 * float(np.hypot(*(linear @ warp.bend))))
        grid = Image.Transform.MESH, _tiles(_cut(side, pieces), _cut(side, 1), warp.back)
    else:
        grid = _straight(np.column_stack([linear, -linear @ warp.matrix[:, 2]]))
    method, data = grid
    return np.asarray(image.transform((side, side), method, data, resample=Image.Resampling.BICUBIC))


def sampling_grid(warp: SurfaceWarp, size: tuple[int, int]) -> SamplingGrid:
    """Return the grid of :func:`resample` from an image of ``size`` (width, height) into the crop."""
    if warp.bend.any():
        return Image.Transform.MESH, _tiles(*_cuts(warp, size), warp.apply)
    return _straight(warp.matrix)


def resample(
    image: Image.Image, grid: SamplingGrid, size: tuple[int, int], *, smooth: bool = True
) -> ImageU8:
    """Resample a crop, or a part of one, onto a frame of ``size`` (width, height).

    Args:
        image: the crop, any channels.
        grid: from the frame into the crop: :func:`sampling_grid` for this size.
        size: of the frame.
        smooth: bicubic instead of bilinear interpolation. Pixels outside the crop are 0.
    """
    resample = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    method, data = grid
    return np.asarray(image.transform(size, method, data, resample=resample))


def _straight(matrix: ArrayF64) -> SamplingGrid:
    return Image.Transform.AFFINE, tuple(matrix.reshape(6).tolist())


def _cuts(warp: SurfaceWarp, size: tuple[int, int]) -> tuple[ArrayI64, ArrayI64]:
    """Return columns and rows of an image between which the warp is nearly linear."""
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
    """Return the number of straight pieces for a curve of this length and second derivative."""
    return max(1, int(np.ceil(length * (curvature / (8 * _OFF_PX)) ** 0.5)))


@lru_cache(1024)
def _cut(length: int, pieces: int) -> ArrayI64:
    """Return the ends of pieces, in whole pixels."""
    ends: ArrayI64 = np.linspace(0, length, min(pieces, length) + 1).round().astype(int)
    ends.flags.writeable = False
    return ends


def _tiles(
    columns: ArrayI64, rows: ArrayI64, lookup: Callable[[ArrayF64], ArrayF64]
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Return Pillow's mesh: rectangles, and the sources of their corners from upper left, anticlockwise."""
    sources = lookup(np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64))
    corners = sources.reshape(len(rows), len(columns), 2)
    quads = np.stack([corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=2)
    boxes = [(*a, *b) for a, b in itertools.product(pairwise(rows.tolist()), pairwise(columns.tolist()))]
    return [
        ((left, top, right, bottom), tuple(quad))
        for (top, bottom, left, right), quad in zip(boxes, quads.reshape(-1, 8).tolist(), strict=True)
    ]
