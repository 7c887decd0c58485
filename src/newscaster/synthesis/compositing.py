"""New mouths in decoded pictures: the one place where regions, which are RGB, and planes of YUV meet.

::

    region (S, S, 3) RGB ─► Y (S, S), U and V (S/2, S/2) ─► each turned onto the picture ─► into its plane

Nothing of the picture is converted. What the soft mask leaves out reaches the encoder as it was decoded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from newscaster.face.crop import Placement, blend
from newscaster.face.surface_warp import SurfaceWarp, resample, sampling_grid
from newscaster.media import CHROMA_SHIFT, YuvFrame, to_planes

ImageArray = npt.NDArray[np.uint8]

_EDGE = 2
"""Pixels by which a region is continued, so that chroma has neighbours at its border."""


def composite(image: YuvFrame, crop: ImageArray, placement: Placement, *, blend_weight: float = 1.0) -> None:
    """Put a region (S, S, 3) RGB into a picture, in place.

    Args:
        image: written to where the mask is. A sample of chroma is where one of its four pixels is.
        crop: of the side that `placement` was made for.
        placement: where, and how much of it.
        blend_weight: how much of the new region is taken at most, 0 to 1.
    """
    if blend_weight <= 0:
        return
    box, used, onto = placement.box, placement.used, placement.onto_crop
    part = crop[used.rows, used.columns]
    if used.left == 0 or used.top == 0 or used.right == crop.shape[1] or used.bottom == crop.shape[0]:
        part = np.pad(part, ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)), mode="edge")
        onto = onto.moved(_EDGE, _EDGE)
    luma, *chroma = to_planes(part, image.tags)
    planes = image.planes
    whole = resample(luma, sampling_grid(onto, box.size), box.size)
    blend(planes[0][box.rows, box.columns], whole, _times(placement.soft, blend_weight))
    half_size, half_soft = (box.size[0] // 2, box.size[1] // 2), _times(placement.half_soft, blend_weight)
    half_grid = sampling_grid(_halved(onto), half_size)
    rows, columns = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
    for plane, new in zip(planes[1:], chroma, strict=True):
        blend(plane[rows, columns], resample(new, half_grid, half_size, smooth=False), half_soft)


def _times(soft: ImageArray, blend_weight: float) -> ImageArray:
    return soft if blend_weight >= 1 else np.round(soft * np.float32(blend_weight)).astype(np.uint8)


def _halved(onto: SurfaceWarp) -> SurfaceWarp:
    """The same map between planes of half the width and height.

    A chroma sample at c of the picture lies at 2 c + s of its luma, s being `CHROMA_SHIFT`; one at c of the
    region, whose chroma lies in the middle of four pixels, at 2 c. And A (2 c + s) + b is twice
    A c + (A s + b) / 2; what is bent is bent twice as much by half as many pixels.
    """
    matrix = onto.matrix.copy()
    matrix[:, 2] = (matrix[:, :2] @ np.array(CHROMA_SHIFT) + matrix[:, 2]) / 2
    return SurfaceWarp(matrix, 2 * onto.bend, onto.middle / 2)
