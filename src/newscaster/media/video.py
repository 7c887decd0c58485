"""Video input: the frames of a file at a constant rate, upright, in RGB.

Handles time stamps, seeking and resampling in time. The clock: t0 is the time of the first frame, and output
frame `i` is the stored frame nearest to t0 + i/fps. `audio` uses the same t0, so that both stay in sync.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from newscaster.media.color import ToRgb, pixel_aspect
from newscaster.media.deinterlace import RUN_UP_FRAMES
from newscaster.media.extent import clock_restarts, has_restarted, shown_seconds
from newscaster.media.frame import YuvFrame
from newscaster.media.probe import native_fps
from newscaster.media.rational import as_fraction
from newscaster.media.reader import need_video, open_media
from newscaster.media.scan import decode_video, measured_scan
from newscaster.media.to_yuv import ToPlainYuv, ToYuv
from newscaster.types import ImageU8

Converted = TypeVar("Converted")

_SEEK_BACK_SECONDS = (0.0, 2.0, 10.0)
_TIE_SECONDS = 1e-6
# Formats with time stamps of packets, not frames: after a seek they can be off by a frame.
_NOT_SEEKABLE = frozenset({"mpeg", "mpegvideo", "m4v", "h264", "hevc"})


def first_frame_seconds(path: Path) -> float:
    """Return t0: the time stamp of the first frame on the container's clock."""
    with open_media(path) as container:
        stream = need_video(container, path)
        return next(_with_times(decode_video(container, stream, path), stream))[0]


def read_frames(
    path: Path,
    *,
    fps: Fraction | None = None,
    start_frame: int = 0,
    stop_frame: int | None = None,
    exact: bool = True,
) -> Iterator[ImageU8]:
    """Read the frames of a video at a constant rate.

    Args:
        path: any video file; its frame rate may vary, and it may be rotated.
        fps: frames per second to read; None is the file's own rate (see `VideoInfo.fps`).
        start_frame: the first frame to read; reached by seeking.
        stop_frame: one past the last frame to read; None reads to the end.
        exact: convert without bias. Otherwise faster and darker by 1 of 255: enough to find faces.

    Yields:
        (H, W, 3) uint8 RGB, which the caller may modify. The file is closed when the generator ends or is
        dropped.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    yield from _read_converted(path, fps, start_frame, stop_frame, partial(_rgb_converter, exact=exact))


def read_yuv_frames(
    path: Path,
    *,
    fps: Fraction | None = None,
    start_frame: int = 0,
    stop_frame: int | None = None,
    plain: bool = False,
    writable: bool = True,
) -> Iterator[YuvFrame]:
    """Read the frames of a video at a constant rate, as decoded, to be encoded without conversion.

    Args:
        path: see :func:`read_frames`, also for the other arguments.
        fps: frames per second.
        start_frame: the first frame.
        stop_frame: one past the last frame.
        plain: convert to upright 8-bit 4:2:0 in limited range and SDR.
        writable: whether the caller may modify the frames. Otherwise they need not be copied.

    Yields:
        Frames of one size and layout. They keep their samples, or are the
        nearest that an encoder takes; see :func:`yuv_notes`.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    converter = partial(_yuv_converter, kind=ToPlainYuv if plain else ToYuv, writable=writable)
    yield from _read_converted(path, fps, start_frame, stop_frame, converter)


def yuv_notes(path: Path, *, plain: bool = False) -> list[str]:
    """Return the changes that :func:`read_yuv_frames` makes to frames, one line each; empty if none.

    Raises:
        MediaError: the file is missing, or not a video.
    """
    with open_media(path) as container:
        stream = need_video(container, path)
        frame = next(decode_video(container, stream, path))
        return (ToPlainYuv if plain else ToYuv)(frame, pixel_aspect(stream)).notes


def _rgb_converter(first: VideoFrame, stream: VideoStream, *, exact: bool) -> Callable[[VideoFrame], ImageU8]:
    convert = ToRgb(pixel_aspect(stream), exact=exact)
    convert(first)  # the first frame sets the size, wherever reading starts
    return convert


def _yuv_converter(
    first: VideoFrame, stream: VideoStream, *, kind: type[ToYuv], writable: bool
) -> Callable[[VideoFrame], YuvFrame]:
    return kind(first, pixel_aspect(stream), writable=writable)


