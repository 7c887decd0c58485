"""Live video to a media server over WebRTC: ingest by WHIP (RFC 9725).

The video is H.264, or VP8 if the server does not take H.264; audio is Opus. The video follows the bit rate
that the server estimates. An event loop in a thread of its own sends both.

::

    items ──► Publisher ──► EncodedStream ──► packets ──► aiortc ──► server
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import itertools
import logging
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from aiortc import RTCConfiguration, RTCRtpSender, RTCRtpTransceiver, RTCSessionDescription
from aiortc.sdp import SessionDescription

from newscaster import media
from newscaster.errors import InputError, MediaError, OutputError
from newscaster.server.fan_out import DEFAULT_BITS, EncodedStream
from newscaster.server.session import RATE
from newscaster.server.webrtc import ANSWER_ERRORS, Connection, listen_on
from newscaster.server.webrtc_tracks import AudioTrack, PacketTrack, hook_sender
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.types import AudioF32

_log = logging.getLogger("newscaster.server")

SCHEMES = ("whip+https", "whip+http")
_ENCODERS: dict[str, tuple[type[media.VideoPackets], int]] = {
    "video/h264": (media.H264Packets, 1_000_000),
    "video/vp8": (media.Vp8Packets, DEFAULT_BITS),
}
"""Encoder of each codec that is offered, in the order of preference, and its bits per second until the server
has estimated the connection: those with which aiortc starts."""
_CONNECT_SECONDS = 15.0
_HTTP_SECONDS = 15.0
_MAX_ANSWER_BYTES = 64_000
_MAX_REDIRECTS = 3
_LAST_SECONDS = 0.3
"""Time for the last packets to be sent."""
_HINTS = {
    401: "The token is missing or wrong: set it in NEWSCASTER_WHIP_TOKEN",
    403: "The token may not publish here: set another one in NEWSCASTER_WHIP_TOKEN",
    404: "Check the address",
    405: "Check the address: it is none of WHIP",
    409: "Something else is being published there. End that first",
}


def is_whip(address: str) -> bool:
    """Return whether an address is one of WHIP."""
    return address.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def send_whip(
    address: str, items: Iterable[media.LiveItem], *, fps: Fraction, rate: int, token: str | None = None
) -> int:
    """Send frames to a media server as they come, until the last.

    Args:
        address: `whip+https://...` or `whip+http://...`: the address of the endpoint after `whip+`.
        items: frames of one size, each with its audio. If a frame is None, the previous one stays on screen.
            Items before the first frame are skipped. The second item is taken once the server is connected.
        fps: frames per second.
        rate: of the audio, in Hz: 48000.
        token: of the endpoint, if it needs one.

    Returns:
        Number of frames of `items` that were sent.

    Raises:
        InputError: the rate is another one.
        OutputError: the server cannot be reached, refuses the stream, or ends it.
        MediaError: there are no frames.
    """
    if rate != RATE:
        raise InputError(f"the audio has {rate} Hz; expected {RATE} for {media.redact_url(address)}")
    started = itertools.dropwhile(lambda item: item[0] is None, items)
    first = next(started, None)
    if first is None:
        raise MediaError("there are no frames to send. Give speech, or keep the target video running")
    sent = 0
    with _publisher(address, fps, token) as publisher:
        for number, (image, audio) in enumerate(itertools.chain([first], started)):
            publisher.push_from_thread(number, image, audio)
            sent += image is not None
    return sent


class Publisher:
    """A connection to a media server: a viewer of its own stream.

    The event loop calls all methods but `push_from_thread`.

    Args:
        address: see `send_whip`.
        fps: frames per second.
    """

    def __init__(self, address: str, fps: Fraction) -> None:
        self.id = self._shown = media.redact_url(address)
        self._fps = fps
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(RTCConfiguration(iceServers=[]))
        self._connection.on("connectionstatechange", self._changed)
        self._state_changed = asyncio.Event()
        self._images = PacketTrack(self._want_key_frame)
        self._audio = AudioTrack()
        self._stream: EncodedStream | None = None
        self._sender: RTCRtpSender | None = None
        self._resource: Callable[[], None] | None = None
        self._error: OutputError | None = None

    @staticmethod
    async def connect(address: str, fps: Fraction, token: str | None) -> Publisher:
        """Return a publisher that is connected.

        Raises:
            OutputError: the server cannot be reached, or refuses the stream.
        """
        publisher = Publisher(address, fps)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS + _HTTP_SECONDS):
                await publisher._connect(address.partition("+")[2], token)
        except TimeoutError:
            await publisher.close()
            raise OutputError(
                f"{publisher._shown} has answered, but no connection came about: its UDP packets may not get "
                "through. Check the firewall"
            ) from None
        except BaseException:
            await publisher.close()
            raise
        return publisher

    async def _connect(self, url: str, token: str | None) -> None:
        if _is_loopback(urllib.parse.urlsplit(url).hostname or ""):
            listen_on(["127.0.0.1"])
        video = self._connection.addTransceiver(self._images, direction="sendonly")
        audio = self._connection.addTransceiver(self._audio, direction="sendonly")
        _prefer(video, *_ENCODERS, "video/rtx")
        await self._connection.setLocalDescription(await self._connection.createOffer())
        endpoint = _Endpoint(url, token, shown=self._shown)
        answer, self._resource = await asyncio.to_thread(
            endpoint.offer, self._connection.localDescription.sdp
        )
        try:
            encoder, bits = _ENCODERS[_video_codec(answer)]
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
        except ANSWER_ERRORS as error:
            raise OutputError(
                f"{self._shown} has sent an answer that cannot be used ({error!r}). Send to another server"
            ) from error
        self._stream = EncodedStream(self, partial(encoder, fps=self._fps, bit_rate=bits))
        self._sender = video.sender
        hook_sender(video.sender, self._images, self._want_key_frame)
        hook_sender(audio.sender, self._audio, self._want_key_frame)
        while self._connection.connectionState != "connected":
            if self._error is not None:
                raise self._error
            self._state_changed.clear()
            await self._state_changed.wait()
        self._stream.add(self)

    def push_from_thread(self, number: int, image: media.YuvFrame | None, audio: AudioF32) -> None:
        """Send a frame; from any thread.

        Raises:
            OutputError: the server has ended the connection.
        """
        if self._error is not None:
            raise self._error
        frame = LiveFrame(
            number=number,
            seconds=float(number / self._fps),
            image=image,
            audio=audio,
            synthesised=False,
            speaking=True,
        )
        assert self._stream is not None
        self._loop.call_soon_threadsafe(self._stream.push, frame)

    async def close(self) -> None:
        """Send what waits, end the session of the server, and close the connection."""
        if self._stream is not None:
            if self._error is None:
                await asyncio.sleep(_LAST_SECONDS)
            self._stream.remove(self)
        if self._resource is not None:
            with suppress(OSError, http.client.HTTPException):
                await asyncio.to_thread(self._resource)
        self._images.stop()
        self._audio.stop()
        await self._connection.close()

    def _want_key_frame(self) -> None:
        if self._stream is not None:
            self._stream.want_key_frame()

    def _changed(self) -> None:
        state = self._connection.connectionState
        if state in ("failed", "closed", "disconnected") and self._error is None:
            self._error = OutputError(
                f"{self._shown} has closed the connection, or cannot be reached any more. Start again"
            )
        self._state_changed.set()

    # A source of frames, which are pushed to the stream itself

    def add(self, sink: EncodedStream) -> None:
        """See `FrameSource`."""

    def remove(self, sink: EncodedStream) -> None:
        """See `FrameSource`."""

    # A viewer

    def put_image(self, packet: Any) -> None:
        """Send a packet of video."""
        self._images.put_packet(packet)

    def put_audio(self, packet: Any, due: float) -> None:
        """Send 20 ms of audio at this time of the event loop."""
        self._audio.put_at(lambda: packet, due)

    def bits(self) -> int | None:
        """Bits per second of video that the server has estimated."""
        encoder = getattr(self._sender, "_RTCRtpSender__encoder", None)
        return getattr(encoder, "target_bitrate", None)

    def end(self) -> None:
        """The encoder failed."""
        self._error = OutputError("the encoder failed; see the log")


@dataclass(frozen=True)
class _Endpoint:
    """The HTTP side of WHIP.

    Args:
        url: of the endpoint.
        token: sent to its host alone.
        shown: the address for messages.
    """

    url: str
    token: str | None
    shown: str

    def offer(self, sdp: str) -> tuple[str, Callable[[], None] | None]:
        """Return the answer to an offer, and what ends the session of the server.

        Raises:
            OutputError: the server cannot be reached, or refuses the offer.
        """
        url = self.url
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                with self._request(url, "POST", sdp) as reply:
                    answer = reply.read(_MAX_ANSWER_BYTES + 1)
                    location = reply.headers.get("Location")
                    break
            except urllib.error.HTTPError as error:
                with error:
                    moved = error.headers.get("Location")
                    if error.code not in (307, 308) or moved is None:
                        raise self._refusal(error) from error
                url = self._moved(url, moved)
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise OutputError(
                    f"cannot reach {self.shown} ({reason}). Check the address, and that a server is "
                    "listening there"
                ) from error
        else:
            raise OutputError(
                f"{self.shown} redirects more than {_MAX_REDIRECTS} times. Give its last address"
            )
        if len(answer) > _MAX_ANSWER_BYTES or not answer.startswith(b"v=0"):
            raise OutputError(f"{self.shown} has not answered with SDP. Check that it is an endpoint of WHIP")
        end = None if location is None else partial(self._end, urllib.parse.urljoin(url, location))
        return answer.decode("utf-8", "replace"), end

    def _end(self, resource: str) -> None:
        with self._request(resource, "DELETE", None):
            pass

    def _request(self, url: str, method: str, sdp: str | None) -> Any:
        headers = {} if sdp is None else {"Content-Type": "application/sdp", "Accept": "application/sdp"}
        if (
            self.token is not None
            and urllib.parse.urlsplit(url).netloc == urllib.parse.urlsplit(self.url).netloc
        ):
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if sdp is None else sdp.encode()
        request = urllib.request.Request(url, data, headers, method=method)
        return _OPENER.open(request, timeout=_HTTP_SECONDS)

    def _refusal(self, error: urllib.error.HTTPError) -> OutputError:
        hint = _HINTS.get(error.code, "Check the address, and the server")
        return OutputError(f"{self.shown} refuses the stream ({error.code} {error.reason}). {hint}")

    def _moved(self, url: str, location: str) -> str:
        moved = urllib.parse.urljoin(url, location)
        old, new = (urllib.parse.urlsplit(place).scheme for place in (url, moved))
        if new not in ("https", old):
            raise OutputError(
                f"{self.shown} redirects to an address of {new}, which is not safe. Use another server"
            )
        return moved


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: a POST would become a GET."""

    def redirect_request(self, *arguments: Any) -> None:
        """See `HTTPRedirectHandler`."""


_OPENER = urllib.request.build_opener(_NoRedirects)


@contextmanager
def _publisher(address: str, fps: Fraction, token: str | None) -> Iterator[Publisher]:
    """Connect to a server, with an event loop in a thread of its own; close both when the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="newscaster-whip", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        publisher = run(Publisher.connect(address, fps, token))
        try:
            yield publisher
        finally:
            run(publisher.close())
    finally:
        run(_cancel_others())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _prefer(transceiver: RTCRtpTransceiver, *types: str) -> None:
    """Offer these codecs alone, in this order."""
    known = RTCRtpSender.getCapabilities("video").codecs
    codecs = [codec for kind in types for codec in known if codec.mimeType.lower() == kind]
    transceiver.setCodecPreferences(codecs)


def _video_codec(answer: str) -> str:
    """Return the codec in which the server takes video: `video/h264`.

    Raises:
        ValueError: it takes none.
    """
    for section in SessionDescription.parse(answer).media:
        if section.kind == "video" and section.port and section.rtp.codecs:
            return str(section.rtp.codecs[0].mimeType).lower()
    raise ValueError("it takes no video")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
