"""The face crop: the square, stabilised image of the lower face.

Defines the position of the square on the head and its size in pixels, cuts it out of a frame, and pastes a
new one in its place. The renderer draws its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head, Poses
from newscaster.face.surface_warp import Surface, SurfaceWarp, resample, sampling_grid, warped
from newscaster.face.topology import INNER_LIPS, MOUTH, OUTER_LIPS
from newscaster.types import ArrayBool, ArrayF64, ArrayFloat, ImageU8

SIDES = (128, 256, 512, 768)
"""Possible sides of a crop in pixels."""
CENTRE_Y = 0.9
"""Height of the crop's centre in the head frame: between nose and chin."""
EXTENT_RANGE = (1.7, 2.2)
"""Smallest and largest side of the crop in inter-ocular distances (IOD)."""
SHRINK_ALLOWED = 0.9
"""Smallest scale of a face in its crop before the next larger side is chosen."""

_MAX_DEPTH = 5.0
_FINE_MASK = 256
"""From this side of crops on, the mask is placed at half the resolution."""
_JAW_ENDS = 2
"""Points at either end of the jaw line, above the height of the mouth, that the mask excludes."""
_ABOVE_LIPS = 0.1
"""Distance of the mask's top from the upper lip in IOD: below the nostrils."""

_COARSER = 1.25
"""Largest pixel of a reduced frame, in pixels of the small crop that is cut from it."""
_AROUND = 4
"""Margin in pixels: two for the interpolation, and two for colours interpolated from neighbours."""


class Box(NamedTuple):
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom`` of an image, the last ones excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


@dataclass(frozen=True)
class FaceCrop:
    """The square on the head: ``side`` pixels that show ``extent`` inter-ocular distances (IOD)."""

    side: int
    extent: float
    surface: Surface | None = None
    """The surface of the crop; None: a plane that always faces the camera."""

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ValueError(f"the side of a face crop must be one of {SIDES}, not {self.side}")
        if not 0.5 < self.extent < 5:
            raise ValueError(
                f"the extent of a face crop must be 0.5 to 5 inter-ocular distances, not {self.extent}"
            )
        if self.surface is not None and not all(abs(number) <= _MAX_DEPTH for number in self.surface):
            raise ValueError(
                f"the surface of a face crop must have three numbers of at most {_MAX_DEPTH:g}, "
                f"not {self.surface}"
            )

    @staticmethod
    def for_face(eye_distance_px: float) -> FaceCrop:
        """Return the crop for a face of this size: the smallest side that does not shrink the face."""
        min_extent, max_extent = EXTENT_RANGE
        min_side = min_extent * eye_distance_px * SHRINK_ALLOWED
        side = next((s for s in SIDES if s >= min_side), SIDES[-1])
        return FaceCrop(side, float(np.clip(side / eye_distance_px, min_extent, max_extent)))

    @property
    def pixels_per_unit(self) -> float:
        """Crop pixels per IOD."""
        return self.side / self.extent

    @property
    def from_head(self) -> Similarity:
        """Head units (x, y) to crop pixels."""
        scale = self.pixels_per_unit
        return Similarity.of(scale=scale, shift=(self.side / 2, self.side / 2 - scale * CENTRE_Y))

    def transforms(self, head: Head, poses: Poses) -> SurfaceWarp:
        """Return the warps from frame to crop pixels for every pose, (F,)."""
        if self.surface is not None:
            return SurfaceWarp.on_surface(self.surface, poses, to=self.from_head)
        depth = float(head.points[list(OUTER_LIPS), 2].mean())
        return SurfaceWarp.of(poses.upright(np.array([0.0, CENTRE_Y, depth]), to=self.from_head))

    def to_json(self) -> dict[str, object]:
        """Return the values to store; :meth:`from_json` is the inverse."""
        surface = {} if self.surface is None else {"surface": list(self.surface)}
        return {"side": self.side, "extent": self.extent, **surface}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FaceCrop:
        """Parse a crop. Raise ``KeyError``, ``TypeError`` or ``ValueError`` if the data are malformed."""
        side, extent, surface = int(data["side"]), float(data["extent"]), data.get("surface")
        return FaceCrop(side, extent, None if surface is None else Surface(*map(float, surface)))


def covered(transform: SurfaceWarp, *, side: int, size: tuple[int, int]) -> Box:
    """Return the part of a frame of ``size`` (width, height) that :func:`cut_crop` reads, with a margin.

    Its edges are even, for frames with subsampled chroma. The crop of the part, moved to its corner, equals
    the crop of the frame.
    """
    return _even_box(transform.outline(0, 0, side, side), margin=_AROUND, size=size)


