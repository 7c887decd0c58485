"""A blurred background without the person: only outside pixels count, so that the person does not bleed.

::

    blurred = blur(frame * outside) / blur(outside), at an eighth of the size

Pixels on the edge show the person, too, and do not count; nor do those next to them, since filters of
encoders reach there.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from newscaster.matting.filters import box_mean
from newscaster.matting.planes import FrameMatte, PlaneMatte
from newscaster.media import YuvFrame
from newscaster.media.backdrop import PlaneEnlarger
from newscaster.media.frame import Planes
from newscaster.types import ArrayF32, ImageU8

_FACTOR, _SMALL_FACTOR = 8, 4
_SMALL_SIDE_PX = 360
_RADIUS = 0.035
"""Half the width of a box, of the frame's smaller side. Three boxes are close to a Gaussian."""
_BOXES = 3
_FLOOR = np.float32(1e-3)
"""Weight of the mean background: it fills what no outside pixel reaches, deep inside the person."""
_MARGIN_PX = 2
_CACHE_BYTES = 64 << 20


class BackgroundBlur:
    """Blurs the backgrounds of the frames of one target; caches the small images.

    Args:
        like: one of the frames.
    """

    def __init__(self, like: YuvFrame) -> None:
        side = min(like.frame.width, like.frame.height)
        self._factor = _FACTOR if side >= _SMALL_SIDE_PX else _SMALL_FACTOR
        self._radius = max(1, round(_RADIUS * side / self._factor))
        self._enlargers = [PlaneEnlarger() for _ in range(3)]
        self._cache: dict[int, tuple[ImageU8, ...]] = {}
        self._bytes_left = _CACHE_BYTES

    def planes(self, image: YuvFrame, matte: FrameMatte, index: int) -> Planes:
        """Return Y, U and V of the blurred background of frame `index`."""
        small = self._cache.get(index)
        if small is None:
            small = self._small(image, matte)
            size = sum(plane.nbytes for plane in small)
            if size <= self._bytes_left:
                self._cache[index] = small
                self._bytes_left -= size
        y, u, v = (
            enlarge(plane, own.shape)
            for enlarge, plane, own in zip(self._enlargers, small, image.planes, strict=True)
        )
        return y, u, v

    def _small(self, image: YuvFrame, matte: FrameMatte) -> tuple[ImageU8, ...]:
        y, u, v = image.planes
        chroma_radius = max(1, round(self._radius / 2))
        return (
            self._blurred(y, matte.luma, self._radius),
            self._blurred(u, matte.chroma, chroma_radius),
            self._blurred(v, matte.chroma, chroma_radius),
        )

    def _blurred(self, plane: ImageU8, matte: PlaneMatte | None, radius: int) -> ImageU8:
        weight: ArrayF32 = np.ones(plane.shape, np.float32)
        if matte is not None:
            np.multiply(_eroded(matte.outside), np.float32(1 / 255), out=weight)
        colour = self._reduce(weight * plane)
        weight = self._reduce(weight)
        mean = colour.sum() / max(float(weight.sum()), 1.0)
        for _ in range(_BOXES):
            colour, weight = box_mean(colour, radius), box_mean(weight, radius)
        blurred = (colour + _FLOOR * mean) / (weight + _FLOOR)
        return np.asarray(np.clip(np.rint(blurred), 0, 255), np.uint8)

    def _reduce(self, values: ArrayF32) -> ArrayF32:
        return np.asarray(Image.fromarray(values).reduce(self._factor))


def _eroded(mask: ImageU8) -> ImageU8:
    """Return a mask (h, w) of 0 and 255 without the pixels that have a 0 within `_MARGIN_PX`."""
    mask = mask.copy()
    for _ in range(_MARGIN_PX):
        for view in (mask, mask.T):
            before = view.copy()
            view[1:] &= before[:-1]
            view[:-1] &= before[1:]
    return mask
