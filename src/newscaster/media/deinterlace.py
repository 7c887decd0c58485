"""Deinterlacing: each frame keeps its first field, and the lines between are interpolated.

Needed mostly for broadcasts and tape. Uses FFmpeg's bwdif, which also reads the frames before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NoMore
from av.filter import Graph
from av.video.frame import VideoFrame

RUN_UP_FRAMES = 2
"""Frames to read before a target frame, so that it equals the result of reading from the start."""


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Yield the same number of frames; those flagged as interlaced are deinterlaced."""
    for _, run in groupby(frames, lambda frame: (frame.width, frame.height, frame.format.name)):
        run = iter(run)
        for frame in run:
            if frame.interlaced_frame:
                yield from _deinterlace(frame, run)  # consumes the run
            else:
                yield frame


def _deinterlace(first: VideoFrame, rest: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Deinterlace a run from its first interlaced frame on; all frames have one size."""
    graph = _graph(first)
    second = next(rest, None)
    if second is None:
        graph.push(first)
    else:
        # bwdif assumes no motion before the first frame. So it gets the second frame there, too.
        stamp = second.pts
        second.pts = None if first.pts is None else first.pts - 1
        graph.push(second)
        second.pts = stamp
        graph.push(first)
        graph.vpull()  # the result for the second frame before the first
        graph.push(second)
    for frame in rest:
        yield from _pull_ready(graph)
        graph.push(frame)
    graph.push(None)
    yield from _pull_ready(graph)


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


def _pull_ready(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (NothingYet, NoMore):
            return
        assert isinstance(frame, VideoFrame)
        yield frame
