"""Conversion of decoded frames to `YuvFrame`: of one size, in a layout that encoders take.

Frames in such a layout keep every sample. `ToPlainYuv` makes the 8-bit 4:2:0 that every player shows;
`ToYuv` keeps depth, subsampling, range, HDR and rotation.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from newscaster.media.color import COEFFICIENTS, UNBIASED, ColourTags, FromRgb, Orientation, ToRgb
from newscaster.media.frame import FrameCopier, YuvFrame, is_full_range
from newscaster.media.hdr import to_sdr
from newscaster.media.pixel_layout import PLAIN, PixelLayout, describe_change, layout_of


class ToYuv:
    """Converts decoded frames to frames of one size in one layout, and keeps all that an encoder can.

    Args:
        first: the first frame of the video, which sets size, layout and range.
        aspect: width of a stored pixel over its height.
        writable: whether the caller may modify the frames. Otherwise no sample is copied if none changes.
    """

    def __init__(self, first: VideoFrame, aspect: Fraction = Fraction(1), *, writable: bool = True) -> None:
        self._writable = writable
        self._stored = round(first.width * aspect), first.height
        self._orientation = Orientation.of(first)
        self.size = self._orientation.size(*self._stored)
        """Width and height as shown."""
        self._layout = self._choose_layout(first)
        self._range = ColorRange.JPEG if self._keeps_range(first) else ColorRange.MPEG
        # FFmpeg has names of its own for 8 bits in full range; the encoder must be given the decoder's.
        is_named = first.format.name == self._layout.name.replace("yuv", "yuvj")
        self._format = first.format.name if is_named and self._keeps_range(first) else self._layout.name
        self._turns = self._must_turn()
        self.notes = self._describe_changes(first, aspect)
        """The changes to the frames, one line each."""
        self._reformatter = VideoReformatter()
        self._copiers: dict[tuple[int, int], FrameCopier] = {}

    def _choose_layout(self, first: VideoFrame) -> PixelLayout:
        layout = layout_of(first.format.name)
        if self._orientation.transpose and layout.across != layout.down and self._has_odd_side(layout):
            return PixelLayout(layout.depth, 1, 1)  # turned, it would be 4:4:0
        return layout

    def _keeps_range(self, first: VideoFrame) -> bool:
        return is_full_range(first)

    def _must_turn(self) -> bool:
        """Return whether frames are turned upright: padding may only be at the right and at the bottom."""
        return self._orientation != Orientation() and self._has_odd_side(self._layout)

    def _has_odd_side(self, layout: PixelLayout) -> bool:
        return self._stored[0] % layout.across + self._stored[1] % layout.down > 0

    def _describe_changes(self, first: VideoFrame, aspect: Fraction) -> list[str]:
        change = describe_change(first.format.name)
        notes = [] if change is None else [change]
        if change is None and layout_of(first.format.name) != self._layout:
            notes.append(f"pixel format {first.format.name} becomes {self._layout}")
        if aspect != 1:
            notes.append("pixels become square")
        if self._turns:
            notes.append("frames are stored upright, without a rotation flag")
        return notes

    def __call__(self, frame: VideoFrame) -> YuvFrame:
        """Return the converted frame."""
        if not self._is_kept(frame):
            kept = self._reformat(frame)
        else:
            # The decoder refers to the original.
            kept = self._copy(frame) if self._writable else frame
        if self._turns or self._has_odd_side(self._layout):
            return YuvFrame(self._turn_upright(kept, ColourTags.of(frame)), self.size)
        return YuvFrame(kept, self.size, self._orientation)

    def _is_kept(self, frame: VideoFrame) -> bool:
        same_size = (frame.width, frame.height) == self._stored
        same_range = is_full_range(frame) == (self._range == ColorRange.JPEG)
        return same_size and same_range and frame.format.name == self._format

    def _copy(self, frame: VideoFrame) -> VideoFrame:
        key = (frame.width, frame.height)
        if key not in self._copiers:
            self._copiers[key] = FrameCopier(frame.width, frame.height, self._format)
        copied = self._copiers[key].copy(frame)
        copied.colorspace, copied.color_range = frame.colorspace, self._range
        copied.color_primaries, copied.color_trc = frame.color_primaries, frame.color_trc
        return copied

    def _reformat(self, frame: VideoFrame) -> VideoFrame:
        tags = ColourTags.of(frame)
        width, height = self._stored
        coefficients = COEFFICIENTS.get(tags.matrix, Colorspace.ITU601)
        kept = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._format,
            src_colorspace=coefficients,
            dst_colorspace=coefficients,
            src_color_range=ColorRange.JPEG if is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=self._range,
            interpolation=UNBIASED,
            threads=1,
        )
        return self._tagged(kept, tags)

    def _turn_upright(self, frame: VideoFrame, tags: ColourTags) -> VideoFrame:
        """Turn the planes, if so decided; odd sides grow by one, the edge repeated."""
        layout = self._layout
        width, height = self.size[0] + self.size[0] % layout.across, self.size[1] + self.size[1] % layout.down
        out = VideoFrame(width, height, self._format)
        turned = YuvFrame(frame, orientation=self._orientation)
        for plane, place in zip(turned.planes, YuvFrame(out).planes, strict=True):
            missing = (place.shape[0] - plane.shape[0], place.shape[1] - plane.shape[1])
            place[:] = np.pad(plane, [(0, number) for number in missing], mode="edge")
        return self._tagged(out, tags)

    def _tagged(self, frame: VideoFrame, tags: ColourTags) -> VideoFrame:
        frame.colorspace, frame.color_range = tags.matrix, self._range
        frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
        return frame


class ToPlainYuv(ToYuv):
    """Converts decoded frames to upright 8-bit 4:2:0 frames in limited range and SDR, of one size.

    Args:
        first: the first frame of the video, which sets the size.
        aspect: width of a stored pixel over its height.
        writable: see :class:`ToYuv`.
    """

    def __init__(self, first: VideoFrame, aspect: Fraction = Fraction(1), *, writable: bool = True) -> None:
        self._is_dimmed = to_sdr(ColourTags.of(first).transfer) is not None
        super().__init__(first, aspect, writable=writable)
        self._to_rgb = ToRgb(aspect)

    def __call__(self, frame: VideoFrame) -> YuvFrame:
        """Return the converted frame."""
        if self._is_dimmed:
            image = self._to_rgb(frame)
            return YuvFrame(FromRgb(ColourTags.for_height(image.shape[0]))(image), self.size)
        return super().__call__(frame)

    def _choose_layout(self, first: VideoFrame) -> PixelLayout:
        return PLAIN

    def _keeps_range(self, first: VideoFrame) -> bool:
        return False

    def _must_turn(self) -> bool:
        return self._orientation != Orientation()

    def _describe_changes(self, first: VideoFrame, aspect: Fraction) -> list[str]:
        notes = []
        if self._is_dimmed:
            notes.append("HDR video becomes standard dynamic range, BT.709 or BT.601")
        elif not first.format.name.startswith(("yuv420p", "yuvj420p", "nv12")):
            notes.append(f"pixel format {first.format.name} becomes 4:2:0 of 8 bits")
        elif "10" in first.format.name or "12" in first.format.name.removeprefix("nv12"):
            notes.append(f"pixel format {first.format.name} becomes 8 bits")
        if is_full_range(first):
            notes.append("full range becomes limited range")
        if aspect != 1:
            notes.append("pixels become square")
        if self._orientation != Orientation():
            notes.append("frames are stored upright, without a rotation flag")
        return notes
