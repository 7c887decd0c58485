"""When a video stream has frames, from the time stamps of its packets. Nothing is decoded.

Headers do not say: Matroska, FLV and MPEG files give the length of the longest stream, which is often the
audio, and count from zero if the video starts late.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from newscaster.media.reader import find_video, open_media

CLOCK_RESTART_SECONDS = 1.0
"""A clock that goes back by more has started again (recordings put end to end)."""
MAX_GAP_SECONDS = 3600.0
"""A clock that jumps ahead by more has, too."""
MIN_GAP_SECONDS = 0.5
MIN_GAP_FRAMES = 5
"""Frames that are further apart, in seconds and in usual frame durations, have a gap between them. A rate
that varies down to 5 frames per second has none, nor has one with a few dropped frames."""

Gaps = tuple[tuple[float, float], ...]
"""Start and end of the times without frames, in seconds after the first frame, in order."""

_FILES_REMEMBERED = 256
_SHORT_PERCENT = 20
"""Of the steps between frames: so many are between neighbours at least."""
_OFF_GRID = 0.25
_MIN_ON_GRID = 0.9


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


@dataclass(frozen=True, slots=True)
class Extent:
    """When a video stream has frames."""

    seconds: float
    """Time with frames: from the first to the end of the last, less the gaps."""
    gaps: Gaps = ()
    fps: float | None = None
    """Rate at which frames follow each other, gaps and dropped frames apart; None if there are none: the mean
    rate of the header is right then."""


def video_extent(path: Path, *, first_seconds: float, frame_seconds: float) -> Extent:
    """The time in which a file has frames, from the first one that can be decoded to the end of the last.

    ::

        packets    |x|0|1|2|.....|5|6|      x: before the first decodable frame
        seconds      |-----|     |---|      a gap is no part of it
        after a clock restart: the parts follow each other

    Args:
        path: a file with video.
        first_seconds: time stamp of the first decoded frame on the container's clock.
        frame_seconds: duration of a frame that states none.

    Raises:
        MediaError: the file cannot be opened.
    """
    clock: float | None = None  # decoding time stamp of the last packet
    parts = [_Part(array("d", [first_seconds]), first_seconds, first_seconds + frame_seconds)]
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
                    parts[-1].times.append(parts[-1].times[-1] + frame_seconds)
                    continue
                time = float(stamp * packet.time_base)
                decoded = time if packet.dts is None else float(packet.dts * packet.time_base)
                if time - decoded > MAX_GAP_SECONDS:  # reordered over the jump of a clock
                    decoded = time
                if clock is not None and has_restarted(clock, decoded):
                    parts[-1].end = parts[-1].last + frame_seconds
                    parts.append(_Part(array("d"), time, time))
                clock = decoded
                if len(parts) == 1 and time < first_seconds - frame_seconds / 2:
                    continue
                shown = shown_seconds(packet.duration, packet.time_base, frame_seconds)
                parts[-1].add(time, end=time + shown)
    if clock is None:
        return Extent(unstamped * frame_seconds)
    return _extent_of(parts)


@dataclass
class _Part:
    """A run of packets on one clock, in seconds on it."""

    times: array[float]
    """When frames are shown, in the order of decoding."""
    last: float
    """The latest of them that is stamped."""
    end: float
    """Of that frame."""

    def add(self, time: float, *, end: float) -> None:
        self.times.append(time)
        if time >= self.last:
            self.last, self.end = time, end


def _extent_of(parts: list[_Part]) -> Extent:
    """The extent of parts that follow each other."""
    total, times = 0.0, []
    for part in parts:
        of_part = np.array(part.times)
        start = float(of_part.min())
        times.append(of_part - start + total)
        total += part.end - start
    gaps, fps = _gaps_between(np.concatenate(times))
    return Extent(total - sum(stop - start for start, stop in gaps), gaps, fps)


def _gaps_between(times: npt.NDArray[np.float64]) -> tuple[Gaps, float | None]:
    """The gaps between frames shown at these times, and the rate outside them if it is not the mean rate."""
    steps = np.diff(np.unique(times))
    if not len(steps):
        return (), None
    is_gap = steps > max(MIN_GAP_SECONDS, MIN_GAP_FRAMES * float(np.median(steps)))
    fps = nominal_rate(steps[~is_gap])
    if not is_gap.any():
        return (), fps
    step = float(steps[~is_gap].mean()) if fps is None else 1 / fps
    starts = np.unique(times)[:-1][is_gap]
    gaps = zip(starts + step, starts + steps[is_gap], strict=True)
    return tuple((float(start), float(stop)) for start, stop in gaps), 1 / step


def nominal_rate(steps: npt.NDArray[np.float64]) -> float | None:
    """The rate of footage some of whose frames were dropped, of the steps between the others, in seconds.

    Steps are whole multiples of the shortest usual one then. None if no frame is missing, or if the steps are
    no such multiples: rates that vary freely, and films with repeated fields.
    """
    shortest = float(np.percentile(steps, _SHORT_PERCENT))
    base = float(np.median(steps[steps < 1.4 * shortest]))
    multiples = _multiples(steps, base)
    # Time stamps are rounded, to milliseconds in some containers, and jitter.
    on_grid = np.abs(steps - multiples * base) <= np.maximum(_OFF_GRID * base, 0.0011)
    if not (multiples > 1).any() or on_grid.mean() < _MIN_ON_GRID:
        return None
    base = float(steps.sum() / multiples.sum())
    return float(_multiples(steps, base).sum() / steps.sum())


def _multiples(steps: npt.NDArray[np.float64], base: float) -> npt.NDArray[np.float64]:
    return np.asarray(np.maximum(1, np.round(steps / base)))


def shown_seconds(duration: int | None, time_base: Fraction | None, frame_seconds: float) -> float:
    """How long the last frame is shown: as the file states, unless that is absurd."""
    if duration and time_base:
        return min(float(duration * time_base), max(1.0, 2 * frame_seconds))
    return frame_seconds
