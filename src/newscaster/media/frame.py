"""YUV 4:2:0 frames that pass from the decoder to the encoder without conversion.

Handles the planes and the position of their samples. Leaves drawing to the caller.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image

from newscaster.media.color import (
    COEFFICIENTS,
    UNBIASED,
    ColourTags,
    FromRgb,
    Orientation,
    ToRgb,
    yuv_matrix,
)
from newscaster.media.hdr import to_sdr
from newscaster.types import ImageU8

Planes = tuple[ImageU8, ImageU8, ImageU8]

CHROMA_SHIFT = (-0.5, 0.0)
"""Offset (x, y) of chroma: luma position = 2 * chroma position + this. See `YuvFrame`."""


class YuvFrame:
    """A decoded frame: planes Y, U and V in limited range.

    Chroma is located as in H.264, on every other column of luma and between two of its rows::

        edges    0   1   2   3   4
        luma     | o | o | o | o |
        chroma   | x     | x     |     sample i: x = 2 i + 0.5 on luma, i + 0.5 on chroma

    Args:
        frame: of 8 bits, 4:2:0, limited range; see `is_plain`.
        size: width and height as shown, if an odd side was padded by one pixel; default: the frame's.

    Attributes:
        alpha: opacity (H, W) uint8 of luma's size; colours are not premultiplied. None: opaque.
    """

    __slots__ = ("alpha", "frame", "size")

    def __init__(self, frame: VideoFrame, size: tuple[int, int] | None = None) -> None:
        self.frame = frame
        self.size = size or (frame.width, frame.height)
        self.alpha: ImageU8 | None = None

    @property
    def tags(self) -> ColourTags:
        """The colour space."""
        return ColourTags.of(self.frame)

    @property
    def planes(self) -> Planes:
        """Y (H, W), U and V (H/2, W/2), uint8: writable views of the frame's own memory."""
        y, u, v = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]  # type: ignore[call-overload]
            for plane in self.frame.planes
        )
        return y, u, v

    @property
    def luma_rows(self) -> ImageU8:
        """Y as one contiguous block of memory: (H, W plus row padding). NumPy is fastest on it."""
        plane = self.frame.planes[0]
        rows = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
        padded: ImageU8 = rows.reshape(plane.height, plane.line_size)
        return padded

    def rgb(self) -> ImageU8:
        """Return (H, W, 3) uint8 of the size shown, which the caller may modify."""
        width, height = self.size
        image = ToRgb()(self.frame)
        return image if image.shape[:2] == (height, width) else np.ascontiguousarray(image[:height, :width])


def is_plain(frame: VideoFrame) -> bool:
    """Return whether a frame can be a `YuvFrame`: 8-bit 4:2:0 in limited range."""
    return frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG


