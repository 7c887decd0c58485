"""Key frames of a file: frames that decode alone, for a first look at it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from newscaster.media.color import ToRgb, pixel_aspect
from newscaster.media.reader import need_video, open_media
from newscaster.media.video import first_frame_seconds, is_seekable
from newscaster.types import ImageU8

_MAX_PACKETS = 400
"""Packets read in search of a key frame after a seek."""


def read_key_frames(path: Path, times: Sequence[float]) -> Iterator[tuple[float, ImageU8]]:
    """Yield key frames near these times, each once, in the order of the times.

    Args:
        path: any video file.
        times: in seconds after the first frame, rising.

    Yields:
        Time in seconds after the first frame, and (H, W, 3) uint8 RGB. None if the file cannot be searched
        by time.

    Raises:
        MediaError: the file is missing, or not a video.
    """
    path = Path(path)
    origin = first_frame_seconds(path)
    with open_media(path) as container:
        stream = need_video(container, path)
        if not is_seekable(container, path) or stream.time_base is None:
            return
        stream.codec_context.thread_count = 1  # threads would hold frames back
        to_rgb = ToRgb(pixel_aspect(stream), exact=False)
        last = -math.inf
        for time in times:
            frame = _key_frame_before(container, stream, origin + time)
            if frame is None or frame.pts is None:
                continue
            # A frame that is flushed out of the decoder has no time base of its own.
            seconds = float(frame.pts * stream.time_base) - origin
            if seconds > last:
                last = seconds
                yield seconds, to_rgb(frame)


def _key_frame_before(container: InputContainer, stream: VideoStream, time: float) -> VideoFrame | None:
    """Return the key frame at or before a time on the container's clock; None if it cannot be decoded."""
    assert stream.time_base is not None
    with suppress(av.FFmpegError):  # reading the file raises it again
        container.seek(math.floor(time / stream.time_base), stream=stream, backward=True)
        return _decode_next(container, stream)
    return None


def _decode_next(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """Decode the next key frame alone; None if none is near."""
    decoder = stream.codec_context
    for _, packet in zip(range(_MAX_PACKETS), container.demux(stream), strict=False):
        if packet.is_keyframe and packet.size:
            decoder.flush_buffers()
            frames = [*packet.decode(), *decoder.decode(None)]
            decoder.flush_buffers()
            if frames:
                return frames[0]
    return None
