"""WebRTC: a session's frames to a browser, as a VP8 and an Opus stream of one clock.

aiortc encodes each stream in a thread, negotiates, encrypts and sends. Here is what it is fed, and when:
every frame is offered at its time, and where an encoder or a network is slower than that, pictures are lost,
never order, and sound only where half a second of it waits.

VP8 comes first: at 360x288 it takes 1.4 ms per frame, where aiortc's H.264 takes 6.5.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import aioice.ice
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError

from newscaster import media
from newscaster.server.http_errors import TIMED_OUT, TOO_MANY, RefusedError
from newscaster.server.offers import read_offer
from newscaster.server.session import RATE, Session
from newscaster.server.settings import Limits
from newscaster.synthesis.live_frame import LiveFrame

_log = logging.getLogger("newscaster.server")

_PACKET_SAMPLES = RATE // 50
"""What one Opus packet holds: 20 ms."""
_QUIET_FRAMES = 15
_MAX_FRAMES = 2
_MAX_PACKETS = 25
_NOT_ANSWERABLE = (
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
"""What aiortc raises if it cannot answer an offer that is valid by itself."""


class _Connection(RTCPeerConnection):
    """A connection whose own task ends quietly.

    aiortc connects in a task that no one waits for. If the connection is closed meanwhile, or the network
    fails, that task raises; the state says so, too, and that is what is acted on.
    """

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802  # the name that Python makes of it
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except Exception as error:
            _log.debug("a listener could not be connected: %r", error)
            await self.close()


class _Track(MediaStreamTrack):
    """What both tracks have in common: a queue that `recv` takes from."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._queued: deque[Callable[[], object]] = deque(maxlen=most)
        self._news = asyncio.Event()

    def put(self, make: Callable[[], object]) -> None:
        """Add a frame, to be made when it is taken; the oldest is lost where too many wait."""
        self._queued.append(make)
        self._news.set()

    async def _next(self) -> object:
        while not self._queued:
            if self.readyState != "live":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        return self._queued.popleft()()

    def stop(self) -> None:
        super().stop()
        self._news.set()


class FrameTrack(_Track):
    """A session's pictures, as `media.FrameMaker` makes them."""

    kind = "video"

    async def recv(self) -> Any:
        return await self._next()


class AudioTrack(_Track):
    """A session's sound, in packets of 20 ms, each sent when its time has come.

    Two that are sent at once would make the browser hold back more, and shift sound against pictures: it
    takes the time at which a packet is sent for the time that it belongs to.
    """

    kind = "audio"

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._due: deque[float] = deque(maxlen=most)

    def put_at(self, make: Callable[[], object], due: float) -> None:
        """Add a packet that is to be sent at this time of the event loop."""
        self._due.append(due)
        self.put(make)

    async def recv(self) -> Any:
        packet = await self._next()
        wait = self._due.popleft() - asyncio.get_running_loop().time()
        if wait > 0:
            await asyncio.sleep(wait)
        return packet


