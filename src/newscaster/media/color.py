"""Pixels between FFmpeg's frames and NumPy: colour matrices, ranges, shapes, rotation.

Every RGB image here is (H, W, 3) uint8, full range. YUV is limited range: BT.709 from 720 lines upwards,
BT.601 below. Untagged streams are read in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from newscaster.media.hdr import to_sdr
from newscaster.media.rational import as_fraction
from newscaster.types import ImageU8

Pixels = TypeVar("Pixels", bound=npt.NDArray[Any])

# Without these flags swscale rounds down: every conversion would darken the frame by 1 to 2 levels.
UNBIASED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_HD_LINES = 720
_VISIBLE_ASPECT, _MAX_ASPECT = 0.01, 4
_UNSPECIFIED = (0, 2)  # 0 is reserved, or RGB in a YUV stream; 2 is unspecified
# ITU-T H.273 codes (they are FFmpeg's too): matrix, primaries, transfer.
_BT709 = (1, 1, 1)
_BT601 = (6, 6, 6)
# Matrix codes of H.273 to the coefficients that swscale knows.
COEFFICIENTS = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
# Weights of red and blue in luma.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class ColourTags:
    """The colour space of a YUV stream (codes of ITU-T H.273)."""

    matrix: int
    primaries: int
    transfer: int

    @staticmethod
    def for_height(height: int) -> ColourTags:
        """Return the tags for writing a frame of `height` lines."""
        return ColourTags(*(_BT709 if height >= _HD_LINES else _BT601))

    @staticmethod
    def of(frame: VideoFrame) -> ColourTags:
        """Return the tags of a decoded frame; those it lacks are as for its height."""
        usual = ColourTags.for_height(frame.height)
        stored = (frame.colorspace, frame.color_primaries, frame.color_trc)
        defaults = (usual.matrix, usual.primaries, usual.transfer)
        pairs = zip(stored, defaults, strict=True)
        return ColourTags(*(default if tag in _UNSPECIFIED else int(tag) for tag, default in pairs))


@cache
def coded_matrix(
    tags: ColourTags, *, full_range: bool = False, depth: int = 8
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the matrix (3, 3) and the offset (3,) from R, G, B of 0 to 1 to sample values of Y, U and V.

    ITU-T H.273, equations 20 to 31: limited range has 219 steps of luma above 16 and 224 of chroma around
    128 at 8 bits; full range has 2^depth - 1 of both.
    """
    red, blue = _LUMA.get(tags.matrix, _LUMA[_BT601[0]])
    luma = np.array([red, 1 - red - blue, blue])
    u, v = ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)
    unit = 1 << (depth - 8)
    peak = (1 << depth) - 1
    scale = (peak, peak) if full_range else (219 * unit, 224 * unit)
    rows = np.stack([scale[0] * luma, scale[1] * u, scale[1] * v])
    offset = np.array([0 if full_range else 16, 128, 128]) * unit
    return rows.astype(np.float32), offset.astype(np.float32)


@cache
def yuv_matrix(tags: ColourTags) -> tuple[float, ...]:
    """Return the matrix from R, G, B of 0 to 255 to Y, U, V in limited range: three rows of four.

    The last number of each row is the offset. Y is the weighted sum of ITU-R BT.601 or BT.709, from 16 to
    235. U and V are the scaled differences of blue and red from it, from 16 to 240 around 128.
    """
    red, blue = _LUMA.get(tags.matrix, _LUMA[_BT601[0]])
    luma = np.array([red, 1 - red - blue, blue])
    u, v = ([0, 0, 1] - luma) / (1 - blue), ([1, 0, 0] - luma) / (1 - red)
    rows = np.stack([219 * luma, 112 * u, 112 * v]) / 255
    return tuple(np.column_stack([rows, [16, 128, 128]]).reshape(-1).tolist())


