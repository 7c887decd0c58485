"""Interlaced pictures to whole ones: each frame keeps its first field, and the lines between are made anew.

Most often from broadcasts and tape. FFmpeg's bwdif does it, which also looks at the frames before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NoMore
from av.filter import Graph
from av.video.frame import VideoFrame

RUN_UP_FRAMES = 2
"""So many frames before the one wanted must be read for it to come out as when all are."""


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The same frames, as many; those that are interlaced, by their own mark, as whole pictures."""
    for _, run in groupby(frames, lambda frame: (frame.width, frame.height, frame.format.name)):
        run = iter(run)
        for frame in run:
            if frame.interlaced_frame:
                yield from _whole(frame, run)  # takes the rest
            else:
                yield frame


def _whole(first: VideoFrame, rest: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The first interlaced frame of a run and those that follow, all of one size."""
    graph = _graph(first)
    second = next(rest, None)
    if second is None:
        graph.push(first)
    else:
        # A first frame is taken to have stood still before. So it is shown the second there, too.
        stamp = second.pts
        second.pts = None if first.pts is None else first.pts - 1
        graph.push(second)
        second.pts = stamp
        graph.push(first)
        graph.vpull()  # what became of the second before the first
        graph.push(second)
    for frame in rest:
        yield from _ready(graph)
        graph.push(frame)
    graph.push(None)
    yield from _ready(graph)


def _graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    middle = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (NothingYet, NoMore):
            return
        assert isinstance(frame, VideoFrame)
        yield frame
