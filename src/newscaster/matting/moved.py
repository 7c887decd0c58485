"""The mattes of frames that are one image, moved by a mesh: a photograph whose head turns.

::

    matte of the image ──┐
    mesh of frame n ─────┴──► alpha and colours, warped ──► matte of frame n

Only the mesh differs from frame to frame. Its motion has few degrees of freedom, so that it is a weighted sum
of a few displacement fields: see `Mesh`. The mattes of 300 frames are then about as large as three.

Of the colours, the difference D between the person's colour F and the image is known on the edge. There, with
alpha a, the image shows a F + (1 - a) B before the background B. So D = (1 - a) (F - B). D changes as fast as
alpha does. The contrast F - B does not: it is warped, and continued beyond the edge.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from newscaster.matting.filters import box_mean
from newscaster.matting.planes import FrameMatte, PlaneMatte, half_alpha
from newscaster.media.doubling import doubled
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64, ImageU8

Size = tuple[int, int]
"""height, width"""
TOLERANCE_PX = 1 / 128
"""Largest error of a mesh that is stored as a sum of as few fields as this needs, where it shows the edge."""
MAX_ERROR_PX = 1 / 32
"""The same with as many fields as possible: lively heads need more for the last hundredths."""
MAX_FIELDS, MAX_NODES, MAX_VALUES = 128, 1 << 16, 1 << 22
"""The last one is that of fields times nodes."""
_LEVELS = 32767
_HEADER = struct.Struct("<HHHI")
_UNCERTAIN = 0.1
"""If this part of a pixel shows the background, its contrast counts by half."""
_AROUND = ((1, 9.0), (4, 1e-3))
"""Distances in samples over which the contrast is smoothed and continued, and weights of the means there."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh over an image, and the fields by which its nodes are displaced.

    ::

        source of node n = place of n + sum over k of coefficient k * field k at n

    Attributes:
        columns: (C,) x of the nodes in whole pixels, rising from 0 to the image's width.
        rows: (R,) y of the nodes, from 0 to its height.
        fields: (K, R, C, 2) int16: displacement x, y in units of `scales`.
        scales: (K,) pixels per unit.
    """

    columns: ArrayI64
    rows: ArrayI64
    fields: npt.NDArray[np.int16]
    scales: ArrayF32

    @staticmethod
    def fit(grids: ArrayF64, columns: ArrayI64, rows: ArrayI64, *, exact: ArrayBool) -> tuple[Mesh, ArrayF32]:
        """Return the mesh of grids, and their coefficients (F, K): principal components.

        Args:
            grids: (F, R, C, 2): pixels of the image under the nodes, in each of F frames.
            columns: (C,) x of the nodes.
            rows: (R,) y of the nodes.
            exact: (R, C): which nodes must be right: within `TOLERANCE_PX`; with all fields, `MAX_ERROR_PX`.

        Raises:
            ValueError: the motion has too many degrees of freedom.
        """
        frames = len(grids)
        moved = grids - np.stack(np.meshgrid(columns, rows), axis=-1)
        exactly = moved[:, exact].reshape(frames, -1)
        values, vectors = np.linalg.eigh(exactly @ exactly.T)
        vectors = vectors[:, np.argsort(values)[::-1]].astype(np.float32).astype(np.float64)
        fields = np.tensordot(vectors.T, moved, axes=1)
        scales = np.abs(fields).max(axis=(1, 2, 3)) / _LEVELS
        units = np.rint(fields / np.maximum(scales, 1e-30)[:, None, None, None])
        steps = scales[:, None] * units[:, exact].reshape(frames, -1)
        rest = exactly
        most = min(MAX_FIELDS, frames, MAX_VALUES // exact.size)
        for count in range(most + 1):
            error = np.abs(rest).max(initial=0)
            if error <= (TOLERANCE_PX if count < most else MAX_ERROR_PX):
                mesh = Mesh(columns, rows, units[:count].astype(np.int16), scales[:count].astype(np.float32))
                return mesh, vectors[:, :count].astype(np.float32)
            rest = rest - np.outer(vectors[:, count % frames], steps[count % frames])
        raise ValueError(f"{most} fields describe the motion within {error:.3f} pixels only")

    @cached_property
    def _fields(self) -> ArrayF32:
        return self.fields.reshape(len(self.fields), 2 * len(self.rows) * len(self.columns)).astype(
            np.float32
        )

    def grid(self, coefficients: ArrayF32) -> ArrayF32:
        """Return the pixels of the image under the nodes, (R, C, 2), inside the image."""
        weights = coefficients * self.scales
        moved = (weights @ self._fields).reshape(self.fields.shape[1:])
        moved[..., 0] += self.columns
        moved[..., 1] += self.rows[:, None]
        limit = np.array([self.columns[-1], self.rows[-1]], np.float32)
        return np.asarray(np.clip(moved, 0, limit, out=moved))

    def encode(self) -> bytes:
        """Return the mesh as bytes: see docs/formats.md."""
        count = len(self.scales)
        packed = zlib.compress(np.diff(self.fields, axis=2, prepend=np.int16(0)).astype("<i2").tobytes(), 9)
        return b"".join(
            [
                _HEADER.pack(len(self.columns), len(self.rows), count, len(packed)),
                self.columns.astype("<u2").tobytes(),
                self.rows.astype("<u2").tobytes(),
                self.scales.astype("<f4").tobytes(),
                packed,
            ]
        )

    @staticmethod
    def decode(data: memoryview, size: Size) -> tuple[Mesh, memoryview]:
        """Parse a mesh over an image, untrusted; return it and the remaining bytes.

        Raises:
            ValueError: it is damaged.
        """
        header, data = _cut(data, _HEADER.size)
        across, down, count, length = _HEADER.unpack(header)
        nodes = across * down
        if min(across, down) < 2 or nodes > MAX_NODES or count > MAX_FIELDS or count * nodes > MAX_VALUES:
            raise ValueError(f"its mesh has {across}x{down} nodes and {count} fields")
        lines = []
        for number, side in ((across, size[1]), (down, size[0])):
            part, data = _cut(data, 2 * number)
            line = np.frombuffer(part, "<u2").astype(np.int64)
            if line[0] != 0 or line[-1] != side or (np.diff(line) <= 0).any():
                raise ValueError("its mesh does not cover the image")
            lines.append(line)
        part, data = _cut(data, 4 * count)
        scales = np.frombuffer(part, "<f4").astype(np.float32)
        if not (np.isfinite(scales).all() and (np.abs(scales) <= max(size)).all()):
            raise ValueError("its mesh has scales that are not finite")
        part, data = _cut(data, length)
        expected = 4 * nodes * count
        inflater = zlib.decompressobj()
        try:
            content = inflater.decompress(part, expected + 1)
        except zlib.error as error:
            raise ValueError(f"its mesh cannot be decompressed ({error})") from error
        if len(content) != expected or not inflater.eof or inflater.unused_data:
            raise ValueError("its mesh is cut short or too long")
        steps = np.frombuffer(content, "<i2").astype(np.int16).reshape(count, down, across, 2)
        fields = np.cumsum(steps, axis=2, dtype=np.int16)
        return Mesh(lines[0], lines[1], fields, scales), data


class MovedImage:
    """An image's matte, for frames in which a mesh moves it. Thread-safe.

    Args:
        matte: of the image, in its own planes; not opaque.
        mesh: over the image.

    Raises:
        ValueError: the matte is opaque.
    """

    def __init__(self, matte: FrameMatte, mesh: Mesh) -> None:
        if matte.luma is None or matte.chroma is None:
            raise ValueError("its image is opaque")
        self.matte, self.mesh = matte, mesh
        self._size = matte.luma.size
        alpha = matte.luma.full_alpha()
        self._alpha = doubled(alpha[..., None])[..., 0]
        """(2 H, 2 W)"""
        self._contrast = _contrast(matte.luma, matte.chroma)
        (height, width), (rows, columns) = self._size, (mesh.rows, mesh.columns)
        pairs = self._alpha.reshape(height, 2, width, 2)
        self._not_inside = _integral(pairs.min(axis=(1, 3)) < 255)
        self._not_outside = _integral(pairs.max(axis=(1, 3)) > 0)
        self._row, self._down = _cells(rows, height)
        self._column, self._across = _cells(columns, width)
        self._shape = np.diff(rows), np.diff(columns)

    @staticmethod
    def of(
        matte: FrameMatte, grids: ArrayF64, columns: ArrayI64, rows: ArrayI64
    ) -> tuple[MovedImage, ArrayF32]:
        """Return an image that moves as F grids do, and the coefficients (F, K) of its frames.

        Args:
            matte: of the image.
            grids: (F, R, C, 2); see :meth:`Mesh.fit` for the other arguments.

        Raises:
            ValueError: the matte is opaque, or the motion has too many degrees of freedom.
        """
        shape = 0, len(rows), len(columns), 2
        still = MovedImage(matte, Mesh(columns, rows, np.zeros(shape, np.int16), np.zeros(0, np.float32)))
        first, _ = still._kinds(grids[0].astype(np.float32))
        edge = np.zeros_like(first)
        for grid in grids:
            inside, on_edge = still._kinds(grid.astype(np.float32))
            edge |= on_edge | (inside != first)
        exact = np.zeros((len(rows), len(columns)), np.bool_)
        for view in (exact[:-1, :-1], exact[1:, :-1], exact[:-1, 1:], exact[1:, 1:]):
            view |= edge
        mesh, coefficients = Mesh.fit(grids, columns, rows, exact=exact)
        return MovedImage(matte, mesh), coefficients

    def frame(self, coefficients: ArrayF32) -> FrameMatte:
        """Return the matte of the frame whose mesh has these coefficients (K,)."""
        grid = self.mesh.grid(coefficients)
        inside, edge = self._kinds(grid)
        sources = _Sources(self, grid)
        alpha = self._spread(np.where(inside, np.uint8(255), np.uint8(0)))
        pixels = np.flatnonzero(self._spread(edge))
        flat = alpha.reshape(-1)
        values = self._sampled(*sources.at(pixels))
        flat[pixels] = values
        index = pixels[(values - np.uint8(1)) < 254]  # 0 wraps around to 255
        half = half_alpha(alpha)
        half_flat = half.reshape(-1)
        half_index = np.flatnonzero((half_flat - np.uint8(1)) < 254)
        return self._in_planes(alpha, index, half, half_index, sources)

    def _in_planes(
        self, alpha: ImageU8, index: ArrayI64, half: ImageU8, half_index: ArrayI64, sources: _Sources
    ) -> FrameMatte:
        """Return a matte from alpha of luma and of chroma, and the indices of their edge pixels."""
        width = self._size[1]
        half_height, half_width = half.shape
        row, column = np.divmod(half_index, half_width)
        x, y = sources.at(2 * row * width + 2 * column)
        place = np.minimum((y * np.float32(0.5)).astype(np.int64), half_height - 1) * half_width
        place += np.minimum((x * np.float32(0.5)).astype(np.int64), half_width - 1)
        contrast = self._contrast[:, place]
        # Every edge pixel of luma lies in the 2 x 2 pixels at an edge sample of chroma.
        luma = np.zeros(half_height * half_width, np.float32)
        luma[half_index] = contrast[0]
        row, column = np.divmod(index, width)
        own, part = luma[(row >> 1) * half_width + (column >> 1)], alpha.reshape(-1)[index]
        half_part = half.reshape(-1)[half_index]
        return FrameMatte(
            _plane(alpha, index, part, own[None]), _plane(half, half_index, half_part, contrast[1:])
        )

    def _kinds(self, grid: ArrayF32) -> tuple[ArrayBool, ArrayBool]:
        """Return which cells (R - 1, C - 1) show only the inside, and which show part of the edge."""
        corners = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]])
        limit = np.array(self._size[::-1])
        low = np.clip(np.floor(corners.min(axis=0)).astype(np.int64) - 1, 0, limit)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(np.int64) + 1, 0, limit)
        inside = _count(self._not_inside, low, high) == 0
        return inside, ~inside & (_count(self._not_outside, low, high) > 0)

    def _spread(self, cells: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """Return values of cells as those of their pixels, (H, W)."""
        return np.asarray(np.repeat(np.repeat(cells, self._shape[1], axis=1), self._shape[0], axis=0))

    def _sampled(self, x: ArrayF32, y: ArrayF32) -> ImageU8:
        """Return alpha (n,) at places of the image, edge based."""
        height, width = self._alpha.shape
        x = np.clip(2 * x - 1, 0, np.float32(width - 1.001))
        y = np.clip(2 * y - 1, 0, np.float32(height - 1.001))
        left, top = x.astype(np.int64), y.astype(np.int64)
        x -= left
        y -= top
        first, flat = top * width + left, self._alpha.reshape(-1)
        above, below = (
            start + x * (stop.astype(np.int16) - start)
            for start, stop in (
                (flat[first], flat[first + 1]),
                (flat[first + width], flat[first + width + 1]),
            )
        )
        return np.asarray(above + y * (below - above) + np.float32(0.5)).astype(np.uint8)


class _Sources:
    """Where the pixels of a frame come from."""

    def __init__(self, image: MovedImage, grid: ArrayF32) -> None:
        self._image = image
        above, below = grid[image._row], grid[image._row + 1]
        lines = above + image._down[:, None, None] * (below - above)
        self._lines = np.ascontiguousarray(lines.transpose(2, 0, 1)).reshape(2, -1)
        self._nodes = grid.shape[1]

    def at(self, pixels: ArrayI64) -> tuple[ArrayF32, ArrayF32]:
        """Return x and y (n,) in the image, edge based, of pixels (n,) of the frame by their flat index."""
        row, column = np.divmod(pixels, self._image._size[1])
        place = row * self._nodes + self._image._column[column]
        across = self._image._across[column]
        x, y = (line[place] + across * (line[place + 1] - line[place]) for line in self._lines)
        return x, y


def encode_moved(image: MovedImage) -> bytes:
    """Return an image's matte and its mesh as bytes: see docs/formats.md."""
    return image.mesh.encode() + image.matte.encode()


