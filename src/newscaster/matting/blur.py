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
_SAMPLES = 4
"""Of a cell on each axis: the blur reaches over so many cells that more change nothing."""
_FLOOR = np.float32(1e-3)
"""Weight of the mean background."""
_CACHE_BYTES = 64 << 20


class BackgroundBlur:
    """Blurs the backgrounds of the frames of one target; caches the small images.

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
        self._cache: dict[int, ImageU8] = {}
        self._bytes_left = _CACHE_BYTES

    def planes(self, image: YuvFrame, matte: FrameMatte, index: int) -> Planes:
        """Return Y, U and V of the blurred background of frame `index`."""
        small = self._cache.get(index)
        if small is None:
            small = self._small(image, matte)
            if small.nbytes <= self._bytes_left:
                self._cache[index] = small
                self._bytes_left -= small.nbytes
        y, u, v = (
            enlarge(plane, own.shape)
            for enlarge, plane, own in zip(self._enlargers, small, image.planes, strict=True)
        )
        return y, u, v

    def _small(self, image: YuvFrame, matte: FrameMatte) -> ImageU8:
        """Return the blurred background, (3, h, w): Y, U and V, all of one size."""
        y, u, v = image.planes
        cell = self._cell
        values = np.empty((4, len(self._down), len(self._across)), np.float32)
        values[0], values[1], values[2] = _reduced(y, cell), _reduced(u, cell // 2), _reduced(v, cell // 2)
        values[3] = 1
        if matte.luma is not None:
            values[3] = _eroded(_reduced(matte.luma.outside, cell) == 255)
        values[:3] *= values[3]
        sums = values.sum(axis=(1, 2), dtype=np.float32)
        values = np.asarray(self._down @ values @ self._across, np.float32)
        # What no outside pixel reaches, deep inside the person, gets the mean of the background.
        values[:3] += (sums[:3] * (_FLOOR / max(float(sums[3]), 1.0)))[:, None, None]
        values[:3] /= values[3] + _FLOOR
        return np.rint(values[:3]).astype(np.uint8)


def _gaussian(count: int, sigma: float) -> ArrayF32:
    """Return the weights of a Gaussian between `count` cells in a row, (count, count)."""
    place = np.arange(count, dtype=np.float32)
    weights: ArrayF32 = np.exp(-0.5 * ((place[:, None] - place) / np.float32(sigma)) ** 2)
    return weights / np.float32(weights.sum(axis=0).max())


def _reduced(plane: ImageU8, cell: int) -> ImageU8:
    """Return the mean of up to 4 x 4 samples of each cell of `cell` x `cell` pixels, cut at the border."""
    step = max(1, cell // _SAMPLES)
    return np.asarray(Image.fromarray(plane[::step, ::step]).reduce(cell // step))


def _eroded(mask: ArrayBool) -> ArrayBool:
    """Return a mask (h, w) without the cells beside a false one."""
    mask = mask.copy()
    for view in (mask, mask.T):
        before = view.copy()
        view[1:] &= before[:-1]
        view[:-1] &= before[1:]
    return mask
