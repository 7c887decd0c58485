"""Correction of wrong or missing interlacing flags, measured on pixels, and deinterlacing.

A file is sampled once, in a few places, so that a frame is the same wherever reading starts.
"""

from __future__ import annotations

import bisect
import itertools
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.combing import Scan, ScanVotes, scan_of, scan_runs
from newscaster.media.deinterlace import deinterlaced
from newscaster.media.frame import YuvFrame, is_full_range
from newscaster.media.rational import as_fraction
from newscaster.media.reader import decode_stored_video, find_video, open_media

_PLACES = 6
_FRAMES_PER_PLACE = 12
_PLACE_EVERY_SECONDS = 60.0
"""A file longer than `_PLACES` times this is sampled once in each such interval."""
_MAX_PLACES = 30
_MIN_PLACES = 3
_MAX_RUN_UP_SECONDS = 1.0
"""Places further from the last key frame are skipped if `_MIN_PLACES` others were read: each would cost the
decoding of all frames from there."""
_MAX_COLUMNS = 480
"""Wider frames are sampled in this many columns; all lines are read."""
_PLANAR = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
"""Formats of 8 bits whose luma is read as it is."""
_FULL_RANGE = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.int16)
"""Limited to full range, as FFmpeg converts it."""
_SAME_SECONDS = 1e-4
_FILES_REMEMBERED = 256
_MODES = {"top first": "tff", "bottom first": "bff", "progressive": "prog"}


@dataclass(frozen=True)
class MeasuredScan:
    """How the frames of a file were exposed, measured on their pixels."""

    marked: Scan | None
    """Of frames flagged as interlaced; None: trust the flag."""
    unmarked: Scan | None
    """Of frames not flagged; None: trust the flag, that is, progressive."""
    runs: tuple[tuple[float, Scan], ...] = ()
    """If frames differ: start of each run, in seconds on the container's clock, and its scan."""

    @property
    def is_mixed(self) -> bool:
        return len(self.runs) > 0

    def of(self, frame: VideoFrame) -> Scan | None:
        """Return the flag that a frame must get; None if its own is right, or nothing better is known."""
        if self.runs and frame.pts is not None:
            index = bisect.bisect_right([start for start, _ in self.runs], frame.time + _SAME_SECONDS) - 1
            scan = self.runs[max(index, 0)][1]
            return None if scan == "progressive" and not frame.interlaced_frame else scan
        if frame.interlaced_frame:
            return self.marked
        return None if self.unmarked == "progressive" else self.unmarked


def decode_video(
    container: InputContainer, stream: VideoStream, path: Path, *, after_seek: bool = False
) -> Iterator[VideoFrame]:
    """Yield the frames in presentation order, deinterlaced; after a seek there may be none."""
    frames = decode_stored_video(container, stream, path, after_seek=after_seek)
    scan = measured_scan(path)
    if scan.is_mixed or scan.marked is not None or scan.unmarked not in (None, "progressive"):
        frames = _set_flags(frames, scan)
    yield from deinterlaced(frames)


def measured_scan(path: Path) -> MeasuredScan:
    """Measure how the frames of a file were exposed; cached until the file changes.

    Raises:
        MediaError: the file is missing, not a video, or breaks off.
    """
    try:
        status = path.stat()
    except OSError:
        return _measure(path)
    key = _Key.of(status)
    if (scan := _scans.get(key)) is None:
        scan = _measure(path)
        _scans.put(key, scan)
    return scan


def remember_scan(path: Path, scan: MeasuredScan) -> None:
    """Use a scan that was measured before, until the file changes.

    Raises:
        OSError: the file is missing.
    """
    _scans.put(_Key.of(path.stat()), scan)