def decode_moved(data: memoryview, size: Size) -> MovedImage:
    """Parse the bytes of `encode_moved`; untrusted.

    Raises:
        ValueError: they are damaged.
    """
    mesh, rest = Mesh.decode(data, size)
    return MovedImage(FrameMatte.decode(rest, size), mesh)


def _cut(data: memoryview, length: int) -> tuple[memoryview, memoryview]:
    if len(data) < length:
        raise ValueError("its mesh is cut short")
    return data[:length], data[length:]


def _cells(cuts: ArrayI64, side: int) -> tuple[ArrayI64, ArrayF32]:
    """Return the cell of each pixel of a side, and where in it the pixel's centre lies, 0 to 1."""
    pixels = np.arange(side)
    cell = np.searchsorted(cuts, pixels, side="right") - 1
    part = (pixels + 0.5 - cuts[cell]) / np.diff(cuts)[cell]
    return np.asarray(cell, np.int64), part.astype(np.float32)


def _contrast(luma: PlaneMatte, chroma: PlaneMatte) -> ArrayF32:
    """Return the person's colour minus that of the background, Y, U and V at half the size, (3, h * w).

    It is measured on the edge, and continued around it. Elsewhere it is 0.
    """
    height, width = chroma.size
    values = np.zeros((3, height * width), np.float32)
    row, column = np.divmod(luma.index, luma.size[1])
    contrasts, weight = _measured(luma)
    values[0] = _continued((row >> 1) * width + (column >> 1), contrasts[0], weight, chroma.size)
    contrasts, weight = _measured(chroma)
    for plane, contrast in enumerate(contrasts, 1):
        values[plane] = _continued(chroma.index, contrast, weight, chroma.size)
    return np.clip(values, -255, 255)


