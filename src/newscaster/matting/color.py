"""Separation of foreground and background by colour: Fisher's linear discriminant per cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from newscaster.matting.filters import box_mean, cell_sums, enlarge
from newscaster.types import ArrayBool, ArrayF32

CELL = 4
"""Side of a cell in pixels."""
_RADII = (2, 8)
"""Half sides of the two windows in cells."""
_WIDE_WEIGHT = 0.1
"""Weight of the wider window: it matters only if the smaller one is nearly empty."""
_NOISE = 3 / 255
"""Smallest standard deviation of a colour."""
_TINY = np.float32(1e-7)
_BETWEEN = 0.7
"""Weight of the variance between cells: part of it is a gradient that the local mean follows."""
_MIN_FRACTION = 1e-3
"""Known fraction of the wider window from which on a class counts as present."""
NO_EVIDENCE = 1e4
"""Variance in cells that lack foreground or background, or whose colours do not differ."""
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True)
class ColorModel:
    """A colour discriminant between foreground and background, per cell or per pixel.

    `weights` are S^-1 d / (d' S^-1 d) for the difference d of the mean colours and the covariance S within
    the classes: `score` is 0 at the background's mean and 1 at the foreground's.
    """

    weights: ArrayF32
    """(3, h, w)"""
    offset: ArrayF32
    """(h, w)"""
    variance: ArrayF32
    """(h, w): of the score within a class, 1 / (d' S^-1 d)"""
    difference: ArrayF32
    """(3, h, w): mean foreground colour minus mean background colour"""

    def score(self, pixels: ArrayF32) -> ArrayF32:
        """Place colours (3, h, w) between background (0) and foreground (1): (h, w), not clipped."""
        weights = self.weights
        scores: ArrayF32 = weights[0] * pixels[0]
        scores += weights[1] * pixels[1]
        scores += weights[2] * pixels[2]
        scores += self.offset
        return scores

    def stacked(self) -> ArrayF32:
        """Return the model as (8, h, w); `unstack` is the inverse. The first 5 planes are for `score`."""
        return np.concatenate([self.weights, self.offset[None], self.variance[None], self.difference])

    @staticmethod
    def unstack(values: ArrayF32) -> ColorModel:
        return ColorModel(weights=values[:3], offset=values[3], variance=values[4], difference=values[5:])

    def enlarged(self, shape: tuple[int, int], *, count: int = 8) -> ArrayF32:
        """Interpolate the first planes of `stacked` from cells to the pixels of an image of this shape."""
        return enlarge(self.stacked()[:count], shape, step=CELL)


class ColorStatistics:
    """Colour statistics of one frame, for models with several sets of known pixels.

    Args:
        frame: (3, H, W) in 0..1.
    """

    def __init__(self, frame: ArrayF32) -> None:
        frame = _whole_cells(frame)
        self._values = np.stack([*frame, *(frame[i] * frame[j] for i, j in _PAIRS)])

    def model(self, foreground: ArrayF32, background: ArrayF32) -> ColorModel:
        """Fit the discriminant of every cell.

        Args:
            foreground: (H, W), weights in 0..1 of pixels that are known to be foreground.
            background: (H, W), the same of the background.

        Returns:
            A model of ceil(H / 4) x ceil(W / 4) cells.
        """
        mean_f, cov_f, present_f = self._class(foreground)
        mean_b, cov_b, present_b = self._class(background)
        difference = mean_f - mean_b
        cov = (cov_f + cov_b) / np.float32(2)
        cov[[0, 3, 5]] += _NOISE**2
        solved = _solve_symmetric(cov, difference)
        distance = (solved * difference).sum(axis=0)
        known = present_f & present_b & (distance > 1 / NO_EVIDENCE)
        variance = np.where(known, 1 / np.maximum(distance, 1e-9), NO_EVIDENCE)
        weights = np.where(known, solved * variance, 0)
        return ColorModel(
            weights.astype(np.float32),
            np.asarray(-(weights * mean_b).sum(axis=0), np.float32),
            variance.astype(np.float32),
            np.where(known, difference, 0).astype(np.float32),
        )

    def _class(self, weight: ArrayF32) -> tuple[ArrayF32, ArrayF32, ArrayBool]:
        """Return mean (3, h, w) and covariance (6, h, w) of one class, and its presence (h, w), bool."""
        weight = _whole_cells(weight[None])[0]
        product = np.empty_like(weight)  # plane by plane: it stays in the processor's cache
        planes = (np.multiply(plane, weight, out=product) for plane in self._values)
        sums = np.stack([cell_sums(weight, CELL), *(cell_sums(plane, CELL) for plane in planes)])
        mean_cell = sums[1:4] / np.maximum(sums[0], _TINY)
        within = np.stack([sums[4 + n] - sums[1 + i] * mean_cell[j] for n, (i, j) in enumerate(_PAIRS)])
        sums = np.asarray(np.concatenate([sums, within]) / CELL**2, np.float32)
        wide = box_mean(sums, _RADII[1])
        total = box_mean(sums, _RADII[0]) + np.float32(_WIDE_WEIGHT) * wide
        total[1:] /= np.maximum(total[0], _TINY)
        mean = total[1:4]
        total_cov = np.stack([total[4 + n] - mean[i] * mean[j] for n, (i, j) in enumerate(_PAIRS)])
        cov = np.asarray(_BETWEEN * total_cov + (1 - _BETWEEN) * total[10:], np.float32)
        cov[[0, 3, 5]] = np.maximum(cov[[0, 3, 5]], 0)
        return mean, cov, wide[0] > _MIN_FRACTION


def _whole_cells(values: ArrayF32) -> ArrayF32:
    """Return (C, H, W) with zeros at its end, so that the sides are multiples of the cell's."""
    height, width = values.shape[1:]
    return np.pad(values, ((0, 0), (0, -height % CELL), (0, -width % CELL)))


def _solve_symmetric(cov: ArrayF32, right: ArrayF32) -> ArrayF32:
    """Solve 3 x 3 systems per cell: cov (6, h, w) as xx, xy, xz, yy, yz, zz; right (3, h, w)."""
    xx, xy, xz, yy, yz, zz = cov.astype(np.float64)
    c00, c01, c02 = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    c11, c12, c22 = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = np.maximum(xx * c00 + xy * c01 + xz * c02, 1e-18)
    r0, r1, r2 = right
    solved = np.stack(
        [c00 * r0 + c01 * r1 + c02 * r2, c01 * r0 + c11 * r1 + c12 * r2, c02 * r0 + c12 * r1 + c22 * r2]
    )
    return np.asarray(solved / determinant, np.float32)