@cache
def rgb_matrix(tags: ColourTags) -> tuple[float, ...]:
    """Return the inverse of :func:`yuv_matrix`, in the same form."""
    forward = np.array(yuv_matrix(tags)).reshape(3, 4)
    back = np.linalg.inv(forward[:, :3])
    return tuple(np.column_stack([back, -back @ forward[:, 3]]).reshape(-1).tolist())


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the stored frame is turned for display: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @staticmethod
    def of(frame: VideoFrame) -> Orientation:
        """Read the display matrix of a frame.

        A stored point (x, y), y down, is shown at (a x + c y, b x + d y), and the matrix lies in the file
        as the rows (a b u) (c d v) (x y w) of 32-bit integers. Only quarter turns and reflections count.
        """
        side_data: Any = frame.side_data  # its type stub is too narrow
        data = side_data.get(SideDataType.DISPLAYMATRIX)
        if data is None:
            return Orientation()
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
        if abs(b) > abs(a):
            return Orientation(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
        return Orientation(mirror_x=a < 0, mirror_y=d < 0)

    @property
    def matrix(self) -> tuple[int, ...]:
        """The nine numbers of the display matrix, as :meth:`of` reads them."""
        one = 1 << 16
        across, down = -one if self.mirror_x else one, -one if self.mirror_y else one
        turn = (0, down, 0, across, 0, 0) if self.transpose else (across, 0, 0, 0, down, 0)
        return (*turn, 0, 0, 1 << 30)

    @property
    def rotation(self) -> int:
        """Clockwise rotation in degrees (if mirrored: of its x axis)."""
        if self.transpose:
            return 270 if self.mirror_y else 90
        return 180 if self.mirror_x else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height as shown, of a frame stored as `width` x `height`."""
        return (height, width) if self.transpose else (width, height)

    def view(self, image: Pixels) -> Pixels:
        """Return an image (H, W) or (H, W, 3) as shown: a view of the same memory."""
        turned: Any = image.swapaxes(0, 1) if self.transpose else image
        turned = turned[:, ::-1] if self.mirror_x else turned
        return turned[::-1] if self.mirror_y else turned  # type: ignore[no-any-return]

    def undo(self, image: Pixels) -> Pixels:
        """Return an image as stored, of one as shown: a view of the same memory."""
        turned: Any = image[::-1] if self.mirror_y else image
        turned = turned[:, ::-1] if self.mirror_x else turned
        return turned.swapaxes(0, 1) if self.transpose else turned  # type: ignore[no-any-return]

    def apply(self, image: ImageU8) -> ImageU8:
        """Turn an (H, W, 3) image; the result is contiguous."""
        return image if self == Orientation() else np.ascontiguousarray(self.view(image))

    def stored_box(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return the stored pixels of a box: left, top, right and bottom, of a frame shown in `size`."""
        left, top, right, bottom = box
        if self.mirror_x:
            left, right = size[0] - right, size[0] - left
        if self.mirror_y:
            top, bottom = size[1] - bottom, size[1] - top
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)

    def turn_shift(self, shift: tuple[float, float]) -> tuple[float, float]:
        """Return a displacement (x, y) of stored samples as shown."""
        x, y = shift[::-1] if self.transpose else shift
        return (-x if self.mirror_x else x), (-y if self.mirror_y else y)


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Return the sample aspect ratio; 1 if the difference is invisible, or if the value is absurd."""
    aspect = as_fraction(stream.sample_aspect_ratio)
    if aspect is None or abs(aspect - 1) < _VISIBLE_ASPECT or not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        return Fraction(1)
    return aspect


class ToRgb:
    """Converts decoded frames to upright RGB images of the first frame's size, with square pixels.

    The first frame also sets the rotation.

    HDR is tone mapped to SDR.

    Args:
        aspect: width of a stored pixel over its height.
        exact: round without bias. Otherwise pixel values are lower by 1 in the mean, in a tenth of the time.
    """

    def __init__(self, aspect: Fraction = Fraction(1), *, exact: bool = True) -> None:
        self._aspect = aspect
        self._interpolation = UNBIASED if exact else Interpolation.BILINEAR
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._orientation: Orientation | None = None

    def __call__(self, frame: VideoFrame) -> ImageU8:
        """Return (H, W, 3) uint8, which the caller may modify."""
        if self._orientation is None:
            # Once: a frame whose side data were read is in a reference cycle, and stays until it is found.
            self._orientation = Orientation.of(frame)
        return self._orientation.apply(self.stored(frame))

    def stored(self, frame: VideoFrame) -> ImageU8:
        """Return (H, W, 3) uint8 as stored, not turned, which the caller may modify."""
        if self._size is None:
            self._size = (round(frame.width * self._aspect), frame.height)
        width, height = self._size
        tags = ColourTags.of(frame)
        rgb = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=COEFFICIENTS.get(tags.matrix, Colorspace.ITU601),
            dst_color_range=ColorRange.JPEG,
            interpolation=self._interpolation,
            threads=1,
        )
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        if (dimmed := to_sdr(tags.transfer)) is not None:
            image = np.array(Image.fromarray(image).filter(dimmed))
        return image


class FromRgb:
    """Converts RGB images to YUV 4:2:0 frames for the encoder."""

    def __init__(self, tags: ColourTags) -> None:
        self._reformatter = VideoReformatter()
        self._tags = tags

    def __call__(self, image: ImageU8) -> VideoFrame:
        """Convert (H, W, 3) uint8. Odd sides grow by one pixel, the edge repeated: 4:2:0 needs even sides."""
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
            format="yuv420p",
            dst_colorspace=COEFFICIENTS[self._tags.matrix],
            dst_color_range=ColorRange.MPEG,
            interpolation=UNBIASED,
            threads=1,
        )
        frame.colorspace = self._tags.matrix
        frame.color_primaries = self._tags.primaries
        frame.color_trc = self._tags.transfer
        frame.color_range = ColorRange.MPEG
        return frame
