"""The time span in which a video stream has frames, from the time stamps of its packets. Nothing is decoded.

Headers do not state it. Matroska, FLV and MPEG files have the length of the longest stream, which is often
the audio, and count from zero if the video starts late.
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

from newscaster.media.rational import as_fraction
from newscaster.media.reader import find_video, open_media
from newscaster.types import ArrayBool, ArrayF64

CLOCK_RESTART_SECONDS = 1.0
"""A clock that goes back by more has restarted (concatenated recordings)."""
MAX_GAP_SECONDS = 3600.0
"""A clock that jumps ahead by more has restarted, too."""
MIN_GAP_SECONDS = 0.5
MIN_GAP_FRAMES = 5
"""Frames further apart than both, in seconds and in usual frame durations, have a gap between them. A rate
that varies down to 5 frames per second has no gap, nor does one with a few dropped frames."""

Gaps = tuple[tuple[float, float], ...]
"""Start and end of the times without frames, in seconds after the first frame, in order."""

_FILES_REMEMBERED = 256
_SHORT_PERCENT = 20
"""Minimum percentage of steps between frames without a dropped frame."""
_OFF_GRID = 0.25
_MIN_ON_GRID = 0.9
_MAX_JITTER = 0.25
"""Of a constant frame rate, in steps."""


def clock_restarts(path: Path) -> bool:
    """Return whether the video clock of a file restarts within it, so that seeking by time fails.

    Cached until the file changes.
    """
    status = path.stat()
    return _clock_restarts(path, status.st_size, status.st_mtime_ns)


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
    """Return whether a clock that read `before` and then `after`, in seconds, has restarted in between."""
    return not -CLOCK_RESTART_SECONDS <= after - before <= MAX_GAP_SECONDS


@dataclass(frozen=True, slots=True)
class Extent:
    """The time span in which a video stream has frames."""

    seconds: float
    """Time with frames: from the first to the end of the last, without the gaps."""
    gaps: Gaps = ()
    fps: float | None = None
    """Frame rate without gaps and dropped frames; None if there are none: then the mean rate is right."""
    uneven: float = 0.0
    """Fraction of the frames that are shown for another time than at the constant rate; gaps do not count."""


def video_extent(path: Path, *, first_seconds: float, frame_seconds: float) -> Extent:
    """Measure when a file has frames, from the first decodable frame to the end of the last.

    ::

        packets    |x|0|1|2|.....|5|6|      x: before the first decodable frame
        seconds      |-----|     |---|      gaps are excluded
        after a clock restart: the parts are concatenated

    Args:
        path: a file with video.
        first_seconds: time stamp of the first decoded frame on the container's clock.
        frame_seconds: duration of a frame that has none of its own.

    Raises:
        MediaError: the file cannot be opened.
    """
    clock: float | None = None  # decoding time stamp of the last packet
    parts = [_Part(array("d", [first_seconds]), first_seconds, first_seconds + frame_seconds)]
    unstamped = 0
    with open_media(path) as container:
        stream = find_video(container)
        assert stream is not None, path
        with suppress(av.FFmpegError, OSError):  # decoding reports a file that breaks off
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
                if time - decoded > MAX_GAP_SECONDS:  # reordered across a jump of the clock
                    decoded = time
                if clock is not None and has_restarted(clock, decoded):
                    parts[-1].end = parts[-1].last + frame_seconds
                    parts.append(_Part(array("d"), time, time))
                clock = decoded
                if len(parts) == 1 and time < first_seconds - frame_seconds / 2:
                    continue
                shown = shown_seconds(packet.duration, as_fraction(packet.time_base), frame_seconds)
                parts[-1].add(time, end=time + shown)
    if clock is None:
        return Extent(unstamped * frame_seconds)
    return _extent_of(parts)


@dataclass
class _Part:
    """A run of packets on one clock, in seconds on it."""

    times: array[float]
    """Presentation times of frames, in decoding order."""
    last: float
    """The latest time stamp among them."""
    end: float
    """End of that frame."""

    def add(self, time: float, *, end: float) -> None:
        self.times.append(time)
        if time >= self.last:
            self.last, self.end = time, end


def _extent_of(parts: list[_Part]) -> Extent:
    """Return the extent of concatenated parts."""
    total, times = 0.0, []
    for part in parts:
        of_part = np.array(part.times)
        start = float(of_part.min())
        times.append(of_part - start + total)
        total += part.end - start
    joined = np.concatenate(times)
    gaps, fps = _gaps_between(joined)
    return Extent(total - sum(stop - start for start, stop in gaps), gaps, fps, uneven_fraction(joined, fps))


def uneven_fraction(times: ArrayF64, fps: float | None) -> float:
    """Return the fraction of the frames at these times whose duration is not that of the constant rate.

    Args:
        times: presentation times in seconds.
        fps: the constant rate; None: the mean rate outside gaps.
    """
    steps = np.diff(np.unique(times))
    steps = steps[~_is_gap(steps)]
    if not len(steps):
        return 0.0
    step = float(steps.mean()) if fps is None else 1 / fps
    # Time stamps are rounded, to milliseconds in some containers, and jitter.
    return float((np.abs(steps - step) > max(_MAX_JITTER * step, 0.0011)).mean())


def _is_gap(steps: ArrayF64) -> ArrayBool:
    if not len(steps):
        return np.zeros(0, np.bool_)
    return np.asarray(steps > max(MIN_GAP_SECONDS, MIN_GAP_FRAMES * float(np.median(steps))))


def _gaps_between(times: ArrayF64) -> tuple[Gaps, float | None]:
    """Return the gaps between frames at these times, and the rate outside them if it is not the mean rate."""
    steps = np.diff(np.unique(times))
    if not len(steps):
        return (), None
    is_gap = _is_gap(steps)
    fps = nominal_rate(steps[~is_gap])
    if not is_gap.any():
        return (), fps
    step = float(steps[~is_gap].mean()) if fps is None else 1 / fps
    starts = np.unique(times)[:-1][is_gap]
    gaps = zip(starts + step, starts + steps[is_gap], strict=True)
    return tuple((float(start), float(stop)) for start, stop in gaps), 1 / step


def nominal_rate(steps: ArrayF64) -> float | None:
    """Return the frame rate of footage with dropped frames, from the steps between frames in seconds.

    The steps are then integer multiples of the shortest usual step. None if no frame is missing, or if the
    steps are no such multiples: variable frame rates, and films with repeated fields.
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


def _multiples(steps: ArrayF64, base: float) -> ArrayF64:
    return np.asarray(np.maximum(1, np.round(steps / base)))


def shown_seconds(duration: int | None, time_base: Fraction | None, frame_seconds: float) -> float:
    """Return how long the last frame is shown: the duration in the file, unless it is absurd."""
    if duration and time_base:
        return min(float(duration * time_base), max(1.0, 2 * frame_seconds))
    return frame_seconds