def to_planes(image: ImageU8, tags: ColourTags) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Convert RGB (H, W, 3) with even sides to Y (H, W), U and V (H/2, W/2).

    Chroma is centred between four pixels. The planes are Pillow images, since Pillow processes planes that
    are not part of a frame yet.
    """
    y, u, v = Image.fromarray(np.ascontiguousarray(image)).convert("RGB", yuv_matrix(tags)).split()
    return y, u.reduce(2), v.reduce(2)


class FrameCopier:
    """Copies frames of one size, and parts of them; for one thread at a time.

    It uses FFmpeg's filters, since a newly created frame has no chroma location.
    """

    def __init__(self, width: int, height: int) -> None:
        self._copy, _ = _filter(width, height, "copy", "")
        self._cut, self._window = _filter(width, height, "crop", f"{width}:{height}")

    def copy(self, frame: VideoFrame) -> VideoFrame:
        """Return a copy of a frame in its own memory."""
        return _filter_frame(self._copy, frame)

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


def _filter(width: int, height: int, name: str, arguments: str) -> tuple[Graph, FilterContext]:
    graph = Graph()
    graph.threads = 1
    layout = VideoFormat("yuv420p")
    source = graph.add_buffer(width=width, height=height, format=layout, time_base=Fraction(1, 1000))
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


class ToYuv:
    """Converts decoded frames to upright 8-bit 4:2:0 frames in limited range, of one size.

    Frames that already have this form keep every sample.

    Args:
        first: the first frame of the video, which sets the size.
        aspect: width of a stored pixel over its height.
    """

    def __init__(self, first: VideoFrame, aspect: Fraction = Fraction(1)) -> None:
        self._stored = round(first.width * aspect), first.height
        self._orientation = Orientation.of(first)
        self._is_dimmed = to_sdr(ColourTags.of(first).transfer) is not None
        self.size = self._orientation.size(*self._stored)
        """Width and height as shown."""
        self.notes = self._describe_changes(first, aspect)
        """The changes to the frames, one line each."""
        self._reformatter = VideoReformatter()
        self._to_rgb = ToRgb(aspect)
        self._copiers: dict[tuple[int, int], FrameCopier] = {}

    def __call__(self, frame: VideoFrame) -> YuvFrame:
        """Return the converted frame, which the caller may modify."""
        if self._is_dimmed:
            image = self._to_rgb(frame)
            return YuvFrame(FromRgb(ColourTags.for_height(image.shape[0]))(image), self.size)
        if (frame.width, frame.height) == self._stored and is_plain(frame):
            plain = self._copy(frame)  # the decoder refers to the original
        else:
            plain = self._reformat(frame)
        tags = ColourTags.of(frame)
        width, height = self._stored
        if self._orientation == Orientation() and not width % 2 and not height % 2:
            return YuvFrame(plain, self.size)
        return YuvFrame(self._turn_upright(plain, tags), self.size)

    def _describe_changes(self, first: VideoFrame, aspect: Fraction) -> list[str]:
        notes = []
        if self._is_dimmed:
            notes.append("HDR video becomes standard dynamic range, BT.709 or BT.601")
        elif not first.format.name.startswith(("yuv420p", "yuvj420p", "nv12")):
            notes.append(f"pixel format {first.format.name} becomes 4:2:0 of 8 bits")
        elif "10" in first.format.name or "12" in first.format.name.removeprefix("nv12"):
            notes.append(f"pixel format {first.format.name} becomes 8 bits")
        if first.color_range == ColorRange.JPEG or first.format.name.startswith("yuvj"):
            notes.append("full range becomes limited range")
        if aspect != 1:
            notes.append("pixels become square")
        if self._orientation != Orientation():
            notes.append("frames are stored upright, without a rotation flag")
        return notes

    def _copy(self, frame: VideoFrame) -> VideoFrame:
        size = frame.width, frame.height
        if size not in self._copiers:
            self._copiers[size] = FrameCopier(*size)
        copied = self._copiers[size].copy(frame)
        copied.colorspace, copied.color_range = frame.colorspace, frame.color_range
        copied.color_primaries, copied.color_trc = frame.color_primaries, frame.color_trc
        return copied

    def _reformat(self, frame: VideoFrame) -> VideoFrame:
        tags = ColourTags.of(frame)
        width, height = self._stored
        plain = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=COEFFICIENTS.get(tags.matrix, Colorspace.ITU601),
            dst_colorspace=COEFFICIENTS.get(tags.matrix, Colorspace.ITU601),
            dst_color_range=ColorRange.MPEG,
            interpolation=UNBIASED,
            threads=1,
        )
        return _tagged(plain, tags)

    def _turn_upright(self, frame: VideoFrame, tags: ColourTags) -> VideoFrame:
        """Turn the planes; odd sides grow by one, the edge repeated."""
        width, height = (side + side % 2 for side in self.size)
        out = VideoFrame(width, height, "yuv420p")
        for k, (plane, place) in enumerate(zip(YuvFrame(frame).planes, YuvFrame(out).planes, strict=True)):
            turned = self._orientation.apply(plane[:, :, None])[:, :, 0]
            if k == 0:
                turned = np.pad(
                    turned, ((0, height - len(turned)), (0, width - turned.shape[1])), mode="edge"
                )
            place[:] = turned
        return _tagged(out, tags)


def _tagged(frame: VideoFrame, tags: ColourTags) -> VideoFrame:
    frame.colorspace, frame.color_range = tags.matrix, ColorRange.MPEG
    frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
    return frame
