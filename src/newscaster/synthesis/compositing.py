"""Compositing: the only module that converts RGB face crops to YUV planes and blends them into frames.

Plain frames (8-bit 4:2:0) take the fast way below. Frames of other depth, subsampling, range or transfer take
`_composite_samples`, which blends in the frame's own precision.

::

    crop (S, S, 3) RGB ─► Y (S, S), U and V (S/2, S/2) ─► each warped onto the frame ─► into its plane

The frame itself is not converted. Pixels outside the soft mask reach the encoder as decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.face.crop import Box, Placement, as_image, blend
from newscaster.face.surface_warp import SurfaceWarp, resample, sampling_grid
from newscaster.media import CHROMA_SHIFT, YuvFrame, to_planes, to_samples
from newscaster.types import ImageU8

_EDGE = 2
"""Padding of a crop in pixels, so that chroma has neighbours at its border."""


def composite(
    image: YuvFrame,
    crop: ImageU8,
    placement: Placement,
    *,
    corner: tuple[int, int] = (0, 0),
    blend_weight: float = 1.0,
) -> None:
    """Blend a crop (S, S, 3) RGB, or a part of it, into a frame, in place.

    Args:
        image: modified inside the mask. A chroma sample is inside if one of its four pixels is.
        crop: (h, w, 3), of a crop of the side that `placement` was made for; it has all pixels of the mask.
        placement: position and mask.
        corner: column and row of the crop's upper left pixel, if it is a part.
        blend_weight: maximum weight of the crop, 0 to 1.
    """
    if blend_weight <= 0:
        return
    (height, width), used = crop.shape[:2], placement.used
    is_inside = corner[0] < used.left and corner[1] < used.top
    is_inside &= used.right < corner[0] + width and used.bottom < corner[1] + height
    added = 0 if is_inside else _EDGE
    part = _padded_part(crop, used, corner, added)
    to_crop = placement.onto_crop.moved(added, added)
    if not image.is_plain:
        soft = _scale_mask(placement.soft, blend_weight)
        _composite_samples(image, part, to_crop, placement.box, soft)
        return
    _blend_planes(image, to_planes(part, image.tags), to_crop, placement, blend_weight)


def composite_planes(
    image: YuvFrame,
    luma: ImageU8,
    chroma: ImageU8,
    placement: Placement,
    *,
    side: int,
    corner: tuple[int, int] = (0, 0),
    blend_weight: float = 1.0,
) -> None:
    """Blend planes of a crop, or of a part of one, into a plain frame, in place; see :func:`composite`.

    Args:
        image: 8-bit 4:2:0, modified inside the mask.
        luma: (h, w), both even.
        chroma: (2, h/2, w/2), U and V. Samples lie in the centre of four of luma.
        placement: position and mask.
        side: of the whole crop.
        corner: column and row of the crop's upper left pixel, if it is a part; even.
        blend_weight: maximum weight of the crop, 0 to 1.
    """
    if blend_weight <= 0:
        return
    used = placement.used
    added = _EDGE if min(used) <= 0 or max(used) >= side else 0
    half_used, half_corner = Box(*(edge // 2 for edge in used)), (corner[0] // 2, corner[1] // 2)
    part = _padded_part(luma, used, corner, added)
    halves = (_padded_part(plane, half_used, half_corner, added // 2) for plane in chroma)
    planes = tuple(as_image(plane) for plane in (part, *halves))
    _blend_planes(image, planes, placement.onto_crop.moved(added, added), placement, blend_weight)


def _blend_planes(
    image: YuvFrame,
    parts: Sequence[Image.Image],
    to_crop: SurfaceWarp,
    placement: Placement,
    blend_weight: float,
) -> None:
    """Warp Y, U and V of the used part of a crop onto their planes, and blend them."""
    luma, *chroma = parts
    box, planes = placement.box, image.planes
    warped = resample(luma, sampling_grid(to_crop, box.size), box.size)
    blend(planes[0][box.rows, box.columns], warped, _scale_mask(placement.soft, blend_weight))
    half_size = (box.size[0] // 2, box.size[1] // 2)
    half_soft = _scale_mask(placement.half_soft, blend_weight)
    half_grid = sampling_grid(_divide_warp(to_crop, (2, 2), CHROMA_SHIFT), half_size)
    rows, columns = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
    for plane, source in zip(planes[1:], chroma, strict=True):
        blend(plane[rows, columns], resample(source, half_grid, half_size, smooth=False), half_soft)


def _padded_part(crop: ImageU8, used: Box, corner: tuple[int, int], added: int) -> ImageU8:
    """Return the used part of a crop; its edges are repeated by ``added`` pixels on every side."""
    height, width = crop.shape[:2]
    left, top = used.left - corner[0], used.top - corner[1]
    right, bottom = used.right - corner[0], used.bottom - corner[1]
    if not added:
        return crop[top:bottom, left:right]
    rows = np.arange(top - added, bottom + added)
    columns = np.arange(left - added, right + added)
    return np.asarray(crop[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)])


def _composite_samples(image: YuvFrame, part: ImageU8, to_crop: SurfaceWarp, box: Box, soft: ImageU8) -> None:
    """Blend a part of a crop into a frame of any layout, in float32: no step is coarser than the frame's own.

    Args:
        image: modified inside the mask.
        part: (h, w, 3) RGB with even sides.
        to_crop: from pixels of the box to pixels of the part.
        box: in pixels of the frame, even.
        soft: (h, w) of the box: blend weight, 0 to 255.
    """
    luma, *chroma = (Image.fromarray(plane) for plane in to_samples(part, image))
    across, down = image.chroma_steps
    small_box = (box.left // across, box.top // down, box.right // across, box.bottom // down)
    small_warp = _divide_warp(to_crop, image.chroma_steps, image.chroma_shift)
    small_soft = np.asarray(Image.fromarray(soft).reduce((across, down)))
    planes, peak = image.planes, image.layout.peak
    _blend_samples(planes[0], box, luma, to_crop, soft, peak=peak)
    for plane, source in zip(planes[1:], chroma, strict=True):
        small = source.reduce((across, down))
        _blend_samples(plane, Box(*small_box), small, small_warp, small_soft, peak=peak)


def _blend_samples(
    plane: npt.NDArray[Any], box: Box, source: Image.Image, warp: SurfaceWarp, soft: ImageU8, *, peak: int
) -> None:
    """Warp float32 samples onto a box of a plane, and blend them; samples of weight 0 keep their value."""
    old = plane[box.rows, box.columns]
    method, data = sampling_grid(warp, box.size)
    new = np.asarray(source.transform(box.size, method, data, resample=Image.Resampling.BICUBIC))
    weight = soft.astype(np.float32) / 255
    old[:] = np.rint(np.clip(old + (new - old) * weight, 0, peak))


def _scale_mask(soft: ImageU8, blend_weight: float) -> ImageU8:
    return soft if blend_weight >= 1 else np.round(soft * np.float32(blend_weight)).astype(np.uint8)


def _divide_warp(warp: SurfaceWarp, steps: tuple[int, int], shift: tuple[float, float]) -> SurfaceWarp:
    """Return the same warp between planes of fewer samples.

    A chroma sample at c of the frame lies at D c + s of its luma, with D = diag(`steps`) and s = `shift`. One
    at c of the crop, whose chroma lies in the centre of its pixels, lies at D c. So A (D c + s) + b of the
    crop's luma is (D^-1 A D) c + D^-1 (A s + b) of its chroma. The bend applies to X = D_x c_x.
    """
    step = np.array(steps, np.float64)
    linear = warp.matrix[:, :2] * step[None] / step[:, None]
    offset = (warp.matrix[:, :2] @ np.array(shift) + warp.matrix[:, 2]) / step
    bend = warp.bend * step[0] ** 2 / step
    return SurfaceWarp(np.column_stack([linear, offset]), bend, warp.middle / step[0])
