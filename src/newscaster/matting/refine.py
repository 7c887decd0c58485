"""From a soft mask to alpha and the foreground's colour at every pixel of the frame.

Near the mask's edge, colour resolves undecided pixels. The score of a local `ColorModel` is a second
measurement of alpha with a known variance; the two are fused as measurements. If the person has the colours
of the background, the mask's alpha remains. Blur fusion estimates the foreground's colour, and the remaining
background colour is removed along the model's direction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from newscaster.matting.cells import CellSampler
from newscaster.matting.color import CELL, ColorModel, ColorStatistics
from newscaster.matting.filters import (
    box_max,
    box_mean,
    enlarge,
    fuse,
    planes,
    shrink_floats,
    size_of,
    smooth_colors,
)
from newscaster.matting.temporal import hold
from newscaster.types import ArrayBool, ArrayF32, ArrayI64, ImageU8

_Cells = tuple[ArrayI64, ArrayI64]
"""Rows and columns."""

STEP = 2
"""Pixels of the mask per pixel of the images on which colours and motion are measured."""
_POINTS = 1 << 15
"""Pixels that are refined at once."""
_AROUND_PX = 1
"""Pixels of the small images that must be as sure as a settled one."""
_PRIOR_VARIANCE = 0.09
"""Variance of the mask's alpha if the mask is undecided."""
_CLEAR_VARIANCE = 0.006
"""Variance of scores that may overrule a decided mask; about that of hair before a plain backdrop."""
_CONTRAST = 0.08
"""Alphas this near to 0 or 1 become 0 or 1."""
_FLOOR = 0.02
"""Smallest probability of the network's clipped logits, which is subtracted."""
_FUSION_PX = 2
_HALF = 2


