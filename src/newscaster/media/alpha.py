"""Frames with alpha for encoders that store it: VP9 and ProRes 4444 in YUV, PNG in RGB."""

from __future__ import annotations

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from newscaster.media.color import COEFFICIENTS, UNBIASED
from newscaster.media.frame import YuvFrame, plane_rows
from newscaster.types import ImageU8


class AlphaConverter:
    """Converts frames to the pixel format of an encoder.

    Args:
        pixels: FFmpeg's name of it, such as "yuva420p". Without alpha in it, alpha is dropped.
    """

    def __init__(self, pixels: str) -> None:
        self._pixels = pixels
        self._is_rgb = pixels.startswith("rgb")
        self._reformatter = VideoReformatter()

    def __call__(self, image: YuvFrame) -> VideoFrame:
        """Return a new frame; alpha of a frame without alpha is 255."""
        frame, tags = image.frame, image.tags
        if self._pixels not in ("yuv420p", "rgb24"):
            frame = self._with_alpha(image)
        if frame.format.name != self._pixels:
            matrix = COEFFICIENTS.get(tags.matrix, Colorspace.ITU601)
            frame = self._reformatter.reformat(
                frame,
                format=self._pixels,
                src_colorspace=matrix,
                dst_colorspace=None if self._is_rgb else matrix,
                src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG if self._is_rgb else ColorRange.MPEG,
                interpolation=UNBIASED,
                threads=1,
            )
        if not self._is_rgb:
            frame.colorspace, frame.color_range = tags.matrix, ColorRange.MPEG
            frame.color_primaries, frame.color_trc = tags.primaries, tags.transfer
        return frame

    @staticmethod
    def _with_alpha(image: YuvFrame) -> VideoFrame:
        out = VideoFrame(image.frame.width, image.frame.height, "yuva420p")
        alpha = image.alpha
        opaque: ImageU8 | int = 255 if alpha is None else alpha
        for plane, source in zip(out.planes, (*image.planes, opaque), strict=True):
            plane_rows(plane)[:, : plane.width] = source
        return out
