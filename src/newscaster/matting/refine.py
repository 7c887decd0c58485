"""From a soft mask to alpha and the foreground's colour at every pixel of the frame.

Near the mask's edge, colour resolves undecided pixels. The score of a local `ColorModel` is a second
measurement of alpha with a known variance; the two are fused as measurements. If the person has the colours
of the background, the mask's alpha remains. Blur fusion estimates the foreground's colour, and the remaining
background colour is removed along the model's direction.
"""

from __future__ import annotations

import numpy as np

from newscaster.matting.color import CELL, ColorModel, ColorStatistics
from newscaster.matting.filters import Enlarger, box_mean, fuse, planes, size_of, smooth_colors
from newscaster.matting.temporal import hold
from newscaster.types import ArrayF32, ImageU8

STEP = 2
"""Pixels of the mask per pixel of the images on which colours and motion are measured."""
_SIDE = 96
_PRIOR_VARIANCE = 0.09
"""Variance of the mask's alpha if the mask is undecided."""
_CLEAR_VARIANCE = 0.006
"""Variance of scores that may overrule a decided mask; about that of hair before a plain backdrop."""
_CONTRAST = 0.08
"""Alphas this near to 0 or 1 become 0 or 1."""
_FLOOR = 0.02
"""Smallest probability of the network's clipped logits, which is subtracted."""
_ACTIVE = 0.08
_FUSION_PX = 2


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
        pixels = model.enlarged(size_of(mask))
        score = np.where(pixels.variance < 0.1, pixels.score(small), around)
        self.model = statistics.model(
            foreground * _ramp(score, 0.8, 0.95), background * _ramp(score, 0.2, 0.05)
        )
        """The model of the cells."""
        self.alpha = posterior(small, mask, self.band, self.model.enlarged(size_of(mask)))
        """(h, w)"""
        self._fusion_cells = max(band_px // CELL, 1)

    def smooth_colors(self, alpha: ArrayF32) -> tuple[ArrayF32, ArrayF32]:
        """Return smooth foreground and background colours for alpha (h, w); see `filters.smooth_colors`."""
        return smooth_colors(self.small, alpha, cell=CELL, radii=(self._fusion_cells, _FUSION_PX))


class Refiner:
    """Computes alpha and foreground of frames of one size, block by block.

    Args:
        size: (height, width) of the frames.
        factor: reduction of the masks; small images are `STEP` times smaller again.
    """

    def __init__(self, size: tuple[int, int], *, factor: int) -> None:
        self._size = size
        mask, small = shrunk(size, factor), shrunk(size, factor * STEP)
        cells = shrunk(small, CELL)
        self._mask = Enlarger(mask, size, step=factor, side=_SIDE)
        self._small = Enlarger(small, size, step=factor * STEP, side=_SIDE)
        self._cells = Enlarger(cells, size, step=factor * STEP * CELL, side=_SIDE)

    def refine(
        self, frame: ImageU8, mask: ArrayF32, evidence: Evidence, gain: ArrayF32, alpha: ArrayF32
    ) -> ImageU8:
        """Update alpha, and return the foreground.

        Args:
            frame: (H, W, 3).
            mask: probability of a person, `factor` times smaller.
            evidence: of the same frame.
            gain: (h, w) of the small images: weight of the new alpha; see `temporal.hold`.
            alpha: (H, W) of the previous frame, changed in place.
        """
        foreground = frame.copy()
        colors = np.concatenate(evidence.smooth_colors(evidence.alpha))
        small = np.concatenate([evidence.band[None], gain[None]])
        cells = evidence.model.stacked()
        for row, top in enumerate(range(0, self._size[0], _SIDE)):
            for column, left in enumerate(range(0, self._size[1], _SIDE)):
                place = slice(top, top + _SIDE), slice(left, left + _SIDE)
                before = alpha[place]
                closed = self._small.source(evidence.band, row, column).max() < _ACTIVE
                known = _constant(self._mask.source(mask, row, column)) if closed else None
                if known is not None and before.min() == known and before.max() == known:
                    continue
                band, fraction = self._small.enlarge(small, row, column)
                new_mask = self._mask.enlarge(mask[None], row, column)[0]
                pixels = planes(frame[place])
                model = ColorModel.unstack(self._cells.enlarge(cells, row, column))
                hold(before, posterior(pixels, new_mask, band, model), fraction)
                if not _open(before):
                    continue
                smooth = self._small.enlarge(colors, row, column)
                clean = np.clip(fuse(pixels, before, smooth[:3], smooth[3:]), 0, 1)
                clean = despill(clean, np.minimum(4 * band, 1), model)
                rounded = np.clip(clean, 0, 1) * 255 + 0.5
                foreground[place] = rounded.astype(np.uint8).transpose(1, 2, 0)
        return foreground


def shrunk(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return height and width after `filters.shrink`."""
    return -(-size[0] // factor), -(-size[1] // factor)


def _constant(mask: ArrayF32) -> float | None:
    """Return 0 or 1 if the whole mask surely is that, else None."""
    if mask.max() <= _FLOOR:
        return 0.0
    return 1.0 if mask.min() >= 1 - _FLOOR else None


def _open(alpha: ArrayF32) -> bool:
    """Return whether any pixel is neither pure foreground nor pure background."""
    return bool(((alpha > 0) & (alpha < 1)).any())


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
