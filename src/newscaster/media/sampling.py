"""Samples of a video: luma and blue-difference planes of a few pieces, spread evenly over it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from newscaster.media.color import Orientation
from newscaster.media.frame import plane_rows
from newscaster.media.probe import native_fps, probe
from newscaster.media.reader import need_video, open_media
from newscaster.media.scan import decode_video
from newscaster.types import ImageU8

SampledPlanes = tuple[ImageU8, ImageU8]
"""Luma and blue difference (U) of a frame, both (H, W) uint8, upright."""


def read_pieces(
    path: Path, *, pieces: int, seconds: float, frames_per_second: float, smaller_side_px: int
) -> Iterator[list[SampledPlanes]]:
    """Read some frames of pieces of a video, which are spread evenly over it and do not overlap.

    If the file has no duration, or is not seekable, the pieces are consecutive.

    Args:
        path: any video file.
        pieces: maximum number.
        seconds: length of each; a shorter file is one piece.
        frames_per_second: maximum number of frames from each second.
        smaller_side_px: larger frames are scaled down to this smaller side.

    Yields:
        The frames of a piece: luma, 0 to 255 from black to white, and U, 128 if there is no colour.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    info = probe(path).video
    length = info.end_seconds if info is not None else None
    count = pieces if length is None else max(1, min(pieces, int(length / seconds)))
    with open_media(path) as container:
        stream = need_video(container, path)
        frames = decode_video(container, stream, path)
        rate = float(native_fps(stream))
        step = max(1, round(rate / frames_per_second))
        to_planes = PlaneSampler(smaller_side_px)
        for piece in range(count):
            if info is not None and length is not None and piece:
                start = info.start_seconds + (length - seconds) * piece / (count - 1)
                frames = _frames_from(container, stream, path, start)
            sampled = itertools.islice(frames, 0, max(1, round(rate * seconds)), step)
            planes = [to_planes(frame) for frame in sampled]
            if not planes:
                return
            yield planes


def _frames_from(
    container: InputContainer, stream: VideoStream, path: Path, start_seconds: float
) -> Iterator[VideoFrame]:
    """Return the frames from a time on; from the current position, if the file is not seekable."""
    time_base = stream.time_base or Fraction(1, 90_000)
    with suppress(av.FFmpegError):
        container.seek(math.floor(start_seconds / time_base), stream=stream, backward=True)
    frames = decode_video(container, stream, path, after_seek=True)
    return itertools.dropwhile(lambda frame: frame.pts is not None and frame.time < start_seconds, frames)


class PlaneSampler:
    """Converts decoded frames to upright luma and U planes of one size, scaled down if they are large."""

    def __init__(self, smaller_side_px: int) -> None:
        self._side_px = smaller_side_px
        self._size: tuple[int, int] | None = None  # the first frame's, for all
        self._reformatters = {"gray": VideoReformatter(), "yuv444p": VideoReformatter()}

    def __call__(self, frame: VideoFrame) -> SampledPlanes:
        if self._size is None:
            scale = min(1.0, self._side_px / min(frame.width, frame.height))
            self._size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        luma, blue = self._plane(frame, "gray", 0), self._plane(frame, "yuv444p", 1)
        planes = Orientation.of(frame).apply(np.stack([luma, blue], axis=2))
        return planes[:, :, 0], planes[:, :, 1]

    def _plane(self, frame: VideoFrame, pixels: str, number: int) -> ImageU8:
        assert self._size is not None
        width, height = self._size
        scaled = self._reformatters[pixels].reformat(
            frame,
            width=width,
            height=height,
            format=pixels,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        plane = scaled.planes[number]
        return plane_rows(plane)[:, :width]
