"""Rooms without a server: participants that call each other's methods, and tracks that record frames."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from livekit import rtc

_sids = itertools.count(1)


class Publication:
    """A published track, to which someone is subscribed."""

    def __init__(self, track: Any) -> None:
        self.track, self.kind, self.sid = track, track.kind, f"TR_{next(_sids)}"

    async def wait_for_subscription(self) -> None:
        await asyncio.sleep(0)


class ByteStream:
    """A byte stream: its writer and its reader."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.info = SimpleNamespace(attributes=attributes, stream_id=f"S_{next(_sids)}")
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0)
        self._chunks.put_nowait(data)

    async def aclose(self) -> None:
        self._chunks.put_nowait(None)

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.get()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self


class Participant:
    """A participant; `peer` is the room of the other one."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        self.state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        self.attributes: dict[str, str] = {}
        self.track_publications: dict[str, Publication] = {}
        self.room: FakeRoom | None = None
        self.peer: FakeRoom | None = None
        self.deaf = False
        self._rpc_handlers: dict[str, Callable[[Any], Any]] = {}

    async def publish_track(self, track: Any, options: Any) -> Publication:
        publication = Publication(track)
        self.track_publications[publication.sid] = publication
        if self.room is not None:
            self.room.emit("local_track_published", publication, track)
        return publication

    async def unpublish_track(self, sid: str) -> None:
        del self.track_publications[sid]

    def register_rpc_method(self, name: str, handler: Callable[[Any], Any]) -> None:
        self._rpc_handlers[name] = handler

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str) -> str:
        await asyncio.sleep(0)
        assert self.peer is not None
        other = self.peer.local_participant
        assert other.identity == destination_identity
        if other.deaf:
            return "ok"
        return other._rpc_handlers[method](SimpleNamespace(caller_identity=self.identity, payload=payload))

    async def stream_bytes(
        self, *, name: str, topic: str, destination_identities: list[str], attributes: dict[str, str]
    ) -> ByteStream:
        stream = ByteStream(attributes)
        assert self.peer is not None
        if not self.peer.local_participant.deaf:
            self.peer.stream_handlers[topic](stream, self.identity)
        return stream


class FakeRoom(rtc.EventEmitter[str]):
    """A room that is connected to nothing, or to the room of one other participant."""

    name = "studio"

    def __init__(self, identity: str = "agent") -> None:
        super().__init__()
        self.local_participant = Participant(identity)
        self.local_participant.room = self
        self.remote_participants: dict[str, Participant] = {}
        self.stream_handlers: dict[str, Callable[[ByteStream, str], None]] = {}

    def isconnected(self) -> bool:
        return True

    def register_byte_stream_handler(self, topic: str, handler: Callable[[ByteStream, str], None]) -> None:
        self.stream_handlers[topic] = handler

    def join(self, other: FakeRoom) -> None:
        """Let the local participants of two rooms meet."""
        for room, peer in ((self, other), (other, self)):
            room.local_participant.peer = peer
            room.remote_participants[peer.local_participant.identity] = peer.local_participant


class Recorder:
    """Takes the place of a runner's sources: keeps every frame."""

    def __init__(self, runner: Any) -> None:
        self.audio: list[rtc.AudioFrame] = []
        self.video: list[rtc.VideoFrame] = []
        self._taken = asyncio.Event()
        runner._audio_source.capture_frame = self._take_audio
        runner._video_source.capture_frame = self.video.append

    async def frames(self, count: int) -> None:
        """Wait until so many more frames have been published."""
        until = len(self.audio) + count
        while len(self.audio) < until:
            self._taken.clear()
            await self._taken.wait()

    async def _take_audio(self, frame: rtc.AudioFrame) -> None:
        self.audio.append(frame)
        self._taken.set()
        await asyncio.sleep(0)
