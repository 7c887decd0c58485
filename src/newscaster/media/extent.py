"""How long a video stream lasts, from the time stamps of its packets. Nothing is decoded.

Headers do not say: Matroska, FLV and MPEG files give the length of the longest stream, which is often the
audio, and count from zero if the video starts late.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from newscaster.media.container import find_video, open_media

CLOCK_RESTART_SECONDS = 1.0
"""A clock that goes back by more has started again (recordings put end to end)."""
MAX_GAP_SECONDS = 3600.0
"""A clock that jumps ahead by more has, too."""


_FILES_REMEMBERED = 256


def clock_restarts(path: Path) -> bool:
    """Whether the clock of a file's video starts again on the way, so that it cannot be searched by time.

    Remembered for as long as the file does not change.
    """
    found = path.stat()
    return _clock_restarts(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=_FILES_REMEMBERED)
def _clock_restarts(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    clock: float | None = None
    with open_media(path) as container, suppress(av.FFmpegError, OSError):
        stream = find_video(container)
        assert stream is not None, path
        for packet in container.demux(stream):
            if packet.dts is None or packet.time_base is None:
                continue
            time = float(packet.dts * packet.time_base)
            if clock is not None and has_restarted(clock, time):
                return True
            clock = time
    return False


def has_restarted(before: float, after: float) -> bool:
    """Whether a clock that showed `before` and then `after`, in seconds, has started again in between."""
    return not -CLOCK_RESTART_SECONDS <= after - before <= MAX_GAP_SECONDS


def video_seconds(path: Path, *, first_seconds: float, frame_seconds: float) -> float:
    """The time in which a file has frames, from the first one that can be decoded to the end of the last.

    ::

        packets    |x|0|1|2|.|.|5|6|      x: before the first decodable frame
        length       |-----------|        a gap is part of it
        after a clock restart: the sum of the parts

    Args:
        path: a file with video.
        first_seconds: time stamp of the first decoded frame on the container's clock.
        frame_seconds: duration of a frame that states none.

    Raises:
        MediaError: the file cannot be opened.
    """
    total = 0.0  # of the parts before the last clock restart
    clock: float | None = None  # decoding time stamp of the last packet
    start = end = last = first_seconds
    unstamped = 0
    with open_media(path) as container:
        stream = find_video(container)
        assert stream is not None, path
        with suppress(av.FFmpegError, OSError):  # a file that breaks off is an error where it is decoded
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                stamp = packet.dts if packet.pts is None else packet.pts
                if stamp is None or packet.time_base is None:
                    unstamped += 1
                    continue
                time = float(stamp * packet.time_base)
                decoded = time if packet.dts is None else float(packet.dts * packet.time_base)
                if time - decoded > MAX_GAP_SECONDS:  # reordered over the jump of a clock
                    decoded = time
                if clock is not None and has_restarted(clock, decoded):
                    total += last - start + frame_seconds
                    start = end = last = time
                clock = decoded
                if total == 0.0 and time < first_seconds - frame_seconds / 2:
                    continue
                start = min(start, time)
                if time >= last:
                    last = time
                    end = time + shown_seconds(packet.duration, packet.time_base, frame_seconds)
    if clock is None:
        return unstamped * frame_seconds
    return total + end - start


def shown_seconds(duration: int | None, time_base: Fraction | None, frame_seconds: float) -> float:
    """How long the last frame is shown: as the file states, unless that is absurd."""
    if duration and time_base:
        return min(float(duration * time_base), max(1.0, 2 * frame_seconds))
    return frame_seconds
