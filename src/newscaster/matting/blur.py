"""A blurred background without the person: only outside pixels count, so that the person does not bleed.

::

    blurred = blur(frame * outside) / blur(outside), in cells of 8 x 8 or 16 x 16 pixels

Cells that show any part of the person do not count; nor do those beside them, since the filters of encoders
reach there.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from newscaster.matting.planes import FrameMatte
from newscaster.media import YuvFrame
from newscaster.media.backdrop import PlaneEnlarger
from newscaster.media.frame import Planes
from newscaster.types import ArrayBool, ArrayF32, ImageU8

_CELL_PX, _LARGE_CELL_PX = 8, 16
_LARGE_SIDE_PX = 700
_SIGMA = 0.04
"""Standard deviation of the blur as a fraction of the frame's smaller side."""
_FLOOR = np.float32(1e-3)
"""Weight of the mean background."""
_NEGLIGIBLE = np.float32(1e-6)
_SEEN_LEVELS = np.float32(2)
"""The blurred background is renewed once any part of it has changed by so many 8-bit values."""
_SHOT_LEVELS, _SHOT_FRACTION = 12, 0.25
"""If so many of the cells change by more at once, the camera has moved, or the shot has."""


class BackgroundBlur:
    """Blurs the backgrounds of successive frames.

    The blurred image stays exactly as it is until its change could be seen. A still background then costs
    little, also to the encoder. Cells that the person hides keep what was last seen there.

    Args:
        like: one of the frames.
    """

    def __init__(self, like: YuvFrame) -> None:
        width, height = like.frame.width, like.frame.height
        side = min(width, height)
        self._cell = _CELL_PX if side < _LARGE_SIDE_PX else _LARGE_CELL_PX
        sigma = _SIGMA * side / self._cell
        self._down, self._across = (_gaussian(-(-length // self._cell), sigma) for length in (height, width))
        self._enlargers = [PlaneEnlarger() for _ in range(3)]
        shape = len(self._down), len(self._across)
        self._colours = np.zeros((3, *shape), np.uint8)
        self._known: ArrayBool = np.zeros(shape, np.bool_)
        self._shown: ArrayF32 | None = None
        """(3, h, w)"""
        self._planes: Planes | None = None
        self._was_opaque = False
        """Whether the last frame kept its background: people may be in it."""

    def planes(self, image: YuvFrame, matte: FrameMatte) -> Planes:
        """Return Y, U and V of the blurred background of the next frame; read-only."""
        self._look_at(image, matte)
        blurred = self._blurred()
        if self._planes is None or self._shown is None or np.abs(blurred - self._shown).max() > _SEEN_LEVELS:
            self._shown = blurred
            small = np.rint(blurred).astype(np.uint8)
            y, u, v = (
                enlarge(plane, own.shape)
                for enlarge, plane, own in zip(self._enlargers, small, image.planes, strict=True)
            )
            self._planes = y, u, v
        return self._planes

    def _look_at(self, image: YuvFrame, matte: FrameMatte) -> None:
        """Update the cells that show nothing of the person."""
        y, u, v = image.planes
        cell = self._cell
        colours = np.stack([_reduced(y, cell, 4), _reduced(u, cell // 2, 2), _reduced(v, cell // 2, 2)])
        seen = np.ones_like(self._known)
        if matte.luma is not None:
            seen = _eroded(matte.luma.cells_outside(cell))
        again = seen & self._known
        change = np.abs(np.subtract(colours[0], self._colours[0], dtype=np.int16))
        is_other = (change[again] > _SHOT_LEVELS).sum() > _SHOT_FRACTION * again.sum()
        if is_other or self._was_opaque:
            self._known = np.zeros_like(seen)
        self._was_opaque = matte.luma is None
        np.copyto(self._colours, colours, where=seen)
        self._known |= seen

    def _blurred(self) -> ArrayF32:
        """Return the blurred background, (3, h, w): Y, U and V, all of one size."""
        values = np.concatenate([self._colours, self._known[None]], dtype=np.float32)
        values[:3] *= values[3]
        sums = values.sum(axis=(1, 2), dtype=np.float32)
        values = np.asarray(self._down @ values @ self._across, np.float32)
        # What no outside pixel reaches, deep inside the person, gets the mean of the background.
        values[:3] += (sums[:3] * (_FLOOR / max(float(sums[3]), 1.0)))[:, None, None]
        return np.asarray(values[:3] / (values[3] + _FLOOR), np.float32)


def _gaussian(count: int, sigma: float) -> ArrayF32:
    """Return the weights of a Gaussian between `count` cells in a row, (count, count)."""
    place = np.arange(count, dtype=np.float32)
    weights: ArrayF32 = np.exp(-0.5 * ((place[:, None] - place) / np.float32(sigma)) ** 2)
    # Far cells would have subnormal weights, with which a product takes 25 times as long.
    weights[weights < _NEGLIGIBLE] = 0
    return weights / np.float32(weights.sum(axis=0).max())


def _reduced(plane: ImageU8, cell: int, samples: int) -> ImageU8:
    """Return the mean of `samples` x `samples` pixels of each cell of `cell` x `cell`, cut at the border."""
    step = cell // samples
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane[::step, ::step])).reduce(samples))


def _eroded(mask: ArrayBool) -> ArrayBool:
    """Return a mask (h, w) without the cells beside a false one."""
    mask = mask.copy()
    for view in (mask, mask.T):
        before = view.copy()
        view[1:] &= before[:-1]
        view[:-1] &= before[1:]
    return mask
