"""Images and videos behind a person: fitted to the size, the colour space and the rate of the frames.

A backdrop covers the frame: it is scaled until it fills it, and cut evenly at both sides. Leaves compositing
to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image, ImageOps, UnidentifiedImageError

from newscaster.errors import MediaError
from newscaster.media.color import COEFFICIENTS, UNBIASED, ColourTags, FromRgb
from newscaster.media.frame import FrameCopier, Planes, YuvFrame, plane_rows
from newscaster.media.probe import probe
from newscaster.media.srgb import converted_profile, eight_bits, split_alpha
from newscaster.media.video import read_yuv_frames
from newscaster.safety.readers import MAX_PIXELS, open_regular_file
from newscaster.types import ImageU8

_CACHE_BYTES = 192 << 20
"""Memory for the frames of a video that repeats; a longer one is decoded again."""
_MIN_SIDE_PX = 2


class Backdrop(Protocol):
    """Frames behind a person."""

    def planes(self, number: int) -> Planes:
        """Return Y, U and V behind frame `number` of the result; read-only."""


def open_backdrop(path: Path, *, like: YuvFrame, fps: Fraction) -> Backdrop:
    """Open an image or a video.

    Args:
        path: an image that Pillow reads, turned as its EXIF data say, in any colour profile; or a video.
        like: a frame of the result: sets the size and the colour space.
        fps: frames per second of the result.

    Raises:
        MediaError: the file is missing, damaged, or neither image nor video.
    """
    image = _read_image(path)
    if image is not None:
        return ImageBackdrop(image, like=like)
    try:
        return VideoBackdrop(path, like=like, fps=fps)
    except MediaError as error:
        raise MediaError(f"the background is neither an image nor a readable video: {error}") from error


class ImageBackdrop:
    """A still image.

    Args:
        image: RGB.
        like: a frame of the result.
    """

    def __init__(self, image: Image.Image, *, like: YuvFrame) -> None:
        size = like.frame.width, like.frame.height
        fitted = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
        self._planes = YuvFrame(FromRgb(like.tags)(np.asarray(fitted, np.uint8))).planes

    def planes(self, number: int) -> Planes:
        """Return Y, U and V: the same behind every frame."""
        return self._planes


class VideoBackdrop:
    """A video that repeats without end, at the rate of the result.

    Args:
        path: any video file.
        like: a frame of the result.
        fps: frames per second of the result.

    Raises:
        MediaError: it is damaged, or not a video.
    """

    def __init__(self, path: Path, *, like: YuvFrame, fps: Fraction) -> None:
        if probe(path, header_only=True).video is None:
            raise MediaError(f"'{path}' has no video track; expected an image or a video as the background")
        self._path, self._fps = path, fps
        self._fit = _Fit(like)
        self._frames: Iterator[YuvFrame] = iter(())
        self._shown: YuvFrame | None = None
        self._next = 0
        self._length: int | None = None
        """Frames of the file, once it has been read to its end."""
        self._cache: list[YuvFrame] = []
        self._room = _CACHE_BYTES // max(1, like.frame.width * like.frame.height * 3 // 2)
        self._advance()

    def planes(self, number: int) -> Planes:
        """Return Y, U and V behind frame `number`; cheapest in rising order.

        Raises:
            MediaError: the video is damaged.
        """
        if self._length is not None and len(self._cache) == self._length:
            return self._cache[number % self._length].planes
        wanted = number if self._length is None else number % self._length
        if wanted < self._next - 1:
            self._rewind()
        while self._next <= wanted:
            if not self._advance():
                return self.planes(number)
        assert self._shown is not None
        return self._shown.planes

    def _rewind(self) -> None:
        self._frames, self._next = iter(()), 0

    def _advance(self) -> bool:
        """Read the next frame; return False at the end, where the video starts again."""
        if self._next == 0:
            self._frames = read_yuv_frames(self._path, fps=self._fps, plain=True)
        frame = next(self._frames, None)
        if frame is None:
            if self._next == 0:
                raise MediaError(f"'{self._path}' has no frames; expected an image or a video")
            self._length = self._next
            self._rewind()
            self._advance()
            return False
        self._shown = self._fit(frame)
        if self._next == len(self._cache) < self._room and self._length is None:
            self._cache.append(self._shown)
        self._next += 1
        return True


class _Fit:
    """Scales and cuts frames to cover those of the result, in its colour space."""

    def __init__(self, like: YuvFrame) -> None:
        self._size = like.frame.width, like.frame.height
        self._tags = like.tags
        self._reformatter = VideoReformatter()
        self._copier: FrameCopier | None = None

    def __call__(self, image: YuvFrame) -> YuvFrame:
        frame, tags = image.frame, image.tags
        box = _covering_part((frame.width, frame.height), self._size)
        if box != (0, 0, frame.width, frame.height):
            self._copier = self._copier or FrameCopier(frame.width, frame.height)
            frame = self._copier.part(frame, box)
        if (frame.width, frame.height) != self._size or tags.matrix != self._tags.matrix:
            frame = self._reformatter.reformat(
                frame,
                width=self._size[0],
                height=self._size[1],
                format="yuv420p",
                src_colorspace=_coefficients(tags),
                dst_colorspace=_coefficients(self._tags),
                src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=UNBIASED,
                threads=1,
            )
        return YuvFrame(frame)


def _coefficients(tags: ColourTags) -> Colorspace:
    return COEFFICIENTS.get(tags.matrix, Colorspace.ITU601)


def _covering_part(stored: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the central part (left, top, right, bottom; even) of a frame with the aspect ratio of `size`."""
    width, height = stored
    scale = min(width / size[0], height / size[1])
    part = [max(_MIN_SIDE_PX, round(side * scale / 2) * 2) for side in size]
    part = [min(side, whole - whole % 2) for side, whole in zip(part, stored, strict=True)]
    left, top = ((whole - side) // 4 * 2 for side, whole in zip(part, stored, strict=True))
    return left, top, left + part[0], top + part[1]


def _read_image(path: Path) -> Image.Image | None:
    """Return an image as upright sRGB; None if the file is not a still image.

    Raises:
        MediaError: it cannot be read, or is damaged or too large.
    """
    try:
        with open_regular_file(path) as file, Image.open(file) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                return None  # an animation
            if image.width * image.height > MAX_PIXELS:
                raise MediaError(
                    f"the background '{path}' has {image.width}x{image.height} pixels; accepted are "
                    f"{MAX_PIXELS} in all. Give a smaller image"
                )
            return _to_srgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        return None
    except FileNotFoundError as error:
        raise MediaError(f"no such file: '{path}'. Give an existing image or video") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(
            f"the background '{path}' cannot be read ({error!s:.200}). Export it again, or give another"
        ) from error


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode and profile to sRGB; transparent pixels become black."""
    profile = None if image.mode.startswith("I") else image.info.get("icc_profile")
    colours, alpha = split_alpha(eight_bits(image))
    rgb = (converted_profile(colours, profile) if profile else None) or colours.convert("RGB")
    return rgb if alpha is None else Image.composite(rgb, Image.new("RGB", rgb.size), alpha)


def constant_planes(rgb: tuple[int, int, int], like: YuvFrame) -> tuple[int, int, int]:
    """Return Y, U and V of a colour in the colour space of a frame."""
    pixel: ImageU8 = np.full((2, 2, 3), rgb, np.uint8)
    y, u, v = YuvFrame(FromRgb(like.tags)(pixel)).planes
    return int(y[0, 0]), int(u[0, 0]), int(v[0, 0])


class PlaneEnlarger:
    """Enlarges planes of one size by bilinear interpolation; for one thread at a time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, plane: ImageU8, size: tuple[int, ...]) -> ImageU8:
        """Return a plane (h, w) at another size, height and width; read-only."""
        out = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(plane), format="gray"),
            width=size[1],
            height=size[0],
            interpolation=UNBIASED,
            threads=1,
        )
        return plane_rows(out.planes[0])[:, : size[1]]
