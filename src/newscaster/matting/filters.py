"""Box means, resampling and blur fusion: arithmetic on images, without people or networks.

Images are channels first, (C, H, W) float32, unless a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def enlarge(values: ArrayF32, shape: tuple[int, int], *, step: int) -> ArrayF32:
    """Enlarge (C, h, w) by bilinear interpolation to (C, *shape).

    Args:
        values: the small images.
        shape: height and width after.
        step: pixels of the large image per pixel of the small one; the last one may be cut short.
    """
    large = np.empty((len(values), values.shape[1] * step, shape[1]), np.float32)
    for plane, out in zip(values, large, strict=True):  # one by one: they stay in the processor's cache
        wide = _stretched(plane.T, step)[: shape[1]]
        out[:] = _stretched(wide.T, step)
    return large[:, : shape[0]]


def _stretched(plane: ArrayF32, step: int) -> ArrayF32:
    """Interpolate the rows of (h, w): (h * step, w)."""
    rows = np.concatenate([plane[:1], plane, plane[-1:]])
    changes = rows[1:] - rows[:-1]
    height, width = plane.shape
    out = np.empty((height, step, width), np.float32)
    for phase, first, fraction in _phases(step):
        np.multiply(changes[first : first + height], fraction, out=out[:, phase])
        out[:, phase] += rows[first : first + height]
    return out.reshape(height * step, width)


def _phases(step: int) -> Iterator[tuple[int, int, np.float32]]:
    """Yield, per pixel of a step, the pixel before it, counted from the one before the step, and the rest."""
    for phase in range(step):
        position = (phase + 0.5) / step + 0.5
        yield phase, int(position), np.float32(position % 1)


def cell_sums(values: ArrayF32, side: int) -> ArrayF32:
    """Return sums of (..., H, W) over cells of `side` pixels: (..., h, w), cut at the border."""
    height, width = values.shape[-2:]
    if height % side or width % side:
        sides = (0, -height % side), (0, -width % side)
        values = np.pad(values, ((0, 0),) * (values.ndim - 2) + sides)
    rows: ArrayF32 = values[..., ::side, :].copy()
    for row in range(1, side):
        rows += values[..., row::side, :]
    total: ArrayF32 = rows[..., ::side].copy()
    for column in range(1, side):
        total += rows[..., column::side]
    return total


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
    two = enlarge(np.asarray(np.clip(two, 0, 1), np.float32), shape, step=cell)
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
