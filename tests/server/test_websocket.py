"""A conversation over a WebSocket: audio and texts in, video out, and messages that are refused."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from newscaster import media
from newscaster.formats.named_clips import NamedClip
from newscaster.synthesis.actions import ActionOrder
from newscaster.synthesis.live import Live
from studios import SOCKETS, OpenStudio, opening, until
from tiny_anchor import speech_like, write_tiny_anchor

PCM = (speech_like(1.0) * 32767).astype("<i2").tobytes()


def next_message(socket: Any, kind: str) -> dict[str, Any]:
    """Return the next message of this type."""
    while True:
        message = socket.receive()
        assert message["type"] != "websocket.close", message
        if message.get("text") and f'"type":"{kind}"' in message["text"].replace(" ", ""):
            values: dict[str, Any] = json.loads(message["text"])
            return values


def binary_messages(socket: Any) -> tuple[list[bytes], int]:
    """Return all binary messages up to the end, and the close code."""
    parts = []
    while True:
        message = socket.receive()
        if message["type"] == "websocket.close":
            return parts, message["code"]
        if message.get("bytes"):
            parts.append(message["bytes"])


def test_audio_in_mp4_out(studio: TestClient, tmp_path: Path) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "mp4", "look_ahead_ms": 120})
        assert next_message(socket, "session")["sound_rate"] == 48_000
        socket.send_json({"type": "sound", "rate": 16_000})
        for first in range(0, len(PCM), 640):
            socket.send_bytes(PCM[first : first + 640])
        socket.send_json({"type": "finish"})
        parts, code = binary_messages(socket)
    assert code == 1000
    assert len(parts) > 3
    assert parts[0][4:8] == b"ftyp"
    path = tmp_path / "x.mp4"
    path.write_bytes(b"".join(parts))
    info = media.probe(path)
    assert info.video is not None
    assert info.video.duration_seconds > 1
    assert np.abs(media.read_audio(path, rate=16_000)).max() > 0.05
    assert not studio.app.state.studio.sessions()  # type: ignore[attr-defined]


def test_audio_in_frames_and_pcm_out(studio: TestClient) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "frames"})
        socket.send_bytes(PCM)
        socket.send_json({"type": "finish"})
        parts, code = binary_messages(socket)
    assert code == 1000
    audios: dict[int, bytes] = {}
    for part in parts:
        kind, number = struct.unpack_from("<B3xI", part)
        if kind == 1:
            assert Image.open(io.BytesIO(part[8:])).size == (96, 80)
        else:
            audios[number] = part[8:]
    numbers = sorted(audios)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # no audio is missing
    assert {len(audio) for audio in audios.values()} == {2 * 1920}
    assert any(np.abs(np.frombuffer(audio, "<i2")).max() > 1500 for audio in audios.values())


def test_stopping(studio: TestClient) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none"})
        session = next_message(socket, "session")["id"]
        for _ in range(8):
            socket.send_bytes(PCM)
        while not next_message(socket, "state")["speaking"]:
            pass
        socket.send_json({"type": "stop"})
        next_message(socket, "stopped")
        while next_message(socket, "state")["busy"]:
            pass
    until(lambda: studio.get(f"/v1/sessions/{session}").status_code == 404)


def test_actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr(ActionOrder, "play", lambda order, name: called.append(name))
    monkeypatch.setattr(Live, "listen", lambda live, on: called.append(on))
    clips = (NamedClip(name="nod", start=10, stop=25), NamedClip(name="listening", start=30, stop=45))
    path = write_tiny_anchor(tmp_path / "x.anchor", frames=60, clips=clips)
    with opening(path, tmp_path / "kept") as open_studio:
        studio = open_studio()
        with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
            socket.send_json({"output": "none"})
            session = next_message(socket, "session")
            assert session["actions"] == ["nod", "listening"]
            socket.send_json({"type": "action", "name": "nod"})
            socket.send_json({"type": "listening", "on": True})
            socket.send_json({"type": "listening", "on": False})
            until(lambda: called == ["nod", True, False])
            address = f"/v1/sessions/{session['id']}/action"
            assert studio.post(address, json={"name": "nod"}).status_code == 202
            assert called[3:] == ["nod"]


def test_messages_that_are_refused_end_nothing(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"waiting_seconds": 2.0, "script_characters": 50})
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none"})
        next_message(socket, "session")
        for message, expected in (
            ("{nonsense", "the message is not JSON"),
            ("[" * 100_000, "the message is not JSON"),
            ("[]", "the message is not a JSON object"),
            ("{}", "the message's type is None"),
            ('{"type": "explode"}', "the message's type is 'explode'"),
            ('{"type": "say"}', "text is NoneType"),
            ('{"type": "say", "text": "..."}', "the text '...' holds no word"),
            ('{"type": "say", "text": "%s"}' % ("a" * 60), "the text has 60 characters; the maximum is 50"),
            ('{"type": "action", "name": "bow"}', "the action is 'bow'; the anchor has no clips"),
            ('{"type": "action"}', "name is NoneType; expected the name of an action"),
            ('{"type": "listening", "on": 1}', "on is 1; expected true or false"),
            ('{"type": "sound", "rate": 3}', "rate is 3; expected 8000 to 96000 Hz"),
            (PCM, "audio is rejected, since its rate was rejected"),
            ('{"type": "sound", "rate": "48000"}', "rate is '48000'; expected 8000 to 96000 Hz"),
            ('{"type": "sound", "rate": 0}', "rate is 0"),
            ('{"type": "sound", "rate": 16000, "format": "f32"}', "the message sound has a field 'format'"),
            (PCM, "audio is rejected, since its rate was rejected"),
            ('{"type": "sound", "rate": 16000}', None),
            (b"abc", "the audio has 3 bytes"),
            (b"RIFF\x24\x08\x00\x00WAVEfmt ", "the message starts like a WAV file"),
            (b"fLaC" + PCM, "the message starts like a FLAC file"),
            (b"abc", "the audio has 3 bytes"),
            (PCM * 3, ""),  # too much is pending
        ):
            if isinstance(message, bytes):
                socket.send_bytes(message)
            else:
                socket.send_text(message)
            if expected is not None:
                assert next_message(socket, "refused")["error"].startswith(expected)
        socket.send_bytes(PCM)  # and goes on
        while not next_message(socket, "state")["speaking"]:
            pass


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ('{"output": "gif"}', "output is 'gif'; expected one of none, mp4, frames"),
        ('{"anchor": "no-one"}', "there is no anchor 'no-one'"),
        ('{"path": "/etc/passwd"}', "path is not a field of this request"),
        ("nonsense", "the message is not JSON"),
    ],
)
def test_streams_that_cannot_be(studio: TestClient, first: str, expected: str) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_text(first)
        assert socket.receive_json()["error"].startswith(expected)
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_the_socket_of_a_session(studio: TestClient) -> None:
    session = studio.post("/v1/sessions", json={}).json()
    with studio.websocket_connect(f"{SOCKETS}/v1/sessions/{session['id']}/socket") as socket:
        state = next_message(socket, "state")
        assert {"frames_per_second", "dropped", "delay_ms", "waiting_seconds", "busy"} <= set(state)
        studio.delete(f"/v1/sessions/{session['id']}")
        _, code = binary_messages(socket)
        assert code == 1001
    with studio.websocket_connect(f"{SOCKETS}/v1/sessions/x/socket") as socket:
        assert socket.receive_json()["error"].startswith("there is no session 'x'")


@pytest.mark.slow
def test_a_client_that_vanishes_leaves_the_others_alone(studio: TestClient) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as steady:
        steady.send_json({"output": "frames"})
        next_message(steady, "session")
        with studio.websocket_connect(f"{SOCKETS}/v1/stream") as other:
            other.send_json({"output": "mp4"})
            next_message(other, "session")
            other.send_bytes(PCM)
        shown = next_message(steady, "state")["shown"]
        while next_message(steady, "state")["shown"] < shown + 10:
            pass
    until(lambda: not studio.get("/v1/health").is_error and not studio.app.state.studio.sessions())  # type: ignore[attr-defined]