def cut_crop(image: ImageU8, transform: SurfaceWarp, side: int) -> ImageU8:
    """Return the crop (side, side, 3) of a frame (H, W, 3); pixels outside the frame are black.

    ``transform`` is one surface warp from frame to crop pixels.
    """
    edge = transform.outline(0, 0, side, side)
    height, width = image.shape[:2]
    # Only the area of the square is copied, and two pixels more for the interpolation.
    left, top = np.clip(np.floor(edge.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1]).tolist()
    right, bottom = np.clip(np.ceil(edge.max(axis=0)).astype(int) + 2, [left + 1, top + 1], [width, height])
    return warped(as_image(image[top:bottom, left:right]), transform.from_corner(left, top), side)


def shrink_factor(transform: SurfaceWarp, *, side: int, small_side: int) -> int:
    """Return the power of 2 by which a frame may be reduced before :func:`cut_small` cuts it."""
    frame_px = abs(np.linalg.det(transform.matrix[:, :2])) ** -0.5 * side / small_side
    return int(2 ** np.clip(np.floor(np.log2(_COARSER * frame_px)), 0, 3))


def cut_small(part: ImageU8, transform: SurfaceWarp, *, side: int, small_side: int, factor: int) -> ImageU8:
    """Return a crop at a smaller side that divides its own, (small_side, small_side, 3).

    Args:
        part: (h, w, 3), a part of a frame, reduced by ``factor``.
        transform: from pixels of the part, before it was reduced, to pixels of the whole crop.
        side: of the whole crop.
        small_side: of the result.
        factor: see :func:`shrink_factor`.
    """
    return warped(as_image(part), transform.scaled_down(factor, side / small_side), small_side)


@dataclass(frozen=True)
class Placement:
    """Position and blend weights of a crop on one frame."""

    box: Box
    """The part of the frame that changes; all edges are even."""
    soft: ImageU8
    """(h, w) of the box: blend weight of the new crop, 0 to 255."""
    half_soft: ImageU8
    """(h/2, w/2): the mean of each four pixels, for planes of half the size."""
    used: Box
    """The part of the crop that the box shows; all edges are even."""
    onto_crop: SurfaceWarp
    """Pixels of the box to pixels of the used part."""


class SoftMask:
    """Blend weights of a crop, ready to be placed on many frames.

    Args:
        mask: (S, S), 0 to 255.
    """

    def __init__(self, mask: ImageU8) -> None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        self._is_empty = not len(rows)
        if self._is_empty:
            return
        self._ends = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], np.float64)
        self._used = _even_box(self._ends, margin=_AROUND, size=(mask.shape[1], mask.shape[0]))
        part = as_image(mask[self._used.rows, self._used.columns])
        # Masks of large crops fade over many pixels: half of these in either direction give the same.
        self._is_halved = len(mask) >= _FINE_MASK
        self._part = part.reduce(2) if self._is_halved else part

    def place(self, transform: SurfaceWarp, *, size: tuple[int, int]) -> Placement | None:
        """See :func:`place`."""
        if self._is_empty:
            return None
        used = self._used
        box = _even_box(transform.outline(*self._ends.reshape(-1)), margin=1, size=size)
        onto = transform.from_corner(box.left, box.top).moved(-used.left, -used.top)
        soft, half_soft = self._resampled(onto, box.size)
        return Placement(box, soft, half_soft, used, onto) if half_soft.any() else None

    def _resampled(self, onto: SurfaceWarp, size: tuple[int, int]) -> tuple[ImageU8, ImageU8]:
        """Return the weights on a box (height, width), and the same at half the size."""
        if not self._is_halved:
            soft = resample(self._part, sampling_grid(onto, size), size, smooth=False)
            return soft, np.asarray(Image.fromarray(soft).reduce(2))
        half_size, half = (size[0] // 2, size[1] // 2), onto.scaled_down(2, 2)
        small = resample(self._part, sampling_grid(half, half_size), half_size, smooth=False)
        # Bilinear interpolation gives no weight to a pixel unless one beside it has one.
        return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)), small


def place(mask: ImageU8, transform: SurfaceWarp, *, size: tuple[int, int]) -> Placement | None:
    """Return the placement of a crop with ``mask`` (S, S) on a frame of ``size`` (width, height).

    ``mask`` is the blend weight of each pixel, 0 to 255. Return None if no pixel of the crop is visible.
    """
    return SoftMask(mask).place(transform, size=size)


def reduced(crop: ImageU8, side: int) -> ImageU8:
    """Return a crop (S, S, 3) at a smaller side that divides S, (side, side, 3): the mean of each square."""
    factor = len(crop) // side
    return np.asarray(crop) if factor == 1 else np.asarray(as_image(crop).reduce(factor))


