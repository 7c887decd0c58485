"""Pieces of a video, spread over it, in brightness alone: for what looks at some of it only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from newscaster.media.color import Orientation
from newscaster.media.probe import native_fps, probe
from newscaster.media.reader import need_video, open_media
from newscaster.media.scan import decode_video

Plane = npt.NDArray[np.uint8]


def read_luma_pieces(
    path: Path, *, pieces: int, seconds: float, frames_per_second: float, smaller_side_px: int
) -> Iterator[list[Plane]]:
    """Some frames of some pieces of a video, which are spread evenly over it and do not overlap.

    Where the file does not say how long it is, or cannot be searched, the pieces follow each other.

    Args:
        path: any video file.
        pieces: how many there are at most.
        seconds: length of each; a shorter file is one piece.
        frames_per_second: of each second, so many frames at most.
        smaller_side_px: what larger pictures are made smaller to.

    Yields:
        The frames of a piece: (H, W) uint8, upright, 0 to 255 from black to white.

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
        every = max(1, round(rate / frames_per_second))
        to_luma = _ToLuma(smaller_side_px)
        for piece in range(count):
            if info is not None and length is not None and piece:
                begin = info.start_seconds + (length - seconds) * piece / (count - 1)
                frames = _from(container, stream, path, begin)
            some = itertools.islice(frames, 0, max(1, round(rate * seconds)), every)
            found = [to_luma(frame) for frame in some]
            if not found:
                return
            yield found


def _from(
    container: InputContainer, stream: VideoStream, path: Path, begin_seconds: float
) -> Iterator[VideoFrame]:
    """Frames from a time on; from where the file was read to, if it cannot be searched."""
    time_base = stream.time_base or Fraction(1, 90_000)
    with suppress(av.FFmpegError):
        container.seek(math.floor(begin_seconds / time_base), stream=stream, backward=True)
    frames = decode_video(container, stream, path, sought=True)
    return itertools.dropwhile(lambda frame: frame.pts is not None and frame.time < begin_seconds, frames)


class _ToLuma:
    """Turns decoded frames into upright pictures of their brightness, made smaller where they are large."""

    def __init__(self, smaller_side_px: int) -> None:
        self._side_px = smaller_side_px
        self._size: tuple[int, int] | None = None  # the first frame's, for all
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Plane:
        if self._size is None:
            times = min(1.0, self._side_px / min(frame.width, frame.height))
            self._size = max(1, round(frame.width * times)), max(1, round(frame.height * times))
        width, height = self._size
        grey = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="gray",
            interpolation=Interpolation.AREA,
            threads=1,
        )
        plane = np.asarray(grey.to_ndarray(), dtype=np.uint8)
        return Orientation.of(frame).apply(plane[:, :, None])[:, :, 0]
