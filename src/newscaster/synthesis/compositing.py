"""Compositing: the only module that converts RGB face crops to YUV planes and blends them into frames.

::

    crop (S, S, 3) RGB ─► Y (S, S), U and V (S/2, S/2) ─► each warped onto the frame ─► into its plane

The frame itself is not converted. Pixels outside the soft mask reach the encoder as decoded.
"""

from __future__ import annotations

import numpy as np

from newscaster.face.crop import Placement, blend
from newscaster.face.surface_warp import SurfaceWarp, resample, sampling_grid
from newscaster.media import CHROMA_SHIFT, YuvFrame, to_planes
from newscaster.types import ImageU8

_EDGE = 2
"""Padding of a crop in pixels, so that chroma has neighbours at its border."""


def composite(image: YuvFrame, crop: ImageU8, placement: Placement, *, blend_weight: float = 1.0) -> None:
    """Blend a crop (S, S, 3) RGB into a frame, in place.

    Args:
        image: modified inside the mask. A chroma sample is inside if one of its four pixels is.
        crop: of the side that `placement` was made for.
        placement: position and mask.
        blend_weight: maximum weight of the crop, 0 to 1.
    """
    if blend_weight <= 0:
        return
    box, used, to_crop = placement.box, placement.used, placement.onto_crop
    part = crop[used.rows, used.columns]
    if used.left == 0 or used.top == 0 or used.right == crop.shape[1] or used.bottom == crop.shape[0]:
        part = np.pad(part, ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)), mode="edge")
        to_crop = to_crop.moved(_EDGE, _EDGE)
    luma, *chroma = to_planes(part, image.tags)
    planes = image.planes
    warped = resample(luma, sampling_grid(to_crop, box.size), box.size)
    blend(planes[0][box.rows, box.columns], warped, _scale_mask(placement.soft, blend_weight))
    half_size = (box.size[0] // 2, box.size[1] // 2)
    half_soft = _scale_mask(placement.half_soft, blend_weight)
    half_grid = sampling_grid(_halve_warp(to_crop), half_size)
    rows, columns = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
    for plane, source in zip(planes[1:], chroma, strict=True):
        blend(plane[rows, columns], resample(source, half_grid, half_size, smooth=False), half_soft)


def _scale_mask(soft: ImageU8, blend_weight: float) -> ImageU8:
    return soft if blend_weight >= 1 else np.round(soft * np.float32(blend_weight)).astype(np.uint8)


def _halve_warp(warp: SurfaceWarp) -> SurfaceWarp:
    """Return the same warp between planes of half the width and height.

    A chroma sample at c of the frame lies at 2 c + s of its luma, with s = `CHROMA_SHIFT`. One at c of the
    crop, whose chroma lies in the centre of four pixels, lies at 2 c. And A (2 c + s) + b is twice
    A c + (A s + b) / 2. The bend doubles, since it applies to half as many pixels.
    """
    matrix = warp.matrix.copy()
    matrix[:, 2] = (matrix[:, :2] @ np.array(CHROMA_SHIFT) + matrix[:, 2]) / 2
    return SurfaceWarp(matrix, 2 * warp.bend, warp.middle / 2)