class Peer:
    """One browser that listens to a session: a sink with two tracks.

    Args:
        session: whose frames are sent.
        connect_seconds: how long the browser may take to connect.
    """

    def __init__(self, session: Session, *, connect_seconds: float) -> None:
        self._session = session
        self._maker = media.FrameMaker(fps=session.info.fps, rate=RATE)
        self.images, self.audio = FrameTrack(_MAX_FRAMES), AudioTrack(_MAX_PACKETS)
        self._first: int | None = None
        self._held = np.zeros(0, np.float32)
        self._sent = 0
        self.connection = _Connection(RTCConfiguration(iceServers=[]))  # nobody outside is asked
        self.connection.on("connectionstatechange", self._changed)
        self._used = session.used()
        self._used.__enter__()
        self._closing: asyncio.Task[None] | None = None
        self.is_closed = False
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(connect_seconds, self._begin_closing)

    async def answer(self, sdp: str) -> str:
        """The answer to a browser's offer; frames flow as soon as it is connected.

        Audio and video are sent on one section each. Nothing is received: what a browser sends is dropped
        before it is decoded.

        Raises:
            RefusedError: the offer cannot be used.
        """
        offer = read_offer(sdp)
        connection = self.connection
        await connection.setRemoteDescription(RTCSessionDescription(sdp=offer.sdp, type="offer"))
        tracks = {offer.mids[track.kind]: track for track in (self.audio, self.images)}
        for transceiver in connection.getTransceivers():
            track = tracks.get(str(transceiver.mid))
            if track is not None:
                transceiver.sender.replaceTrack(track)
            transceiver.direction = "inactive" if track is None else "sendonly"
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def offer(self, frame: LiveFrame) -> None:
        """Send a frame. Time stamps are those of the session's clock, counted from the first frame here."""
        if self._first is None:
            self._first = frame.number
        number = frame.number - self._first
        image = frame.image
        if image is not None:
            self.images.put(lambda: self._maker.image(image, number))
        due = asyncio.get_running_loop().time() - len(self._held) / RATE
        self._held = np.concatenate([self._held, frame.audio])
        # The first packets find encoders that have yet to be made, come late, and a browser then holds all
        # sound back for seconds. Silence is not missed.
        is_early = number < _QUIET_FRAMES and not frame.speaking
        while len(self._held) >= _PACKET_SAMPLES:
            part, self._held = self._held[:_PACKET_SAMPLES], self._held[_PACKET_SAMPLES:]
            if not is_early:
                self._put_audio(part, self._sent, due)
            self._sent += _PACKET_SAMPLES
            due += _PACKET_SAMPLES / RATE

    def _put_audio(self, samples: media.Samples, first: int, due: float) -> None:
        self.audio.put_at(lambda: self._maker.audio(samples, first), due)

    def end(self) -> None:
        """The session is over."""
        self._begin_closing()

    async def close(self) -> None:
        """Hang up. More than once is harmless."""
        if not self.is_closed:
            self.is_closed = True
            self._deadline.cancel()
            self._session.remove(self)
            self._used.__exit__(None, None, None)
            self.images.stop()
            self.audio.stop()
            await self.connection.close()

    def _begin_closing(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self.close())

    def _changed(self) -> None:
        state = self.connection.connectionState
        if self.is_closed:
            return
        if state == "connected":
            self._deadline.cancel()
            self._session.remove(self)  # it may have been connected before
            self._session.add(self)
        elif state in ("failed", "closed", "disconnected"):
            self._begin_closing()


class Peers:
    """All WebRTC connections of a studio."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._peers: dict[str, list[Peer]] = {}

    async def answer(self, session: Session, sdp: str) -> str:
        """Let a browser listen to a session: its offer, as SDP, for our answer.

        Raises:
            RefusedError: the offer cannot be used, or too many listen to the session.
        """
        peers = [peer for peer in self._peers.get(session.id, ()) if not peer.is_closed]
        if len(peers) >= self._limits.clients:
            raise RefusedError(
                f"{len(peers)} listeners are connected to this session, the most there may be. Make another",
                status=TOO_MANY,
            )
        peer = Peer(session, connect_seconds=self._limits.connect_seconds)
        self._peers[session.id] = [*peers, peer]
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                return await peer.answer(sdp)
        except TimeoutError:
            await peer.close()
            raise RefusedError("the offer could not be answered in time", status=TIMED_OUT) from None
        except _NOT_ANSWERABLE as error:
            await peer.close()
            raise RefusedError(
                f"the offer cannot be used ({error!r}). Send the SDP of an RTCPeerConnection that receives "
                "audio and video"
            ) from error
        except BaseException:
            await peer.close()
            raise

    async def hang_up(self, session: Session) -> None:
        """End all connections of a session."""
        for peer in self._peers.pop(session.id, []):
            with suppress(Exception):
                await peer.close()


def listen_on(addresses: Iterable[str]) -> None:
    """Have WebRTC use these addresses of this machine alone, loopback too.

    aioice takes all addresses but loopback, and has no setting for it. A studio on loopback neither opens a
    port to the network nor needs one.
    """
    chosen = list(addresses)
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [
        address for address in chosen if (use_ipv6 if ":" in address else use_ipv4)
    ]
