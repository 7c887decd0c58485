"""WebSocket conversations: JSON and PCM in, states and encoded frames out.

An invalid message is answered with `{"type": "refused", "error": ...}`, and the conversation continues.
After a rejected rate, audio is rejected until a rate is accepted: it would be played at the wrong rate.
docs/serve.md specifies the protocol.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from newscaster import media
from newscaster.errors import NewscasterError
from newscaster.server.anchor_registry import jpeg
from newscaster.server.http_errors import TOO_LARGE, RefusedError, sentence
from newscaster.server.session import RATE, Session
from newscaster.server.settings import Limits
from newscaster.synthesis.live_frame import LiveFrame
from newscaster.synthesis.result import tags
from newscaster.texts import is_unicode, quoted

_log = logging.getLogger("newscaster.server")

STATE_SECONDS = 0.25
_MAX_WAITING_FRAMES = 50
_MAX_WAITING_BYTES = 8 << 20
_MIN_RATE, _MAX_RATE = 8_000, 96_000
_LEFT = (WebSocketDisconnect, RuntimeError, TimeoutError)
"""Exceptions for a client that has disconnected, or reads nothing."""
FRAME, AUDIO = 1, 2
"""First byte of binary messages, with `output: frames`."""
OUTPUTS = ("none", "mp4", "frames")
_FIELDS = {
    "say": {"type", "text"},
    "sound": {"type", "rate"},
    "flush": {"type"},
    "stop": {"type"},
    "action": {"type", "name"},
    "listening": {"type", "on"},
    "finish": {"type"},
}
"""Fields of each message. Others are rejected: a client that sends them would expect an effect."""


class EncodedFrames:
    """A sink that encodes frames in a thread, for the task of a WebSocket.

    Args:
        session: the session to send.
        output: `mp4`: fragments of one MP4 stream; `frames`: a JPEG image and PCM for each frame.
    """

    def __init__(self, session: Session, output: str) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._frames: queue.Queue[LiveFrame | None] = queue.Queue(_MAX_WAITING_FRAMES)
        self._ready: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self.stalled = False
        work = self._fragments if output == "mp4" else self._images
        threading.Thread(target=self._run, args=(work,), name="newscaster-encoder", daemon=True).start()

    def push(self, frame: LiveFrame) -> None:
        """Queue a frame.

        Raises:
            RuntimeError: the client is too far behind; an MP4 stream with gaps would be useless.
        """
        if self._waiting_bytes > _MAX_WAITING_BYTES or self._frames.full():
            self.stalled = True
            self.end()
            raise RuntimeError("the client reads too slowly")
        self._frames.put_nowait(frame)

    def end(self) -> None:
        with suppress(queue.Full):
            self._frames.put_nowait(None)
        if self.stalled:
            self._ready.put_nowait(None)

    async def drain(self) -> bytes | None:
        """Return the next message; None at the end."""
        data = await self._ready.get()
        self._waiting_bytes -= len(data or b"")
        return data

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            session_id = self._session.id
            _log.exception("the encoder of session %s failed", session_id, extra={"session": session_id})
        with suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._ready.put_nowait, None)

    def _send(self, data: bytes) -> None:
        if data:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(self._queue, data)

    def _queue(self, data: bytes) -> None:
        """Queue a message, in the event loop: only one thread may count bytes."""
        self._waiting_bytes += len(data)
        self._ready.put_nowait(data)

    def _fragments(self) -> None:
        info = self._session.info
        metadata = tags(info, synthetic_voice=False)
        items = ((frame.image, frame.audio) for frame in iter(self._frames.get, None))
        for data in media.write_fragments(items, fps=info.fps, rate=RATE, metadata=metadata):
            self._send(data)

    def _images(self) -> None:
        while (frame := self._frames.get()) is not None:
            if frame.image is not None:
                self._send(struct.pack("<B3xI", FRAME, frame.number) + jpeg(frame.image))
            pcm = np.round(np.clip(frame.audio, -1, 1) * 32767).astype("<i2")
            self._send(struct.pack("<B3xI", AUDIO, frame.number) + pcm.tobytes())


class Conversation:
    """One WebSocket and one session, from the first message to the last.

    Args:
        socket: an accepted WebSocket.
        session: a running session.
        output: format of the frames, one of OUTPUTS.
        limits: limits of the studio.
        captions: whether captions of texts are sent.
    """

    def __init__(
        self, socket: WebSocket, session: Session, *, output: str, limits: Limits, captions: bool = False
    ) -> None:
        self._captions = captions
        self._socket, self._session, self._limits = socket, session, limits
        self._sink = None if output == "none" else EncodedFrames(session, output)
        self._rate: int | None = 16_000
        """Rate of incoming audio in Hz; None after a rejected rate, until one is accepted."""
        self._is_first = True  # no samples came since the last flush
        self._finishing = asyncio.Event()

    async def run(self) -> None:
        """Run until the client disconnects, its `finish` is done, or the session ends."""
        session = self._session
        parts: list[Callable[[], Awaitable[object]]] = [
            self._receive,
            self._send_states,
            self._finish,
            session.over.wait,
        ]
        if self._sink is not None:
            session.add(self._sink)
            parts.append(self._send_frames)
        if self._captions:
            parts.append(self._send_captions)
        tasks = [asyncio.ensure_future(part()) for part in parts]
        try:
            with session.used(), _counted(session):
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) and not isinstance(error, _LEFT):
                    _log.error(
                        "a conversation with session %s failed",
                        session.id,
                        exc_info=error,
                        extra={"session": session.id},
                    )
        finally:
            if self._sink is not None:
                session.remove(self._sink)
                self._sink.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        if self._socket.client_state != WebSocketState.CONNECTED:
            return
        with suppress(Exception):
            async with asyncio.timeout(self._limits.stall_seconds):
                sink = self._sink
                if sink is not None and not sink.stalled:
                    while (data := await sink.drain()) is not None:
                        await self._socket.send_bytes(data)
                if sink is not None and sink.stalled:
                    await self._socket.close(1008, "too far behind: the client reads too slowly")
                elif self._finishing.is_set():
                    await self._socket.close(1000)
                else:
                    await self._socket.close(1001, "the session has ended")

    async def _receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            try:
                if (data := message.get("bytes")) is not None:
                    self._push_audio(data)
                else:
                    await self._handle(message.get("text") or "")
            except NewscasterError as error:
                await self._socket.send_json({"type": "refused", "error": sentence(error)})

    def _push_audio(self, data: bytes) -> None:
        if len(data) > self._limits.message_bytes:
            raise RefusedError(
                f"the message has {len(data)} bytes; expected at most {self._limits.message_bytes}",
                status=TOO_LARGE,
            )
        if self._rate is None:
            raise RefusedError(
                "audio is rejected, since its rate was rejected. First send "
                f'{{"type": "sound", "rate": ...}} with {_MIN_RATE} to {_MAX_RATE} Hz'
            )
        kind = media.container_named(data[: media.MARK_BYTES]) if self._is_first else None
        if kind is not None:
            raise RefusedError(
                f"the message starts like {kind}; expected raw 16-bit samples without a header. Send only "
                "the samples, or POST the file to the session's /audio"
            )
        if len(data) % 2:
            raise RefusedError(f"the audio has {len(data)} bytes; expected 16-bit samples of two bytes each")
        samples = np.frombuffer(data, "<i2").astype(np.float32)
        self._session.push(samples / np.float32(32768), self._rate)
        self._is_first = self._is_first and not data  # a rejected message does not change it

    async def _handle(self, text: str) -> None:
        message = parsed(text, self._limits)
        kind = message.get("type")
        if kind == "sound":
            self._rate = None
        fields = _FIELDS.get(kind) if isinstance(kind, str) else None
        if fields is None:
            raise RefusedError(f"the message's type is {quoted(kind)}; expected {', '.join(_FIELDS)}")
        if unknown := message.keys() - fields:
            raise RefusedError(
                f"the message {kind} has a field {quoted(min(unknown))}; expected {', '.join(sorted(fields))}"
            )
        if kind == "say":
            self._session.say(text_of(message.get("text"), max_characters=self._limits.script_characters))
        elif kind == "sound":
            self._rate = _rate_of(message.get("rate"))
            self._is_first = True
        elif kind == "flush":
            self._session.live.flush()
            self._is_first = True
        elif kind == "action":
            await self._session.act(action_of(message.get("name")))
        elif kind == "listening":
            self._session.live.listen(_flag_of(message.get("on")))
        elif kind == "stop":
            await self._session.interrupt()
            await self._socket.send_json({"type": "stopped"})
        else:  # finish
            self._session.live.flush()
            self._finishing.set()

    async def _send_states(self) -> None:
        seen = self._session.reported
        while True:
            state = {"type": "state", **asdict(self._session.state(after=seen))}
            seen = self._session.reported
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._socket.send_json(state)
            await asyncio.sleep(STATE_SECONDS)

    async def _send_captions(self) -> None:
        captions = self._session.captions.subscribe()
        try:
            while True:
                caption = await captions.get()
                async with asyncio.timeout(self._limits.stall_seconds):
                    await self._socket.send_json(caption)
        finally:
            self._session.captions.unsubscribe(captions)

    async def _finish(self) -> None:
        """Wait until all speech was shown and the mouth is at rest."""
        await self._finishing.wait()
        while self._session.busy:
            await asyncio.sleep(0.04)
        await asyncio.sleep(0.4)

    async def _send_frames(self) -> None:
        assert self._sink is not None
        while (data := await self._sink.drain()) is not None:
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._socket.send_bytes(data)


@contextmanager
def _counted(session: Session) -> Iterator[None]:
    session.sockets += 1
    try:
        yield
    finally:
        session.sockets -= 1


def parsed(text: str, limits: Limits) -> dict[str, Any]:
    """Parse a message as a JSON object (RFC 8259: no NaN, no infinity) with unique keys.

    Raises:
        RefusedError: it is not such an object, or too long.
    """
    if len(text) > limits.message_bytes:
        raise RefusedError(
            f"the message has {len(text)} characters; expected at most {limits.message_bytes}",
            status=TOO_LARGE,
        )
    try:
        message = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the message is not JSON ({error}); expected an object with a type") from error
    if not isinstance(message, dict):
        raise RefusedError("the message is not a JSON object; expected one with a type")
    return message


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key appears twice")
    return fields


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def text_of(value: object, *, max_characters: int) -> str:
    """Check a text to speak.

    Raises:
        RefusedError: it is not valid text, or too long.
    """
    if not isinstance(value, str):
        raise RefusedError(f"text is {type(value).__name__}; expected a string")
    if not is_unicode(value):
        raise RefusedError("the text contains half of a surrogate pair, which is no character. Remove it")
    if len(value) > max_characters:
        raise RefusedError(
            f"the text has {len(value):,} characters; the maximum is {max_characters:,}. Render it as a job, "
            "or send it in parts",
            status=TOO_LARGE,
        )
    return value


def action_of(value: object) -> str:
    """Check the type of the name of an action.

    Raises:
        RefusedError: it is no string.
    """
    if not isinstance(value, str):
        raise RefusedError(f"name is {type(value).__name__}; expected the name of an action, a string")
    return value


def _flag_of(value: object) -> bool:
    if not isinstance(value, bool):
        raise RefusedError(f"on is {quoted(value)}; expected true or false")
    return value


def _rate_of(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not _MIN_RATE <= value <= _MAX_RATE:
        raise RefusedError(f"rate is {quoted(value)}; expected {_MIN_RATE} to {_MAX_RATE} Hz, as an integer")
    return value