def _measured(plane: PlaneMatte) -> tuple[ArrayF32, ArrayF32]:
    """Return the contrast (C, n) at edge pixels, and its weights (n,): low if little background shows."""
    rest = 1 - plane.alpha.astype(np.float32) / 255
    squared = rest * rest
    weights = squared / (squared + np.float32(_UNCERTAIN**2))
    return np.asarray(plane.difference / rest, np.float32), np.asarray(weights, np.float32)


def _continued(place: ArrayI64, values: ArrayF32, weights: ArrayF32, size: Size) -> ArrayF32:
    """Return the weighted means of values (n,) at their places, (h * w,), continued to the others."""
    sums = [np.bincount(place, part, size[0] * size[1]) for part in (weights * values, weights)]
    both = np.stack(sums).reshape(2, *size).astype(np.float32)
    both += sum(np.float32(weight) * box_mean(both, radius) for radius, weight in _AROUND)
    return np.asarray(both[0] / np.maximum(both[1], 1e-9), np.float32).reshape(-1)


def _plane(alpha: ImageU8, index: ArrayI64, part: ImageU8, contrast: ArrayF32) -> PlaneMatte:
    """Return the matte of planes with alpha (h, w) and the contrast (C, n) at their edge pixels."""
    rest = (255 - part.astype(np.float32)) * np.float32(1 / 255)
    difference = np.rint(contrast * rest).astype(np.int16)
    return PlaneMatte((alpha.shape[0], alpha.shape[1]), np.packbits(alpha == 0), index, part, difference)


def _integral(mask: ArrayBool) -> npt.NDArray[np.int32]:
    out = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int32), axis=1, out=out[1:, 1:])
    return out


def _count(integral: npt.NDArray[np.int32], low: ArrayI64, high: ArrayI64) -> npt.NDArray[np.int32]:
    """Return how many pixels are set from `low` (..., 2; x, y) to `high`, exclusive."""
    (x0, y0), (x1, y1) = np.moveaxis(low, -1, 0), np.moveaxis(high, -1, 0)
    return np.asarray(integral[y1, x1] - integral[y0, x1] - integral[y1, x0] + integral[y0, x0])
