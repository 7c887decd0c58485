"""YUV frames that pass from the decoder to the encoder without conversion.

Handles the planes and the position of their samples. Leaves drawing to the caller, conversion to `to_yuv`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from PIL import Image

from newscaster.media.color import ColourTags, Orientation, ToRgb, coded_matrix, rgb_matrix, yuv_matrix
from newscaster.media.hdr import from_sdr, to_sdr
from newscaster.media.pixel_layout import PixelLayout, layout_of
from newscaster.types import ArrayF32, ImageU8

Planes = tuple[ImageU8, ImageU8, ImageU8]
"""Luma and chroma of a plain frame: see `YuvFrame.is_plain`."""
Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

CHROMA_SHIFT = (-0.5, 0.0)
"""Offset (x, y) of chroma: luma position = 2 * chroma position + this. See `YuvFrame`."""
_COMPARED = 16


class YuvFrame:
    """A decoded frame: planes Y, U and V.

    Chroma is located as in H.264, on every other column of luma and between two of its rows::

        edges    0   1   2   3   4
        luma     | o | o | o | o |
        chroma   | x     | x     |     sample i: x = 2 i + 0.5 on luma, i + 0.5 on chroma

    Args:
        frame: in a layout of `pixel_layout`.
        size: width and height as shown, if an odd side was padded by one pixel; default: the frame's.
        orientation: how players turn the stored frame. `planes` are turned already.

    Attributes:
        alpha: opacity (H, W) uint8 of luma's size; colours are not premultiplied. None: opaque.
    """

    __slots__ = ("alpha", "frame", "orientation", "size")

    def __init__(
        self, frame: VideoFrame, size: tuple[int, int] | None = None, orientation: Orientation | None = None
    ) -> None:
        self.frame = frame
        self.orientation = orientation or Orientation()
        self.size = size or self.padded_size
        self.alpha: ImageU8 | None = None

    @property
    def padded_size(self) -> tuple[int, int]:
        """Width and height of the luma plane as shown."""
        return self.orientation.size(self.frame.width, self.frame.height)

    @property
    def tags(self) -> ColourTags:
        """The colour space."""
        return ColourTags.of(self.frame)

    @property
    def layout(self) -> PixelLayout:
        """Bits per sample, and the subsampling of chroma as stored."""
        return layout_of(self.frame.format.name)

    @property
    def is_full_range(self) -> bool:
        """Whether luma uses all sample values."""
        return is_full_range(self.frame)

    @property
    def is_plain(self) -> bool:
        """Whether this is 8-bit 4:2:0 of limited range, upright and SDR."""
        return (
            self.orientation == Orientation() and is_plain(self.frame) and to_sdr(self.tags.transfer) is None
        )

    @property
    def chroma_steps(self) -> tuple[int, int]:
        """Columns and rows of luma per sample of chroma, as shown."""
        return self.orientation.size(self.layout.across, self.layout.down)

    @property
    def chroma_shift(self) -> tuple[float, float]:
        """Offset (x, y) as shown: luma position = `chroma_steps` * chroma position + this."""
        return self.orientation.turn_shift(CHROMA_SHIFT if self.layout.across == 2 else (0.0, 0.0))

    @property
    def is_monochrome(self) -> bool:
        """Whether U and V are constant, as in black and white video.

        Every 16th sample of both directions is compared; they may differ by an 8-bit value.
        """
        planes = (plane[::_COMPARED, ::_COMPARED] for plane in self.planes[1:])
        return all(int(np.ptp(plane)) <= 1 << (self.layout.depth - 8) for plane in planes)

    @property
    def planes(self) -> tuple[Any, Any, Any]:
        """Y (H, W), U and V (H/2, W/2 if 4:2:0), as shown: writable views of the frame's own memory.

        uint8, or uint16 if samples have more than 8 bits.
        """
        view = self.orientation.view
        y, u, v = (view(_rows(plane, self.layout)[:, : plane.width]) for plane in self.frame.planes)
        return y, u, v

    @property
    def luma_rows(self) -> Plane:
        """Y as stored: see `rows`."""
        return self.rows(0)

    def rows(self, plane: int) -> Plane:
        """Return a plane as stored, in one contiguous block of memory: (h, w plus row padding).

        NumPy is fastest on it.

        Args:
            plane: 0, 1 or 2: Y, U or V.
        """
        return _rows(self.frame.planes[plane], self.layout)

    def i420(self) -> ImageU8:
        """Return Y, U and V in one block of memory, (H * 3 / 2, W) uint8: 8-bit 4:2:0 of limited range.

        Width and height are those of `padded_size`, made even. Plain frames are copied, others converted.
        """
        width, height = (side + side % 2 for side in self.padded_size)
        planes: tuple[Any, ...] = self.planes
        if not self.is_plain:
            rgb = self.rgb()
            padding = ((0, height - rgb.shape[0]), (0, width - rgb.shape[1]), (0, 0))
            planes = to_planes(np.pad(rgb, padding, mode="edge"), ColourTags.for_height(height))
        joined: ImageU8 = np.concatenate([np.asarray(plane).reshape(-1) for plane in planes])
        return joined.reshape(-1, width)

    def rgb(self) -> ImageU8:
        """Return (H, W, 3) uint8 of the size shown, which the caller may modify."""
        width, height = self.size
        image = self.orientation.apply(ToRgb().stored(self.frame))
        return image if image.shape[:2] == (height, width) else np.ascontiguousarray(image[:height, :width])


def empty_frame(width: int, height: int) -> YuvFrame:
    """Return a plain frame whose planes are to be written; its sides are even."""
    return YuvFrame(VideoFrame(width, height, "yuv420p"))


def _rows(plane: Any, layout: PixelLayout) -> Plane:
    rows = plane_rows(plane)
    return rows if layout.depth == 8 else rows.view("<u2")


def plane_rows(plane: Any) -> ImageU8:
    """Return the bytes of a plane of PyAV, (h, bytes of a row), with its padding; not a copy."""
    rows: ImageU8 = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows


def is_full_range(frame: VideoFrame) -> bool:
    """Return whether luma uses all sample values."""
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def is_plain(frame: VideoFrame) -> bool:
    """Return whether a frame is 8-bit 4:2:0 in limited range, which every player shows."""
    return frame.format.name == "yuv420p" and not is_full_range(frame)


def to_planes(image: ImageU8, tags: ColourTags) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Convert RGB (H, W, 3) with even sides to Y (H, W), U and V (H/2, W/2).

    Chroma is centred between four pixels. The planes are Pillow images, since Pillow processes planes that
    are not part of a frame yet.
    """
    y, u, v = Image.fromarray(np.ascontiguousarray(image)).convert("RGB", yuv_matrix(tags)).split()
    return y, u.reduce(2), v.reduce(2)


