"""WebRTC: the frames of a session for a browser, as VP8 and Opus streams with one clock.

aiortc negotiates, encrypts and sends. This module feeds it in real time, with packets that `fan_out` encodes
once for all browsers of a session; a browser that wants other codecs first gets an encoder of aiortc. If an
encoder or the network is too slow, frames are dropped, but never reordered. Audio is dropped only when half a
second of it is queued.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import aioice.ice
import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

from newscaster import media
from newscaster.server.fan_out import DEFAULT_BITS, EncodedStream
from newscaster.server.http_errors import TIMED_OUT, TOO_MANY, RefusedError
from newscaster.server.offers import read_offer
from newscaster.server.session import RATE, Session
from newscaster.server.settings import Limits
from newscaster.server.webrtc_tracks import AudioTrack, FrameTrack, PacketTrack, hook_sender
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.types import AudioF32

_log = logging.getLogger("newscaster.server")

_PACKET_SAMPLES = RATE // 50
"""Samples of one Opus packet: 20 ms."""
_SHARED_CODECS = {"audio": "audio/opus", "video": "video/vp8"}
_QUIET_FRAMES = 15
_MAX_FRAMES = 2
ANSWER_ERRORS = (
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)
"""Exceptions of aiortc for a valid offer that it cannot answer."""


class Connection(RTCPeerConnection):
    """A connection whose own task does not raise.

    aiortc connects in a task that no one awaits. The task raises if the connection is closed meanwhile or the
    network fails. The connection state shows that too, and is handled.
    """

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802  # the mangled name
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except Exception as error:
            _log.debug("a client could not be connected: %r", error)
            await self.close()


class Peer:
    """One browser connected to a session: it views the encoded stream, or is a sink with its own encoder.

    Args:
        session: the session to send.
        stream: its encoded stream, for browsers that accept VP8 and Opus first.
        connect_seconds: time for the browser to connect.
        view_only: whether it counts as a viewer rather than a client.
    """

    def __init__(
        self, session: Session, stream: EncodedStream, *, connect_seconds: float, view_only: bool = False
    ) -> None:
        self._session = session
        self.view_only = view_only
        self._stream, self._uses_stream = stream, False
        self._maker = media.FrameMaker(fps=session.info.fps, rate=RATE)
        self.images: FrameTrack | PacketTrack = FrameTrack(_MAX_FRAMES)
        self.audio = AudioTrack()
        self._video_sender: RTCRtpSender | None = None
        self._first: int | None = None
        self._pending = np.zeros(0, np.float32)
        self._sent = 0
        self.connection = Connection(RTCConfiguration(iceServers=[]))  # no STUN or TURN servers
        self.connection.on("connectionstatechange", self._changed)
        self._used = session.used()
        self._used.__enter__()
        self._closing: asyncio.Task[None] | None = None
        self.is_closed = False
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(connect_seconds, self._begin_closing)

    async def answer(self, sdp: str) -> str:
        """Return the answer to an offer; frames flow once the browser is connected.

        Audio and video are sent on one section each. Nothing is received: media of the browser is dropped
        before decoding.

        Raises:
            RefusedError: the offer cannot be used.
        """
        offer = read_offer(sdp)
        connection = self.connection
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
        self._uses_stream = offer.codecs == _SHARED_CODECS
        if self._uses_stream:
            self.images = PacketTrack(self._stream.want_key_frame)
        tracks = {offer.mids[track.kind]: track for track in (self.audio, self.images)}
        for transceiver in connection.getTransceivers():
            track = tracks.get(str(transceiver.mid))
            if track is not None:
                transceiver.sender.replaceTrack(track)
                if self._uses_stream:
                    hook_sender(transceiver.sender, track, self._stream.want_key_frame)
                    self._video_sender = transceiver.sender if track is self.images else self._video_sender
            transceiver.direction = "inactive" if track is None else "sendonly"
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def push(self, frame: LiveFrame) -> None:
        """Send a frame. Time stamps follow the clock of the session, from the first frame sent."""
        if self._first is None:
            self._first = frame.number
        number = frame.number - self._first
        image = frame.image
        if image is not None and isinstance(self.images, FrameTrack):
            self.images.put(lambda: self._maker.image(image, number))
        due = asyncio.get_running_loop().time() - len(self._pending) / RATE
        self._pending = np.concatenate([self._pending, frame.audio])
        # Creating the encoders delays the first packets, and a browser would then delay all audio for
        # seconds. So initial silence is skipped.
        is_early = number < _QUIET_FRAMES and not frame.speaking
        while len(self._pending) >= _PACKET_SAMPLES:
            part, self._pending = self._pending[:_PACKET_SAMPLES], self._pending[_PACKET_SAMPLES:]
            if not is_early:
                self._put_audio(part, self._sent, due)
            self._sent += _PACKET_SAMPLES
            due += _PACKET_SAMPLES / RATE

    def _put_audio(self, samples: AudioF32, first: int, due: float) -> None:
        self.audio.put_at(lambda: self._maker.audio(samples, first), due)

    def put_image(self, packet: Any) -> None:
        """Send a packet of video."""
        assert isinstance(self.images, PacketTrack), "a viewer of the encoded stream"
        self.images.put_packet(packet)

    def put_audio(self, packet: Any, due: float) -> None:
        """Send 20 ms of audio at this time of the event loop."""
        self.audio.put_at(lambda: packet, due)

    def bits(self) -> int | None:
        """Bits per second of video that the browser has estimated; aiortc stores them in its idle encoder."""
        encoder = getattr(self._video_sender, "_RTCRtpSender__encoder", None)
        return getattr(encoder, "target_bitrate", None)

    def end(self) -> None:
        """Close the connection: the session has ended."""
        self._begin_closing()

    async def close(self) -> None:
        """Close the connection. Safe to call more than once."""
        if not self.is_closed:
            self.is_closed = True
            self._deadline.cancel()
            self._disconnect()
            self._used.__exit__(None, None, None)
            self.images.stop()
            self.audio.stop()
            await self.connection.close()

    def _disconnect(self) -> None:
        self._session.remove(self)
        self._stream.remove(self)

    def _begin_closing(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self.close())

    def _changed(self) -> None:
        state = self.connection.connectionState
        if self.is_closed:
            return
        if state == "connected":
            self._deadline.cancel()
            if self._uses_stream:
                self._stream.add(self)
            else:
                self._session.remove(self)  # it may be a reconnection
                self._session.add(self)
        elif state in ("failed", "closed", "disconnected"):
            self._begin_closing()


class Peers:
    """All WebRTC connections of a studio."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: dict[str, list[Peer]] = {}
        self._streams: dict[str, EncodedStream] = {}

    async def answer(self, session: Session, sdp: str, *, view_only: bool = False) -> str:
        """Connect a browser to a session: return the answer to its offer, both as SDP.

        Args:
            session: the session.
            sdp: the offer.
            view_only: whether it counts as a viewer, of which a session has more than clients.

        Raises:
            RefusedError: the offer cannot be used, or the session has too many clients.
        """
        peers = [peer for peer in self._peers.get(session.id, ()) if not peer.is_closed]
        self._check_room(sum(peer.view_only == view_only for peer in peers), view_only)
        new_video = partial(media.Vp8Packets, fps=session.info.fps, bit_rate=DEFAULT_BITS)
        stream = self._streams.get(session.id) or EncodedStream(session, new_video)
        self._streams[session.id] = stream
        seconds = self._limits.connect_seconds
        peer = Peer(session, stream, connect_seconds=seconds, view_only=view_only)
        self._peers[session.id] = [*peers, peer]
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                return await peer.answer(sdp)
        except TimeoutError:
            await peer.close()
            raise RefusedError(
                "the offer could not be answered in time. Try again", status=TIMED_OUT
            ) from None
        except ANSWER_ERRORS as error:
            await peer.close()
            raise RefusedError(
                f"the offer cannot be used ({error!r}). Send the SDP of an RTCPeerConnection that receives "
                "audio and video"
            ) from error
        except BaseException:
            await peer.close()
            raise

    def _check_room(self, connected: int, view_only: bool) -> None:
        limit, kind = (self._limits.viewers, "viewers") if view_only else (self._limits.clients, "clients")
        if connected >= limit:
            raise RefusedError(
                f"{connected} {kind} are connected to this session, the maximum. Start another one",
                status=TOO_MANY,
            )

    def count(self) -> int:
        """Return the number of clients and viewers."""
        return sum(not peer.is_closed for peers in self._peers.values() for peer in peers)

    async def hang_up(self, session: Session) -> None:
        """Close all connections of a session."""
        self._streams.pop(session.id, None)
        for peer in self._peers.pop(session.id, []):
            with suppress(Exception):
                await peer.close()


def listen_on(addresses: Iterable[str]) -> None:
    """Restrict WebRTC to these addresses of this machine, which may be loopback.

    aioice uses all addresses except loopback, and has no setting for that. A studio on loopback must not open
    a port to the network.
    """
    chosen = list(addresses)
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [
        address for address in chosen if (use_ipv6 if ":" in address else use_ipv4)
    ]