def _read_converted(
    path: Path,
    fps: Fraction | None,
    start_frame: int,
    stop_frame: int | None,
    converter: Callable[[VideoFrame, VideoStream], Callable[[VideoFrame], Converted]],
) -> Iterator[Converted]:
    """Yield converted frames. `converter` makes the conversion from the first frame of the file."""
    path = Path(path)
    if start_frame < 0 or (stop_frame is not None and stop_frame < start_frame):
        raise ValueError(f"frames {start_frame} to {stop_frame}: 0 <= start_frame <= stop_frame is needed")
    if stop_frame == start_frame:
        return
    with open_media(path) as container:
        stream = need_video(container, path)
        rate = Fraction(fps) if fps is not None else native_fps(stream)
        frames = _with_times(decode_video(container, stream, path), stream)
        first = next(frames)
        convert = converter(first[1], stream)
        if start_frame > 0 and is_seekable(container, path):
            deinterlaces = first[1].interlaced_frame or measured_scan(path).is_mixed
            run_up = RUN_UP_FRAMES / float(native_fps(stream)) if deinterlaces else 0.0
            frames = _seek(container, stream, path, target=first[0] + start_frame / float(rate) - run_up)
        else:
            frames = _prepend(first, frames)
        for frame in _nearest(frames, first[0], rate, start_frame, stop_frame, 1 / float(native_fps(stream))):
            yield convert(frame)


def is_seekable(container: InputContainer, path: Path) -> bool:
    """Return whether a frame can be found by its time."""
    name = container.format.name
    return name not in _NOT_SEEKABLE and not (name == "mpegts" and clock_restarts(path))


_TimedFrame = tuple[float, VideoFrame]


def _prepend(first: _TimedFrame, rest: Iterator[_TimedFrame]) -> Iterator[_TimedFrame]:
    yield first
    yield from rest


def _with_times(frames: Iterator[VideoFrame], stream: VideoStream) -> Iterator[_TimedFrame]:
    """Yield frames with strictly increasing times in seconds on the container's clock.

    A frame without a time stamp follows one frame duration after the last. If the clock restarts, or jumps by
    more than an hour (concatenated recordings), time continues without a jump. Of frames with equal times,
    the first is kept.
    """
    step = 1 / float(native_fps(stream))
    last: float | None = None
    shift = 0.0
    for frame in frames:
        after = 0.0 if last is None else last + step
        time = after if frame.pts is None else frame.time + shift
        if last is not None and has_restarted(last, time):
            shift += after - time
            time = after
        if last is None or time > last:
            last = time
            yield time, frame


def _seek(
    container: InputContainer, stream: VideoStream, path: Path, *, target: float
) -> Iterator[_TimedFrame]:
    """Return the frames from a key frame at or before `target`, or from the start of the file.

    Frames decoded before that key frame are dropped: they may refer to frames that were not read.
    """
    for back in _SEEK_BACK_SECONDS:
        time_base = stream.time_base or Fraction(1, 90_000)
        container.seek(math.floor((target - back) / time_base), stream=stream, backward=True)
        frames = _with_times(decode_video(container, stream, path, after_seek=True), stream)
        for time, frame in frames:
            if time > target + _TIE_SECONDS:
                break
            if frame.key_frame:
                return _prepend((time, frame), frames)
    start = stream.start_time
    container.seek(min(0, start) if start is not None else 0, stream=stream, backward=True)
    return _with_times(decode_video(container, stream, path, after_seek=True), stream)


def _nearest(
    frames: Iterator[_TimedFrame],
    origin: float,
    fps: Fraction,
    start: int,
    stop: int | None,
    step: float,
) -> Iterator[VideoFrame]:
    """Yield the frame nearest in time to each target origin + i/fps; of two equally near, the earlier.

    ::

        decoded    |a      |b   |c         |d      (end of d)
        targets    0     1     2     3     4
        yielded    a     b     c     c     d
    """
    index = start
    last: _TimedFrame | None = None
    for time, frame in frames:
        while last is not None and (stop is None or index < stop):
            target = origin + float(index / fps)
            if target - last[0] > time - target + _TIE_SECONDS:
                break
            yield last[1]
            index += 1
        if stop is not None and index >= stop:
            return
        last = (time, frame)
    if last is None:
        return
    end = last[0] + shown_seconds(last[1].duration, as_fraction(last[1].time_base), step)
    count = math.floor((end - origin) * float(fps) + 0.5)
    for _ in range(index, count if stop is None else min(count, stop)):
        yield last[1]
