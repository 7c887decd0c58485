"""Frames of a given video in a rising order: a dubbed video may also loop, or stand still at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from newscaster import media
from newscaster.errors import MediaError
from newscaster.media import FrameCopier, YuvFrame
from newscaster.prepare.video_track import VideoTrack


def read_in_order(
    track: VideoTrack, order: Iterable[int], *, plain: bool = False, writable: bool = True
) -> Iterator[YuvFrame]:
    """Yield the frames of a tracked video with these numbers.

    Args:
        track: the video.
        order: numbers of its frames.
        plain: convert to 8-bit 4:2:0, see `media.read_yuv_frames`.
        writable: whether each frame is the caller's to write to.

    Raises:
        MediaError: the video is damaged, or has changed since it was tracked.
    """
    reader = _Reader(track, plain=plain, writable=writable)
    for index in order:
        yield reader.read(index)


class _Reader:
    """Reads frames in rising order, for one thread; the last one can be read again and again."""

    def __init__(self, track: VideoTrack, *, plain: bool, writable: bool) -> None:
        self._track, self._plain, self._writable = track, plain, writable
        self._frames: Iterator[YuvFrame] | None = None
        self._next = 0
        self._last: YuvFrame | None = None
        self._copier: FrameCopier | None = None

    def read(self, index: int) -> YuvFrame:
        last = len(self._track) - 1
        if index == last and self._last is not None:
            return self._copy(self._last)
        if self._frames is None or index < self._next:
            self._frames = media.read_yuv_frames(
                self._track.path,
                fps=self._track.fps,
                start_frame=index,
                plain=self._plain,
                writable=self._writable,
            )
            self._next = index
        while self._next < index:
            self._advance()
        frame = self._advance()
        if index == last:
            self._last = self._copy(frame)
        return frame

    def _advance(self) -> YuvFrame:
        assert self._frames is not None
        frame = next(self._frames, None)
        if frame is None:
            raise MediaError(
                f"'{self._track.path}' has fewer frames than when it was tracked. Run this again when "
                "the file no longer changes"
            )
        self._next += 1
        return frame

    def _copy(self, image: YuvFrame) -> YuvFrame:
        if self._copier is None:
            self._copier = FrameCopier.like(image)
        return self._copier.copy_of(image)