def as_image(array: ImageU8) -> Image.Image:
    """Return Pillow's image of an array (h, w) or (h, w, 3), contiguous or not."""
    return Image.fromarray(np.ascontiguousarray(array))


def blend(target: ImageU8, new: ImageU8, soft: ImageU8) -> None:
    """Blend ``new`` into ``target``, in place, by the weights ``soft``, 0 to 255.

    Pixels of weight 0 keep their value exactly. The shapes must broadcast.
    """
    change = new.astype(np.int32)
    change -= target
    change *= soft
    change *= 257  # rounded division by 255: (v * 257 + 2^15) / 2^16
    change += 1 << 15
    change >>= 16
    change += target
    target[:] = change


def paste(image: ImageU8, patch: ImageU8, mask: ImageU8, transform: SurfaceWarp) -> None:
    """Paste a crop (S, S, 3) back into a frame (H, W, 3), in place.

    ``mask`` (S, S) is the blend weight of each pixel of ``patch``, 0 to 255. Pixels of weight 0 keep their
    value exactly.
    """
    placement = place(mask, transform, size=(image.shape[1], image.shape[0]))
    if placement is not None:
        box, used = placement.box, placement.used
        grid = sampling_grid(placement.onto_crop, box.size)
        new = resample(as_image(patch[used.rows, used.columns]), grid, box.size)
        blend(image[box.rows, box.columns], new, placement.soft[..., None])


def _even_box(points: ArrayF64, *, margin: int, size: tuple[int, int]) -> Box:
    """Return the box of all points and a margin, with even edges, inside ``size``; at least two pixels."""
    first = np.floor(points.min(axis=0)).astype(int) - margin
    last = np.ceil(points.max(axis=0)).astype(int) + margin
    limit = np.array(size)
    first = np.clip(first - first % 2, 0, limit - 2 - limit % 2)
    last = np.clip(last + last % 2, first + 2, limit)
    return Box(*first.tolist(), *last.tolist())


@dataclass(frozen=True)
class Mask:
    """The rewritten part of a crop."""

    hidden: ArrayBool
    """(S, S): pixels that the renderer must not see, since they show the speech of the old mouth."""
    soft: ImageU8
    """(S, S): blend weight of the new crop, 0 to 255; 0 wherever ``hidden`` is false."""

    @cached_property
    def placeable(self) -> SoftMask:
        """The blend weights, ready to be placed on frames."""
        return SoftMask(self.soft)


def lower_face_mask(points: ArrayFloat, crop: FaceCrop) -> Mask:
    """Return one mask for all frames, which covers the lower face of every mouth in ``points`` (F, 57, 2).

    ``points`` are in crop pixels. The mask does not follow the jaw of a frame, so it cannot reveal to the
    renderer how far that jaw was open. It reaches from below the nose and the corners of the jaw to under the
    lowest chin, with a margin, and fades out inside. Further up, the outline of the face does not move.
    """
    side, unit = crop.side, crop.pixels_per_unit
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    jaw = slice(len(OUTER_LIPS) + len(INNER_LIPS) + _JAW_ENDS, len(MOUTH) - _JAW_ENDS)
    for mouth in points:
        line, lips = mouth[jaw], mouth[: len(OUTER_LIPS)]
        top, left, right = lips[:, 1].min() - _ABOVE_LIPS * unit, lips[:, 0].min(), lips[:, 0].max()
        outline = [*line, (left, top), (right, top)]
        draw.polygon([(float(x), float(y)) for x, y in outline], fill=255)
    margin = 2 * round(0.05 * unit) + 1
    hidden = _near(np.asarray(canvas) > 0, margin // 2)
    fade = max(1.0, 0.025 * unit)
    inner = Image.fromarray(np.where(_near(~hidden, round(2 * fade)), 0, 255).astype(np.uint8))
    soft = np.where(hidden, np.asarray(inner.filter(ImageFilter.GaussianBlur(fade))), 0).astype(np.uint8)
    return Mask(hidden, soft)


def _near(flags: ArrayBool, reach: int) -> ArrayBool:
    """Return the pixels of an image (S, S) with a set one at most ``reach`` rows and columns away.

    Dilation by a square, from sums along each axis: Pillow's MaxFilter takes seconds for wide squares.
    """
    for _ in range(2):
        places = np.arange(flags.shape[1])
        sums = np.pad(flags.cumsum(axis=1), ((0, 0), (1, 0)))
        first, stop = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(places))
        flags = (sums[:, stop] > sums[:, first]).T
    return flags
