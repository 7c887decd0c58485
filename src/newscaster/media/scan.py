"""Interlaced video by its pixels: frames whose mark is wrong or lost get the right one, and are deinterlaced.

A file is looked at once, in a few places, so that a frame comes out the same wherever reading starts.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.combing import Luma, Scan, ScanVotes, scan_of, scan_runs
from newscaster.media.deinterlace import deinterlaced
from newscaster.media.reader import decode_stored_video, find_video, open_media

_PLACES = 6
_FRAMES_PER_PLACE = 12
_PLACE_EVERY_SECONDS = 60.0
"""In a file that is longer than `_PLACES` of these, there is a place for each."""
_MAX_PLACES = 30
_MAX_COLUMNS = 480
"""Of wider frames so many columns are looked at; all lines are."""
_SAME_SECONDS = 1e-4
_FILES_REMEMBERED = 256
_MODES = {"top first": "tff", "bottom first": "bff", "progressive": "prog"}


@dataclass(frozen=True)
class MeasuredScan:
    """How the frames of a file were exposed, as far as their pixels show it."""

    marked: Scan | None
    """Of frames that are marked as interlaced; None: by the mark."""
    unmarked: Scan | None
    """Of those that are not; None: by the mark, that is, progressive."""
    runs: tuple[tuple[float, Scan], ...] = ()
    """If frames differ: when each run of them starts, in seconds on the container's clock, and what it is."""

    @property
    def is_mixed(self) -> bool:
        return len(self.runs) > 0

    def of(self, frame: VideoFrame) -> Scan | None:
        """What a frame is to be marked as; None if its mark is right, or nothing better is known."""
        if self.runs and frame.pts is not None:
            place = bisect.bisect_right([start for start, _ in self.runs], frame.time + _SAME_SECONDS) - 1
            scan = self.runs[max(place, 0)][1]
            return None if scan == "progressive" and not frame.interlaced_frame else scan
        if frame.interlaced_frame:
            return self.marked
        return None if self.unmarked == "progressive" else self.unmarked


def decode_video(
    container: InputContainer, stream: VideoStream, path: Path, *, sought: bool = False
) -> Iterator[VideoFrame]:
    """The frames in presentation order, not interlaced; after a seek (`sought`) there may be none."""
    frames = decode_stored_video(container, stream, path, sought=sought)
    scan = measured_scan(path)
    if scan.is_mixed or scan.marked is not None or scan.unmarked not in (None, "progressive"):
        frames = _with_marks(frames, scan)
    yield from deinterlaced(frames)


