"""A session as HLS: encoded once, in segments of a second, for any number of viewers.

Segments are fragmented MP4 (RFC 8216), and are kept in memory. Each starts with a key frame. The encoder runs
while viewers ask for the playlist. When a session ends, its last segments are served for a while, and the
playlist is marked as complete, so that viewers see all frames.

::

    session ──► HlsStream ──► thread: H.264, AAC ──► segments ──┬─► GET
                                                                └─► GET
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from newscaster import media
from newscaster.server.http_errors import NOT_FOUND, TIMED_OUT, RefusedError
from newscaster.server.session import RATE, Session
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.result import tags
from newscaster.texts import quoted

_log = logging.getLogger("newscaster.server")

LISTED_SEGMENTS = 6
"""Segments in the playlist: players start about three segments before its end."""
_KEPT_SEGMENTS = 2 * LISTED_SEGMENTS
"""Segments in memory: players with an older playlist ask for those that have left it."""
_MAX_WAITING_FRAMES = 25
"""Frames that may wait for the encoder; the images of further ones are dropped."""
_IDLE_SECONDS = 20.0
"""The encoder stops when no one has asked for the playlist for so long."""
_START_SECONDS = 10.0
_ENDED_SECONDS = 30.0
"""Time for which the stream of an ended session is served; players ask about once per second."""
_MAX_ENDED = 16
"""Streams of ended sessions in memory."""
_POLL_SECONDS = 0.05
_CRF = 23
_NAME = re.compile(r"(\d+)-(?:(init)\.mp4|(\d+)\.m4s)")


@dataclass(frozen=True, kw_only=True)
class _Segment:
    number: int
    seconds: float
    data: bytes


class HlsStream:
    """The encoded frames of a session: a sink that ends by itself when no one watches.

    Args:
        session: whose frames are encoded.
        epoch: number of this stream among those of the session; names of other epochs are other files.
    """

    def __init__(self, session: Session, *, epoch: int) -> None:
        self.epoch = epoch
        self.is_over = False
        self._is_encoded = False
        self._session = session
        self._frames: queue.SimpleQueue[LiveFrame | None] = queue.SimpleQueue()
        self._header: bytes | None = None
        self._segments: deque[_Segment] = deque(maxlen=_KEPT_SEGMENTS)
        self._last_asked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="newscaster-hls", daemon=True)
        self._thread.start()
        session.add(self)

    @property
    def session(self) -> Session:
        """The session, which may have ended."""
        return self._session

    def push(self, frame: LiveFrame) -> None:
        """Encode a frame; without blocking. Without viewers, end."""
        if time.monotonic() - self._last_asked > _IDLE_SECONDS:
            self._session.remove(self)
            self.end()
            return
        behind = self._frames.qsize() > _MAX_WAITING_FRAMES
        self._frames.put(replace(frame, image=None) if behind else frame)

    def end(self) -> None:
        """End the stream."""
        self.is_over = True
        self._frames.put(None)

    async def playlist(self, query: str) -> str:
        """Return the playlist, once it has a segment. After the last one, it is marked as complete.

        Args:
            query: appended to the names of all files, such as "?token=..."; or "".

        Raises:
            RefusedError: there is no segment in time.
        """
        self._last_asked = time.monotonic()
        deadline = self._last_asked + _START_SECONDS
        while not self._segments:
            if self._is_encoded or time.monotonic() > deadline:
                raise RefusedError("the video could not be encoded in time. Try again", status=TIMED_OUT)
            await asyncio.sleep(_POLL_SECONDS)
        is_complete = self._is_encoded  # before the segments are listed: the last one is among them then
        listed = list(self._segments)[-LISTED_SEGMENTS:]
        longest = max(segment.seconds for segment in listed)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            f"#EXT-X-TARGETDURATION:{max(1, round(longest))}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].number}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            f'#EXT-X-MAP:URI="{self.epoch}-init.mp4{query}"',
        ]
        for segment in listed:
            lines += [f"#EXTINF:{segment.seconds:.5f},", f"{self.epoch}-{segment.number}.m4s{query}"]
        if is_complete:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def part(self, number: int | None) -> bytes | None:
        """Return a segment, or the header for None; None if it is not there."""
        if number is None:
            return self._header
        return next((segment.data for segment in list(self._segments) if segment.number == number), None)

    def _items(self) -> Iterator[media.LiveItem]:
        while (frame := self._frames.get()) is not None:
            yield frame.image, frame.audio

    def _run(self) -> None:
        fps = self._session.info.fps
        metadata = tags(self._session.info, synthetic_voice=False)
        segments = media.write_segments(self._items(), fps=fps, rate=RATE, metadata=metadata, crf=_CRF)
        try:
            for number, (data, seconds) in enumerate(segments, -1):
                if number < 0:
                    self._header = data
                else:
                    self._segments.append(_Segment(number=number, seconds=seconds, data=data))
        except Exception:
            session_id = self._session.id
            _log.exception("HLS of session %s failed", session_id, extra={"session": session_id})
        finally:
            self.is_over = self._is_encoded = True


class HlsStreams:
    """The HLS streams of a studio: of live sessions, and for a while of those that have ended."""

    def __init__(self) -> None:
        self._streams: dict[str, HlsStream] = {}
        self._ended: dict[str, HlsStream] = {}  # the one that ended longest ago first

    async def playlist(self, session: Session, query: str) -> str:
        """Return the playlist of a session. The first viewer starts the encoder.

        Raises:
            RefusedError: the encoder has made no segment in time.
        """
        if (ended := self._ended.get(session.id)) is not None:
            return await ended.playlist(query)
        stream = self._streams.get(session.id)
        if stream is None or stream.is_over:
            stream = HlsStream(session, epoch=0 if stream is None else stream.epoch + 1)
            self._streams[session.id] = stream
        return await stream.playlist(query)

    def part(self, session: Session, name: str) -> bytes:
        """Return a file that the playlist names.

        Raises:
            RefusedError: it is not there, or not any more.
        """
        match = _NAME.fullmatch(name)
        stream = self._ended.get(session.id) or self._streams.get(session.id)
        if match is not None and stream is not None and int(match[1]) == stream.epoch:
            data = stream.part(None if match[2] else int(match[3]))
            if data is not None:
                return data
        raise RefusedError(f"there is no file {quoted(name)} in the playlist", status=NOT_FOUND)

    def ended_session(self, session_id: str) -> Session | None:
        """Return a session that has ended and whose stream is still served."""
        stream = self._ended.get(session_id)
        return None if stream is None else stream.session

    def close(self, session: Session) -> None:
        """Serve the stream of a session that ends for a while; call it in the event loop.

        The session ends the stream, as all its sinks.
        """
        stream = self._streams.pop(session.id, None)
        if stream is None:
            return
        while len(self._ended) >= _MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        self._ended[session.id] = stream
        asyncio.get_running_loop().call_later(_ENDED_SECONDS, self._ended.pop, session.id, None)