class Evidence:
    """Colour evidence of a frame, at the size of its small images.

    Args:
        small: (3, h, w) in 0..1, the reduced frame.
        mask: (h, w), probability of a person.
        band_px: half the width of the band along the mask's edge in which colours count.
    """

    def __init__(self, small: ArrayF32, mask: ArrayF32, *, band_px: int) -> None:
        self.small = small
        near = box_mean(mask, band_px)
        around = box_mean(mask, max(band_px // 3, 1))
        inside = _ramp(around, 0.94, 1.0)
        self.band = np.asarray(4 * near * (1 - near) * (1 - inside), np.float32)
        """(h, w): 1 at the mask's edge, 0 far from it; inwards it ends sooner."""
        foreground, background = _ramp(around, 0.9, 0.98), _ramp(around, 0.1, 0.02)
        statistics = ColorStatistics(small)
        model = statistics.model(foreground, background)
        # Again without pixels that look like the other class: gaps in hair that the mask has closed.
        pixels = ColorModel.unstack(model.enlarged(size_of(mask), count=5))
        score = np.where(pixels.variance < 0.1, pixels.score(small), around)
        model = statistics.model(foreground * _ramp(score, 0.8, 0.95), background * _ramp(score, 0.2, 0.05))
        self.model = model.enlarged(size_of(mask))
        """(8, h, w): see `ColorModel.stacked`"""
        self.alpha = posterior(small, mask, self.band, ColorModel.unstack(self.model))
        """(h, w)"""
        self.colors = self._smooth_colors(max(band_px // CELL, 1))
        """(6, h, w): smooth colours of foreground and background, see `filters.smooth_colors`."""

    def _smooth_colors(self, fusion_cells: int) -> ArrayF32:
        """Return smooth colours for alpha; they are smooth enough for half the size."""
        small = np.stack([shrink_floats(plane, _HALF) for plane in (*self.small, self.alpha)])
        radii = fusion_cells, _FUSION_PX // _HALF
        colors = smooth_colors(small[:3], small[3], cell=CELL // _HALF, radii=radii)
        return enlarge(np.concatenate(colors), size_of(self.alpha), step=_HALF)


class Refiner:
    """Computes alpha and foreground of frames of one size.

    A cell is the pixels of the frame under one pixel of its small image. It is settled if the small image is
    surely foreground or surely background there and around it. Settled cells take that value, whatever their
    pixels show. Along a person's edge, where the others are, colours decide at every pixel.

    Args:
        size: (height, width) of the frames.
        factor: reduction of the masks; small images are `STEP` times smaller again.

    Attributes:
        alpha: (H, W) in 0..1 of the last frame.
    """

    def __init__(self, size: tuple[int, int], *, factor: int) -> None:
        height, width = size
        step = factor * STEP
        self._cells = shrunk(size, step)
        self._size = size
        self._small = CellSampler(step=step, scale=1)
        self._mask = CellSampler(step=step, scale=STEP)
        rows, columns = np.mgrid[0:step, 0:step].reshape(2, -1, 1)
        self._step, self._rows, self._columns = step, rows, columns
        self._at_once = max(_POINTS // step**2, 1)
        self._whole = np.zeros((self._cells[0] * step, self._cells[1] * step), np.float32)
        self.alpha = self._whole[:height, :width]
        self._value = np.zeros(self._cells, np.float32)
        """Alpha of the pixels of a cell; NaN if they differ."""

    def clear(self) -> None:
        """Set alpha to 0."""
        self._whole.fill(0)
        self._value.fill(0)

    def refine(self, frame: ImageU8, mask: ArrayF32, evidence: Evidence, gain: ArrayF32) -> ImageU8:
        """Update alpha, and return the foreground.

        Args:
            frame: (H, W, 3).
            mask: probability of a person, `factor` times smaller.
            evidence: of the same frame.
            gain: (h, w) of the small images: weight of the new alpha; see `temporal.hold`.
        """
        settled = _settled(evidence.alpha)
        for cells in self._parts(np.isfinite(settled) & (settled != self._value)):
            self._hold(cells, settled[cells], self._small.sample(gain[None], *cells)[0])
        foreground = frame.copy()
        for cells in self._parts(np.isnan(settled)):
            model = ColorModel.unstack(self._small.sample(evidence.model, *cells))
            band = self._small.sample(evidence.band[None], *cells)[0]
            pixels = self._pixels(frame, cells)
            new = posterior(pixels, self._mask.sample(mask[None], *cells)[0], band, model)
            alpha = self._hold(cells, new, self._small.sample(gain[None], *cells)[0])
            smooth = self._small.sample(evidence.colors, *cells)
            clean = np.clip(fuse(pixels, alpha, smooth[:3], smooth[3:]), 0, 1)
            clean = np.clip(despill(clean, np.minimum(4 * band, 1), model), 0, 1)
            self._write(foreground, cells, (alpha > 0) & (alpha < 1), clean)
        return foreground

    def _parts(self, chosen: ArrayBool) -> Iterator[_Cells]:
        """Yield rows and columns of the chosen cells, few at a time, so that memory is constant."""
        rows, columns = np.nonzero(chosen)
        for first in range(0, len(rows), self._at_once):
            yield rows[first : first + self._at_once], columns[first : first + self._at_once]

    def _hold(self, cells: _Cells, new: ArrayF32, fraction: ArrayF32) -> ArrayF32:
        """Move alpha of n cells towards `new`; return it, (step * step, n)."""
        places = self._rows + cells[0] * self._step, self._columns + cells[1] * self._step
        alpha: ArrayF32 = self._whole[places]
        hold(alpha, new, fraction)
        self._whole[places] = alpha
        self._value[cells] = np.where((alpha == alpha[0]).all(axis=0), alpha[0], np.nan)
        return alpha

    def _pixels(self, frame: ImageU8, cells: _Cells) -> ArrayF32:
        """Return the colours of the pixels of n cells, (3, step * step, n) in 0..1."""
        height, width = self._size
        rows = np.minimum(self._rows + cells[0] * self._step, height - 1)
        columns = np.minimum(self._columns + cells[1] * self._step, width - 1)
        return planes(frame[rows, columns])

    def _write(self, foreground: ImageU8, cells: _Cells, edge: ArrayBool, colors: ArrayF32) -> None:
        """Write the colours (3, step * step, n) of edge pixels."""
        rows, columns = (
            np.broadcast_to(own + first * self._step, edge.shape)[edge]
            for own, first in ((self._rows, cells[0]), (self._columns, cells[1]))
        )
        inside = (rows < self._size[0]) & (columns < self._size[1])
        rounded = (colors[:, edge] * 255 + 0.5).astype(np.uint8)
        foreground[rows[inside], columns[inside]] = rounded[:, inside].T


def _settled(alpha: ArrayF32) -> ArrayF32:
    """Return 0 or 1 where the small alpha (h, w) surely is that around a pixel, else NaN."""
    highest, lowest = box_max(alpha, _AROUND_PX), 1 - box_max(1 - alpha, _AROUND_PX)
    return np.where(highest == lowest, alpha, np.float32(np.nan))


def shrunk(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return height and width after `filters.shrink`."""
    return -(-size[0] // factor), -(-size[1] // factor)


def _ramp(values: ArrayF32, zero: float, one: float) -> ArrayF32:
    """Map values linearly from 0 at `zero` to 1 at `one`, clipped."""
    return np.asarray(np.clip((values - np.float32(zero)) * np.float32(1 / (one - zero)), 0, 1), np.float32)


def posterior(pixels: ArrayF32, mask: ArrayF32, band: ArrayF32, model: ColorModel) -> ArrayF32:
    """Return alpha (h, w) from the mask and the colours.

    The weight of the mask falls the more undecided it is, and near its edge if the colours are clear. Scores
    are extended by their standard deviation, so that noise in either class becomes 0 or 1.

    Args:
        pixels: (3, h, w).
        mask, band: (h, w).
        model: of every pixel.
    """
    prior = _ramp(mask, _FLOOR, 1 - _FLOOR)
    variance = model.variance
    margin = np.minimum(np.float32(1.2) * np.sqrt(variance), np.float32(0.25))
    score = np.clip((model.score(pixels) - margin) / (1 - 2 * margin), 0, 1)
    clear = band * band / (1 + (variance * np.float32(1 / _CLEAR_VARIANCE)) ** 2)
    trust = np.float32(_PRIOR_VARIANCE) * (clear + 4 * prior * (1 - prior))
    fraction = trust / (trust + 4 * variance + np.float32(1e-6))
    return _ramp(prior + fraction * (score - prior), _CONTRAST, 1 - _CONTRAST)


def despill(colors: ArrayF32, band: ArrayF32, model: ColorModel) -> ArrayF32:
    """Move colours (3, h, w) from the background's towards the foreground's, if the two differ clearly."""
    clear = band / (1 + (model.variance * np.float32(1 / 0.02)) ** 2)
    lack = np.maximum(1 - np.sqrt(model.variance) - model.score(colors), 0) * clear
    return np.asarray(colors + lack * model.difference, np.float32)
