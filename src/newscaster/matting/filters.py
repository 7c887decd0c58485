"""Box means, resampling and blur fusion: arithmetic on images, without people or networks.

Images are channels first, (C, H, W) float32, unless a docstring says otherwise.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from newscaster.types import ArrayF32, ImageU8


def size_of(values: ArrayF32) -> tuple[int, int]:
    """Return height and width of (..., H, W)."""
    return int(values.shape[-2]), int(values.shape[-1])


def box_mean(values: ArrayF32, radius: int) -> ArrayF32:
    """Return the mean over the square of side 2 * radius + 1 around each pixel, cut at the border.

    Args:
        values: (..., H, W).
        radius: in pixels, 0 or more.
    """
    sums = _box_sum if radius <= _FEW else _long_box_sum
    height, width = values.shape[-2:]
    total: ArrayF32 = sums(sums(values, radius).swapaxes(-1, -2), radius).swapaxes(-1, -2)
    total *= (1 / _counts(height, radius))[:, None]
    total *= 1 / _counts(width, radius)
    return total


_FEW = 3
"""Up to this radius, adding neighbours is faster than cumulative sums."""


def _counts(length: int, radius: int) -> ArrayF32:
    """Return the number of pixels of each window."""
    position = np.arange(length)
    counts = np.minimum(position + radius, length - 1) - np.maximum(position - radius, 0) + 1
    return np.asarray(counts, np.float32)


def _box_sum(values: ArrayF32, radius: int) -> ArrayF32:
    """Sum along the last axis."""
    total = values.copy()
    for shift in range(1, min(radius, values.shape[-1] - 1) + 1):
        total[..., shift:] += values[..., :-shift]
        total[..., :-shift] += values[..., shift:]
    return total


def _long_box_sum(values: ArrayF32, radius: int) -> ArrayF32:
    """Sum along the last axis, at a cost that does not depend on the radius."""
    length = values.shape[-1]
    sums = np.zeros((*values.shape[:-1], length + 2 * radius + 1))  # float64: differences of long sums
    np.cumsum(values, axis=-1, dtype=np.float64, out=sums[..., radius + 1 : radius + 1 + length])
    sums[..., radius + 1 + length :] = sums[..., radius + length : radius + length + 1]
    return np.asarray(sums[..., 2 * radius + 1 :] - sums[..., :length], np.float32)


def box_max(values: ArrayF32, radius: int) -> ArrayF32:
    """Return the maximum over the square of side 2 * radius + 1 around each pixel; for small radii.

    Args:
        values: (H, W).
        radius: in pixels.
    """
    for axis in (0, 1):
        wide = values.copy()
        for shift in range(1, radius + 1):
            for target, source in (
                (slice(shift, None), slice(None, -shift)),
                (slice(None, -shift), slice(shift, None)),
            ):
                index = (target, slice(None)) if axis == 0 else (slice(None), target)
                other = (source, slice(None)) if axis == 0 else (slice(None), source)
                np.maximum(wide[index], values[other], out=wide[index])
        values = wide
    return values


def resize(values: ArrayF32, shape: tuple[int, int]) -> ArrayF32:
    """Resample (H, W) to (height, width): triangle-filtered when shrinking, bilinear when enlarging."""
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def shrink(frame: ImageU8, factor: int) -> ImageU8:
    """Return area means of a (H, W, 3) frame over squares of `factor` pixels, cut at the border."""
    return np.asarray(Image.fromarray(frame).reduce(factor)) if factor > 1 else frame


def shrink_floats(values: ArrayF32, factor: int) -> ArrayF32:
    """Like `shrink`, of (H, W) float32."""
    return np.asarray(Image.fromarray(values).reduce(factor)) if factor > 1 else values


def planes(frame: ImageU8) -> ArrayF32:
    """Convert (H, W, 3) uint8 to (3, H, W) float32 in 0..1."""
    return np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32) * np.float32(1 / 255)


class Enlarger:
    """Bilinear enlargement in seamless rectangles.

    Args:
        small: (height, width) before.
        large: (height, width) after.
        step: pixels of the large image per pixel of the small one; the last one may be cut short.
        side: side of the rectangles in pixels of the large image; those at the end are smaller.
    """

    def __init__(self, small: tuple[int, int], large: tuple[int, int], *, step: float, side: int) -> None:
        self._rows = _pieces(small[0], large[0], step, side)
        self._columns = [
            (part, weights.T.copy()) for part, weights in _pieces(small[1], large[1], step, side)
        ]

    def enlarge(self, values: ArrayF32, row: int, column: int) -> ArrayF32:
        """Return rectangle (row, column) of the enlarged (C, h, w)."""
        rows, row_weights = self._rows[row]
        columns, column_weights = self._columns[column]
        return np.asarray(row_weights @ values[:, rows, columns] @ column_weights, np.float32)

    def source(self, values: ArrayF32, row: int, column: int) -> ArrayF32:
        """Return the part of the small (..., h, w) under rectangle (row, column)."""
        return values[..., self._rows[row][0], self._columns[column][0]]


def _pieces(small: int, large: int, step: float, side: int) -> list[tuple[slice, ArrayF32]]:
    """Return, per rectangle along one axis, its samples and the (large, small) matrix of their weights."""
    position = np.clip((np.arange(large) + 0.5) / step - 0.5, 0, small - 1)
    first = np.minimum(position.astype(np.intp), max(small - 2, 0))
    fraction = np.asarray(position - first, np.float32)
    pieces = []
    for start in range(0, large, side):
        part = slice(start, min(start + side, large))
        low, high = int(first[part][0]), min(int(first[part][-1]) + 2, small)
        weights = np.zeros((part.stop - start, high - low), np.float32)
        rows, column = np.arange(part.stop - start), first[part] - low
        weights[rows, column] = 1 - fraction[part]
        weights[rows, np.minimum(column + 1, high - low - 1)] += fraction[part]
        pieces.append((slice(low, high), weights))
    return pieces


def cell_sums(values: ArrayF32, side: int) -> ArrayF32:
    """Return sums of (C, H, W) over cells of `side` pixels: (C, h, w), cut at the border."""
    height, width = values.shape[-2:]
    if height % side or width % side:
        values = np.pad(values, ((0, 0), (0, -height % side), (0, -width % side)))
    rows = np.add.reduce(values.reshape(values.shape[0], -1, side, values.shape[2]), axis=2)
    return np.asarray(np.add.reduce(rows.reshape(*rows.shape[:2], -1, side), axis=3))


def smooth_colors(
    frame: ArrayF32, alpha: ArrayF32, *, cell: int, radii: tuple[int, int]
) -> tuple[ArrayF32, ArrayF32]:
    """Estimate smooth colours of foreground and background around every pixel.

    First, per window of cells, the two colours that explain all its pixels best (least squares; exact if
    each is constant there). Then one pass of blur fusion (M. Forte, "Approximate Fast Foreground Colour
    Estimation", ICIP 2021): corrected so that the frame is reproduced (`fuse`), and averaged in a smaller
    window.

    Args:
        frame: (3, H, W) in 0..1.
        alpha: (H, W) in 0..1.
        cell: side of the cells in pixels.
        radii: half sides of the two windows: in cells, and in pixels.

    Returns:
        Foreground and background, (3, H, W) each. `fuse` turns them into the foreground of a pixel.
    """
    beta = 1 - alpha
    products = np.stack([alpha * alpha, alpha * beta, beta * beta, *(alpha * frame), *(beta * frame)])
    sums = box_mean(cell_sums(products, cell), radii[0]) / cell**2
    aa, ab, bb = sums[0] + _RIDGE, sums[1], sums[2] + _RIDGE
    determinant = aa * bb - ab * ab
    two = np.concatenate([bb * sums[3:6] - ab * sums[6:], aa * sums[6:] - ab * sums[3:6]]) / determinant
    shape = size_of(alpha)
    enlarger = Enlarger(size_of(two), shape, step=cell, side=max(shape))
    two = enlarger.enlarge(np.clip(two, 0, 1), 0, 0)
    front = np.clip(fuse(frame, alpha, two[:3], two[3:]), 0, 1)
    back = np.clip(fuse(frame, beta, two[3:], two[:3]), 0, 1)
    # A trace of the first colours remains, for places that lack one of the two.
    weights = np.stack([alpha + 1e-3, beta + 1e-3])
    near = box_mean(np.concatenate([weights, weights[0] * front, weights[1] * back]), radii[1])
    return near[2:5] / near[0], near[5:] / near[1]


_RIDGE = np.float32(1e-4)


def fuse(pixels: ArrayF32, alpha: ArrayF32, front: ArrayF32, back: ArrayF32) -> ArrayF32:
    """Return foreground colours near `front` that explain `pixels` at `alpha`: (3, ...), not clipped.

    At alpha 1 they are the pixels themselves.
    """
    return np.asarray(front + alpha * (pixels - alpha * front - (1 - alpha) * back), np.float32)