class _Key(NamedTuple):
    """A state of a file, whatever the path to it."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @staticmethod
    def of(status: os.stat_result) -> _Key:
        return _Key(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class _Scans:
    """The scans of the files that were read last. Thread-safe."""

    def __init__(self) -> None:
        self._scans: OrderedDict[_Key, MeasuredScan] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> MeasuredScan | None:
        with self._lock:
            if key in self._scans:
                self._scans.move_to_end(key)
            return self._scans.get(key)

    def put(self, key: _Key, scan: MeasuredScan) -> None:
        with self._lock:
            self._scans[key] = scan
            while len(self._scans) > _FILES_REMEMBERED:
                self._scans.popitem(last=False)


_scans = _Scans()


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
                for frame, scan in _scan_frames(frames):
                    votes[frame.interlaced_frame].add(scan)
                    place.add(scan)
                leaning = place.leaning()
                leanings |= {leaning} if leaning is not None else set()
        except MediaError:
            pass  # reading the file raises it again
    measured = MeasuredScan(votes[True].verdict(), votes[False].verdict())
    differ = len(leanings) > 1 or any(v.disagree for v in votes.values())
    return _measure_all(path, measured) if differ else measured


def _measure_all(path: Path, sampled: MeasuredScan) -> MeasuredScan:
    """Measure every frame of a file whose places differ."""
    times: list[float] = []
    votes: list[Scan | None] = []
    with open_media(path) as container, suppress(MediaError):
        stream = find_video(container)
        assert stream is not None, path
        for frame, scan in _scan_frames(decode_stored_video(container, stream, path)):
            times.append(math.nan if frame.pts is None else frame.time)
            votes.append(scan)
    runs = scan_runs(votes)
    if len(runs) < 2:
        return replace(sampled, unmarked=runs[0][2]) if runs else sampled
    if not (np.diff(times) > 0).all():  # frames cannot be found by time: blur is less bad than combing
        interlaced = next(scan for _, _, scan in runs if scan != "progressive")
        return MeasuredScan(sampled.marked, interlaced)
    return MeasuredScan(sampled.marked, None, tuple((times[start], scan) for start, _, scan in runs))


def _scan_frames(frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, Scan | None]]:
    """Yield each frame and its scan, measured with its neighbours; None for the first and the last."""
    to_luma = _ToLuma()
    kept: list[tuple[VideoFrame, npt.NDArray[np.int16]]] = []
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
    """Yield runs of frames from places that are spread over the file."""
    frames = decode_stored_video(container, stream, path)
    length = container.duration / 1e6 if container.duration else 0.0  # an estimate: the video may end sooner
    end = -math.inf  # of the frames read so far, in seconds on the container's clock
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
    time_base = as_fraction(stream.time_base)
    if time_base is None or not length:
        yield run(frames)
        return
    start = float((stream.start_time or 0) * time_base)
    places = min(max(_PLACES, math.ceil(length / _PLACE_EVERY_SECONDS)), _MAX_PLACES)
    far = []  # times that are long after the last key frame
    read = 1
    for at in (start + place / places * length for place in range(1, places)):
        if at <= end:
            continue
        first, frames = _seek(container, stream, path, at)
        if first is None:
            continue
        is_new = first.pts is None or first.time > end
        if not is_new and at - first.time > _MAX_RUN_UP_SECONDS:
            far.append(at)
            continue
        read += 1
        yield run(itertools.chain([first], frames) if is_new else _from(frames, at))
    for at in far[: max(0, _MIN_PLACES - read)]:
        yield run(_from(_seek(container, stream, path, at)[1], at))


def _seek(
    container: InputContainer, stream: VideoStream, path: Path, at: float
) -> tuple[VideoFrame | None, Iterator[VideoFrame]]:
    """Return the key frame before a time on the container's clock, and the frames after it."""
    assert stream.time_base is not None
    with suppress(av.FFmpegError):
        container.seek(math.floor(at / stream.time_base), stream=stream, backward=True)
    frames = decode_stored_video(container, stream, path, after_seek=True)
    frames = itertools.dropwhile(lambda frame: not frame.key_frame, frames)
    return next(frames, None), frames


def _from(frames: Iterator[VideoFrame], at: float) -> Iterator[VideoFrame]:
    return itertools.dropwhile(lambda frame: frame.time < at, frames)


class _ToLuma:
    """Converts decoded frames to luma as stored: all lines, some columns."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> npt.NDArray[np.int16]:
        """Return (H, W') int16, 0 to 255."""
        if frame.format.name in _PLANAR:
            luma = YuvFrame(frame).luma_rows[:, : frame.width]
            columns = luma[:, :: -(-frame.width // _MAX_COLUMNS)]
            return columns.astype(np.int16) if is_full_range(frame) else _FULL_RANGE[columns]
        grey = self._reformatter.reformat(frame, format="gray", threads=1)
        plane = np.asarray(grey.to_ndarray(), dtype=np.uint8)
        return plane[:, :: -(-plane.shape[1] // _MAX_COLUMNS)].astype(np.int16)


def _set_flags(frames: Iterator[VideoFrame], scan: MeasuredScan) -> Iterator[VideoFrame]:
    """Set the interlacing flags of frames to the measured scan."""

    def kind(frame: VideoFrame) -> tuple[int, int, str, Scan | None]:
        return frame.width, frame.height, frame.format.name, scan.of(frame)

    for (*_, flag), run in itertools.groupby(frames, kind):
        if flag is None:
            yield from run
            continue
        first = next(run)
        graph = _flag_graph(first, _MODES[flag])
        for frame in itertools.chain([first], run):
            graph.push(frame)
            flagged = graph.vpull()
            assert isinstance(flagged, VideoFrame)
            yield flagged


def _flag_graph(frame: VideoFrame, mode: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    setfield = graph.add("setfield", f"mode={mode}")
    sink = graph.add("buffersink")
    source.link_to(setfield)
    setfield.link_to(sink)
    graph.configure()
    return graph