def to_samples(image: ImageU8, like: YuvFrame) -> ArrayF32:
    """Convert RGB (H, W, 3) uint8 to sample values of a frame's planes: (3, H, W) float32, not rounded.

    Chroma has the resolution of the image. An SDR image gets the frame's HDR transfer.
    """
    tags, layout = like.tags, like.layout
    matrix, offset = coded_matrix(tags, full_range=like.is_full_range, depth=layout.depth)
    is_hdr = to_sdr(tags.transfer) is not None
    rgb = from_sdr(image, tags.transfer) if is_hdr else image.astype(np.float32) / np.float32(255)
    samples = matrix @ rgb.reshape(-1, 3).T + offset[:, None]
    return np.asarray(samples, np.float32).reshape(3, *image.shape[:2])


def small_rgb(image: YuvFrame, box: tuple[int, int, int, int], factor: int, copier: FrameCopier) -> ImageU8:
    """Return a part of a frame as RGB, reduced: (ceil(h / factor), ceil(w / factor), 3) uint8.

    Each pixel is the mean of a square. The planes of plain frames are reduced before they are converted,
    which takes a fraction of the time.

    Args:
        image: the frame.
        box: left, top, right and bottom as shown; even.
        factor: a power of 2.
        copier: of frames like this one.
    """
    if factor == 1 or not image.is_plain:
        whole = Image.fromarray(copier.rgb_part(image, box))
        return np.asarray(whole.reduce(factor) if factor > 1 else whole)
    left, top, right, bottom = box
    planes = [image.planes[0][top:bottom, left:right]]
    planes += [plane[top // 2 : bottom // 2, left // 2 : right // 2] for plane in image.planes[1:]]
    factors = (factor, factor // 2, factor // 2)
    means = [
        Image.fromarray(np.ascontiguousarray(plane)).reduce(by)
        for plane, by in zip(planes, factors, strict=True)
    ]
    return np.asarray(Image.merge("RGB", means).convert("RGB", rgb_matrix(image.tags)))


class FrameCopier:
    """Copies frames of one size and pixel format, and parts of them; for one thread at a time.

    It uses FFmpeg's filters, since a newly created frame has no chroma location.
    """

    def __init__(self, width: int, height: int, pixels: str = "yuv420p") -> None:
        self._copy, _ = _filter(width, height, pixels, "copy", "")
        self._cut, self._window = _filter(width, height, pixels, "crop", f"{width}:{height}")

    @staticmethod
    def like(image: YuvFrame) -> FrameCopier:
        """Return a copier of frames like this one."""
        return FrameCopier(image.frame.width, image.frame.height, image.frame.format.name)

    def copy(self, frame: VideoFrame) -> VideoFrame:
        """Return a copy of a frame in its own memory."""
        return _filter_frame(self._copy, frame)

    def copy_of(self, image: YuvFrame) -> YuvFrame:
        """Return a copy of a frame in its own memory."""
        return YuvFrame(self.copy(image.frame), image.size, image.orientation)

    def part(self, frame: VideoFrame, box: tuple[int, int, int, int]) -> VideoFrame:
        """Return columns left to right and rows top to bottom of a frame, in shared memory.

        Args:
            frame: the whole.
            box: left, top, right, bottom; even.
        """
        left, top, right, bottom = box
        for name, value in (("w", right - left), ("h", bottom - top), ("x", left), ("y", top)):
            self._window.process_command(name, str(value))
        return _filter_frame(self._cut, frame)

    def rgb_part(self, image: YuvFrame, box: tuple[int, int, int, int]) -> ImageU8:
        """Return a part of a frame as RGB (h, w, 3) uint8; the box, even, is counted as shown."""
        part = self.part(image.frame, image.orientation.stored_box(box, image.padded_size))
        return image.orientation.apply(ToRgb().stored(part))


def _filter(width: int, height: int, pixels: str, name: str, arguments: str) -> tuple[Graph, FilterContext]:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=width, height=height, format=VideoFormat(pixels), time_base=Fraction(1, 1000)
    )
    middle, sink = graph.add(name, arguments), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph, middle


def _filter_frame(graph: Graph, frame: VideoFrame) -> VideoFrame:
    graph.vpush(frame)
    out = graph.vpull()
    assert isinstance(out, VideoFrame)
    return out
