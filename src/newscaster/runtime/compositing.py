"""New mouths in decoded pictures: the one place where regions, which are RGB, and planes of YUV meet.

::

    region (S, S, 3) RGB ─► Y (S, S), U and V (S/2, S/2) ─► each turned onto the picture ─► into its plane

Nothing of the picture is converted. What the soft mask leaves out reaches the encoder as it was decoded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.region import Placement, blend, warp
from newscaster.media import CHROMA_SHIFT, Picture, to_planes

ImageArray = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

_EDGE = 2
"""Pixels by which a region is continued, so that chroma has neighbours at its border."""


def composite(picture: Picture, region: ImageArray, placement: Placement, *, share: float = 1.0) -> None:
    """Put a region (S, S, 3) RGB into a picture, in place.

    Args:
        picture: written to where the mask is. A sample of chroma is where one of its four pixels is.
        region: of the side that `placement` was made for.
        placement: where, and how much of it.
        share: how much of the new region is taken at most, 0 to 1.
    """
    if share <= 0:
        return
    box, used = placement.box, placement.used
    soft = placement.soft if share >= 1 else np.round(placement.soft * np.float32(share)).astype(np.uint8)
    border = ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0))
    luma, *chroma = to_planes(np.pad(region[used.rows, used.columns], border, mode="edge"), picture.tags)
    onto = placement.onto_region + np.array([[0, 0, _EDGE], [0, 0, _EDGE]])
    planes = picture.planes
    blend(planes[0][box.rows, box.columns], warp(luma, onto, box.size), soft)
    width, height = box.size
    half, half_soft = (width // 2, height // 2), np.asarray(Image.fromarray(soft).reduce(2))
    rows, columns = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
    for plane, new in zip(planes[1:], chroma, strict=True):
        blend(plane[rows, columns], warp(new, _halved(onto), half, smooth=False), half_soft)


def _halved(matrix: Array) -> Array:
    """The same map between planes of half the width and height.

    A chroma sample at c of the picture lies at 2 c + s of its luma, s being `CHROMA_SHIFT`; one at c of the
    region, whose chroma lies in the middle of four pixels, at 2 c. And A (2 c + s) + b is twice
    A c + (A s + b) / 2.
    """
    shift = matrix[:, :2] @ np.array(CHROMA_SHIFT) + matrix[:, 2]
    return np.column_stack([matrix[:, :2], shift / 2])