def measured_scan(path: Path) -> MeasuredScan:
    """How the frames of a file were exposed, by their pixels; remembered for as long as it does not change.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    try:
        found = path.stat()
    except OSError:
        return _measure(path)
    return _remembered(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=_FILES_REMEMBERED)
def _remembered(path: Path, size_bytes: int, mtime_ns: int) -> MeasuredScan:
    return _measure(path)


def _measure(path: Path) -> MeasuredScan:
    votes = {True: ScanVotes(), False: ScanVotes()}
    leanings: set[Scan] = set()
    with open_media(path) as container:
        stream = find_video(container)
        if stream is None:
            return MeasuredScan(None, None)
        try:
            for frames in _places(container, stream, path):
                place = ScanVotes()
                for frame, scan in _judged(frames):
                    votes[frame.interlaced_frame].add(scan)
                    place.add(scan)
                leaning = place.leaning()
                leanings |= {leaning} if leaning is not None else set()
        except MediaError:
            pass  # an error of its own where the file is read
    measured = MeasuredScan(votes[True].verdict(), votes[False].verdict())
    differ = len(leanings) > 1 or any(v.disagree for v in votes.values())
    return _measure_all(path, measured) if differ else measured


def _measure_all(path: Path, sampled: MeasuredScan) -> MeasuredScan:
    """The same, of a file whose places differ: every frame is looked at."""
    times: list[float] = []
    votes: list[Scan | None] = []
    with open_media(path) as container, suppress(MediaError):
        stream = find_video(container)
        assert stream is not None, path
        for frame, scan in _judged(decode_stored_video(container, stream, path)):
            times.append(math.nan if frame.pts is None else frame.time)
            votes.append(scan)
    runs = scan_runs(votes)
    if len(runs) < 2:
        return replace(sampled, unmarked=runs[0][2]) if runs else sampled
    if not (np.diff(times) > 0).all():  # not to be found again by time: a blur is less bad than a comb
        interlaced = next(scan for _, _, scan in runs if scan != "progressive")
        return MeasuredScan(sampled.marked, interlaced)
    return MeasuredScan(sampled.marked, None, tuple((times[start], scan) for start, _, scan in runs))


def _judged(frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, Scan | None]]:
    """Each frame and what it is, told with its neighbours; None for the first and the last."""
    to_luma = _ToLuma()
    kept: list[tuple[VideoFrame, Luma]] = []
    for frame in frames:
        kept = [*kept[-2:], (frame, to_luma(frame))]
        if len(kept) == 1:
            yield frame, None
        if len(kept) == 3:
            alike = len({luma.shape for _, luma in kept}) == 1
            yield kept[1][0], scan_of(kept[0][1], kept[1][1], kept[2][1]) if alike else None
    if len(kept) > 1:
        yield kept[-1][0], None


def _places(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[Iterator[VideoFrame]]:
    """Runs of frames from different places, spread over the file."""
    frames = decode_stored_video(container, stream, path)
    length = container.duration / 1e6 if container.duration else 0.0  # a hint: video may end sooner
    end = -math.inf  # of what was looked at, in seconds on the container's clock
    count = 0

    def run(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        nonlocal end, count
        for frame in itertools.islice(frames, _FRAMES_PER_PLACE):
            count += 1
            end = end if frame.pts is None else max(end, frame.time)
            yield frame

    yield run(frames)
    if count < _FRAMES_PER_PLACE:
        return
    time_base = stream.time_base
    if time_base is None or not length:
        yield run(frames)
        return
    start = float((stream.start_time or 0) * time_base)
    places = min(max(_PLACES, math.ceil(length / _PLACE_EVERY_SECONDS)), _MAX_PLACES)
    for place in range(1, places):
        at = start + place / places * length
        if at <= end:
            continue
        with suppress(av.FFmpegError):
            container.seek(math.floor(at / time_base), stream=stream, backward=True)
        frames = decode_stored_video(container, stream, path, sought=True)
        frames = itertools.dropwhile(lambda frame: not frame.key_frame, frames)
        first = next(frames, None)
        if first is None:
            continue
        if first.pts is not None and first.time <= end:  # the same key frame as before: read on from it
            frames = itertools.dropwhile(lambda frame, at=at: frame.time < at, frames)  # type: ignore[misc]
        yield run(itertools.chain([first], frames) if first.pts is None or first.time > end else frames)


class _ToLuma:
    """The brightness of decoded frames as stored, all lines of some columns."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Luma:
        """(H, W') int16, 0 to 255."""
        grey = self._reformatter.reformat(frame, format="gray", threads=1)
        plane = np.asarray(grey.to_ndarray(), dtype=np.uint8)
        return plane[:, :: -(-plane.shape[1] // _MAX_COLUMNS)].astype(np.int16)


def _with_marks(frames: Iterator[VideoFrame], scan: MeasuredScan) -> Iterator[VideoFrame]:
    """The same frames, marked as they were measured."""

    def kind(frame: VideoFrame) -> tuple[int, int, str, Scan | None]:
        return frame.width, frame.height, frame.format.name, scan.of(frame)

    for (*_, mark), run in itertools.groupby(frames, kind):
        if mark is None:
            yield from run
            continue
        first = next(run)
        graph = _marking_graph(first, _MODES[mark])
        for frame in itertools.chain([first], run):
            graph.push(frame)
            marked = graph.vpull()
            assert isinstance(marked, VideoFrame)
            yield marked


def _marking_graph(frame: VideoFrame, mode: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    marker = graph.add("setfield", f"mode={mode}")
    sink = graph.add("buffersink")
    source.link_to(marker)
    marker.link_to(sink)
    graph.configure()
    return graph
