"""The tracks of a WebRTC connection: queues of encoded packets, or of frames for an encoder of aiortc."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCRtpSender,
)
from aiortc.mediastreams import MediaStreamError

_SEND_KEY_FRAME = "_send_keyframe"
"""Method of aiortc that is called if a browser asks for a key frame; there is no event for it."""

_NEXT_ENCODED = "_next_encoded_frame"
"""Method of aiortc that makes RTP payloads. It states the level of frames, but not of packets."""

_MAX_PACKETS = 25
"""Maximum of packets that wait in a track: half a second of audio."""


class _Track(MediaStreamTrack):
    """Base of both tracks: a queue for `recv`.

    Args:
        max_queued: maximum length of the queue; the oldest frames are dropped.
    """

    def __init__(self, max_queued: int) -> None:
        super().__init__()
        self._queued: deque[Callable[[], object]] = deque(maxlen=max_queued)
        self._changed_event = asyncio.Event()

    def put(self, make: Callable[[], object]) -> None:
        """Queue a frame, which is created when it is taken."""
        self._queued.append(make)
        self._changed_event.set()

    async def _next(self) -> object:
        while not self._queued:
            if self.readyState != "live":
                raise MediaStreamError
            self._changed_event.clear()
            await self._changed_event.wait()
        return self._queued.popleft()()

    def stop(self) -> None:
        super().stop()
        self._changed_event.set()


class PacketTrack(_Track):
    """The encoded video of a session. It starts at a key frame, and goes on at one after packets were lost.

    Args:
        want_key_frame: called when packets were lost.
    """

    kind = "video"

    def __init__(self, want_key_frame: Callable[[], None]) -> None:
        super().__init__(_MAX_PACKETS)
        self._want_key_frame = want_key_frame
        self._needs_key = True

    def put_packet(self, packet: Any) -> None:
        """Queue a packet, unless it cannot be decoded without one that was lost."""
        if len(self._queued) >= _MAX_PACKETS:
            self._queued.clear()
            self._needs_key = True
            self._want_key_frame()
        if self._needs_key and not packet.is_keyframe:
            return
        self._needs_key = False
        self.put(lambda: packet)

    async def recv(self) -> Any:
        return await self._next()


class FrameTrack(_Track):
    """The video of a session, from `media.FrameMaker`."""

    kind = "video"

    async def recv(self) -> Any:
        return await self._next()


class AudioTrack(_Track):
    """The audio of a session, in packets of 20 ms, each sent at its due time.

    The browser uses the send time of a packet as its media time. Two packets sent at once would grow its
    buffer and shift audio against video.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__(_MAX_PACKETS)
        self._due: deque[float] = deque(maxlen=_MAX_PACKETS)
        self._level_dbov: Any = None  # of the last packet, if it was encoded here

    def state_levels(self, sender: RTCRtpSender) -> None:
        """Make the sender of encoded packets state their levels (RFC 6464), for meters in browsers."""
        encode = getattr(sender, _NEXT_ENCODED)

        async def with_level(codec: Any) -> Any:
            encoded = await encode(codec)
            if encoded is not None:
                encoded.audio_level = self._level_dbov
            return encoded

        setattr(sender, _NEXT_ENCODED, with_level)

    def put_at(self, make: Callable[[], object], due: float) -> None:
        """Queue a packet to be sent at this event loop time."""
        self._due.append(due)
        self.put(make)

    async def recv(self) -> Any:
        packet: Any = await self._next()
        self._level_dbov = packet.opaque
        wait = self._due.popleft() - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
        return packet


def hook_sender(sender: RTCRtpSender, track: MediaStreamTrack, want_key_frame: Callable[[], None]) -> None:
    """Give the sender of encoded packets what aiortc does for raw frames alone."""
    if isinstance(track, AudioTrack):
        track.state_levels(sender)
    else:
        setattr(sender, _SEND_KEY_FRAME, want_key_frame)
