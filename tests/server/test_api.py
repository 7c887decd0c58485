from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from fake_voices import FakeVoice
from newscaster import media, provenance
from newscaster.speech.voices import Reading
from studios import SOCKETS, OpenStudio, until, until_more_is_shown


def test_the_metadata_of_a_studio(studio: TestClient) -> None:
    assert studio.get("/v1/health").json()["status"] == "ok"
    info = studio.get("/v1/info").json()
    assert info["limits"]["sessions"] == 8
    assert info["look_ahead_ms"] == 200
    (anchor,) = studio.get("/v1/anchors").json()
    assert (anchor["id"], anchor["name"], anchor["width"], anchor["fps"]) == ("tiny", "Tiny", 96, 25)
    assert anchor["attribution"] == ["Drawn by a test", "CC0"]
    poster = studio.get(anchor["poster"])
    assert poster.content.startswith(b"\xff\xd8")
    paths = studio.get("/v1/openapi.json").json()["paths"]
    assert {"/v1/sessions", "/v1/jobs", "/v1/jobs/{job}/video", "/v1/sessions/{session}/webrtc"} <= set(paths)


def test_the_voice_is_loaded_when_a_page_opens(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice, loaded = FakeVoice(lambda sentence, speed: np.zeros(4000, np.float32)), []

    def load(reading: Reading) -> FakeVoice:
        loaded.append(reading)
        return voice

    monkeypatch.setattr(Reading, "load", load)
    studio = open_studio()
    assert not voice.sentences
    studio.get("/v1/info")
    until(lambda: voice.sentences)
    loads = len(loaded)
    studio.get("/v1/info")
    session = studio.post("/v1/sessions", json={"speed": 1.3}).json()
    studio.post(f"/v1/sessions/{session['id']}/say", json={"text": "Good evening."})
    until(lambda: "Good evening." in voice.sentences)
    assert len(loaded) == loads


def test_unknown_paths_and_ids(studio: TestClient) -> None:
    for path in ("/v1/sessions/x", "/v1/jobs/..", "/v1/jobs/x/video", "/v1/recordings/x", "/v1/x", "/x"):
        reply = studio.get(path)
        assert reply.status_code == 404, path
        assert "error" in reply.json()
    assert studio.get("/v1/anchors/no-one/poster.jpg").json()["error"].startswith("there is no anchor")
    assert studio.get("/v1/recordings/..%2f..%2fetc%2fpasswd").status_code == 404


def test_methods_that_are_not_accepted(studio: TestClient) -> None:
    reply = studio.delete("/v1/anchors")
    assert reply.status_code == 405
    assert reply.json() == {"error": "'/v1/anchors' does not accept DELETE; it accepts GET"}


@pytest.mark.parametrize("body", ["", "{", '{"anchor": }', "anchor"])
def test_a_body_that_is_not_json(studio: TestClient, body: str) -> None:
    reply = studio.post("/v1/sessions", content=body or " ", headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert reply.json()["error"].startswith("the body is not JSON (at character ")


def test_a_session(studio: TestClient) -> None:
    reply = studio.post("/v1/sessions", json={"look_ahead_ms": 120, "openness": 1.2, "background": "#336699"})
    assert reply.status_code == 201
    session = reply.json()
    path = f"/v1/sessions/{session['id']}"
    assert (session["width"], session["height"], session["fps"], session["sound_rate"]) == (96, 80, 25, 48000)
    until(lambda: studio.get(path).json()["state"]["shown"] > 2)
    assert studio.delete(path).status_code == 204
    assert studio.get(path).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"anchor": "../../etc/passwd"}, "there is no anchor"),
        ({"voice": "/tmp/voice.onnx"}, "there is no voice"),
        ({"voice": "no-one"}, "there is no voice"),
        ({"speed": 7}, "speed is 7; expected 2 or less"),
        ({"look_ahead_ms": 130}, "look_ahead_ms is 130; expected a multiple of 40"),
        ({"background": "/etc/passwd"}, "the background is '/etc/passwd'; expected a colour"),
        ({"background": "alpha"}, "the background is 'alpha'; expected a colour"),
        ({"command": "rm"}, "command is not a field of this request. Leave it out"),
        ([1], "the request is [1]; expected a JSON object"),
    ],
)
def test_sessions_that_cannot_be(studio: TestClient, options: Any, expected: str) -> None:
    reply = studio.post("/v1/sessions", json=options)
    assert reply.status_code in (400, 404, 422)
    assert reply.json()["error"].startswith(expected)


def test_more_sessions_than_may_be(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"sessions": 2})
    first = studio.post("/v1/sessions", json={}).json()
    assert studio.post("/v1/sessions", json={}).status_code == 201
    reply = studio.post("/v1/sessions", json={})
    assert reply.status_code == 429
    assert reply.json()["error"].startswith("2 sessions are live, the maximum")
    studio.delete(f"/v1/sessions/{first['id']}")
    assert studio.post("/v1/sessions", json={}).status_code == 201


def test_an_unused_session_ends(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"idle_seconds": 0.1})
    session = studio.post("/v1/sessions", json={}).json()
    until(lambda: studio.get(f"/v1/sessions/{session['id']}").status_code == 404)


def test_an_audio_file_is_spoken_and_stopped(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    reply = studio.post(f"{path}/audio", content=wav.read_bytes())
    assert reply.status_code == 202
    until(lambda: studio.get(path).json()["state"]["speaking"])
    until(lambda: not studio.get(path).json()["state"]["busy"])
    assert not list((tmp_path / "kept" / "uploads").iterdir())
    studio.post(f"{path}/audio", content=wav.read_bytes())
    assert studio.post(f"{path}/stop").status_code == 200
    until(lambda: not studio.get(path).json()["state"]["busy"])
    assert not list((tmp_path / "kept" / "uploads").iterdir())


def test_uploads_that_are_refused(open_studio: OpenStudio, wav: Path, tmp_path: Path) -> None:
    studio = open_studio(limits={"upload_seconds": 1.0})
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}/audio"
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
    for content, status, expected in (
        (b"", 415, "the file is empty. Choose another one: WAV, FLAC"),
        (playlist, 415, "the file is a text, not an audio file. Choose another one: WAV"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "the file is a text"),
        (b"\x89PNG\r\n\x1a\n", 415, "the file is a PNG image, not an audio file"),
        (bytes(range(128, 160)), 415, "the file is of an unknown kind"),
        (b"RIFF\x00\x00\x00\x00WAVEnonsense", 415, "the file"),
        (wav.read_bytes(), 413, "the audio is longer than 1 s, the maximum"),
    ):
        reply = studio.post(path, content=content)
        assert reply.status_code == status
        assert reply.json()["error"].startswith(expected)
        assert str(tmp_path) not in reply.json()["error"]
        checked = studio.post("/v1/check/audio", content=content)
        assert (checked.status_code, checked.json()) == (status, reply.json())
    assert not list((tmp_path / "kept" / "uploads").iterdir())


def test_an_audio_file_is_checked_and_not_stored(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    reply = studio.post("/v1/check/audio", content=wav.read_bytes())
    assert (reply.status_code, reply.json()) == (200, {"seconds": 1.3})
    assert not list((tmp_path / "kept" / "uploads").iterdir())


def test_a_session_is_changed_and_goes_on(studio: TestClient) -> None:
    session = studio.post("/v1/sessions", json={"openness": 0.5, "look_ahead_ms": 320}).json()
    path = f"/v1/sessions/{session['id']}"
    live = session_of(studio, session["id"]).live
    before = live.delay_seconds
    shown = studio.get(path).json()["state"]["shown"]
    reply = studio.patch(path, json={"speed": 1.25, "look_ahead_ms": 120})
    assert (reply.status_code, reply.json()["id"]) == (200, session["id"])
    options = session_of(studio, session["id"]).options
    assert (options.speed, options.look_ahead_ms, options.articulation.openness) == (1.25, 120, 0.5)
    assert live.delay_seconds < before
    for changes, error in (
        ({"speed": 7}, "speed is 7; expected 2 or less"),
        ({"voice": "no-one"}, "there is no voice 'no-one' here"),
        ({"anchor": "tiny"}, "anchor is not a field of this request"),
    ):
        reply = studio.patch(path, json=changes)
        assert 400 <= reply.status_code < 500
        assert reply.json()["error"].startswith(error)
    assert session_of(studio, session["id"]).options == options
    assert session_of(studio, session["id"]).live is live
    until(lambda: studio.get(path).json()["state"]["shown"] > shown + 3)
    assert studio.patch("/v1/sessions/none", json={}).status_code == 404


def session_of(studio: TestClient, session: str) -> Any:
    return studio.app.state.studio.session(session)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_recording(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    assert studio.post(f"{path}/recording/stop").status_code == 409
    begun = studio.post(f"{path}/recording")
    assert begun.status_code == 201
    assert studio.post(f"{path}/recording").status_code == 409
    studio.post(f"{path}/audio", content=wav.read_bytes())
    until(lambda: studio.get(path).json()["state"]["speaking"])
    until(lambda: not studio.get(path).json()["state"]["busy"])
    made = studio.post(f"{path}/recording/stop").json()
    assert made["id"] == begun.json()["id"]
    (listed,) = studio.get("/v1/recordings").json()
    assert listed["id"] == made["id"]
    assert 1.3 <= listed["seconds"] < 60
    name = f"-{int(listed['seconds'] // 60)}m{int(listed['seconds'] % 60):02}s.mp4"
    assert re.fullmatch(r"newscaster-recording-\d{4}-\d\d-\d\d-\d{6}" + name, listed["file_name"])
    assert listed["file_name"] in studio.get(made["href"]).headers["content-disposition"]
    file = tmp_path / "recording.mp4"
    file.write_bytes(studio.get(made["href"]).content)
    info = media.probe(file)
    assert info.video is not None
    assert (info.video.width, info.video.fps) == (96, 25)
    assert "Synthetic video" in info.metadata["comment"]
    samples = media.read_audio(file, rate=16_000)
    assert np.abs(samples).max() > 0.05
    assert abs(len(samples) / 16_000 - info.video.duration_seconds) < 0.1
    found = provenance.verify(file)
    assert found.verdict == "untrusted"
    assert found.statement is not None
    assert found.statement.frames == round(info.video.duration_seconds * 25)
    assert found.statement.synthesised == ((0, found.statement.frames),)
    assert not found.statement.synthetic_voice
    assert studio.delete(made["href"]).status_code == 204
    assert studio.get(made["href"]).status_code == 404


def test_a_recording_outlives_its_session(studio: TestClient) -> None:
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    begun = studio.post(f"{path}/recording").json()
    until_more_is_shown(studio, session["id"])
    studio.delete(path)
    assert studio.get(f"/v1/recordings/{begun['id']}").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("cause", ["disk", "length"])
def test_a_recording_that_ends_by_itself(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    if cause == "disk":
        monkeypatch.setattr("newscaster.media.stream.has_room", lambda folder, size=0: False)
    reasons = {"disk": "the disk is nearly full", "length": "the maximum length of a recording is 0.5 s"}
    reason = reasons[cause]
    studio = open_studio(limits={"recording_seconds": 0.5 if cause == "length" else 3600})
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    with studio.websocket_connect(f"{SOCKETS}{path}/socket") as socket:
        begun = studio.post(f"{path}/recording").json()
        until(lambda: studio.get(path).json()["state"]["recording"] is None)
        errors = until(lambda: socket.receive_json()["errors"])
        assert errors == [f"the recording ended, and is stored: {reason}"]
        assert studio.get(path).json()["state"]["recording_ended"] == errors[0]
        assert [recording["id"] for recording in studio.get("/v1/recordings").json()] == [begun["id"]]
        stopped = studio.post(f"{path}/recording/stop").json()
        assert (stopped["id"], stopped["remark"]) == (begun["id"], reason)
        assert studio.get(path).json()["state"]["recording_ended"] is None
        assert studio.post(f"{path}/recording/stop").status_code == 409
        studio.delete(path)
        with suppress(WebSocketDisconnect):
            while True:
                socket.receive_json()


def test_a_recording_that_fails_leaves_its_session_alone(
    studio: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, position: int, data: bytes) -> None:
        self.error = OSError(28, "No space left on device")  # type: ignore[attr-defined]
        raise self.error  # type: ignore[attr-defined]

    monkeypatch.setattr("newscaster.media.fragments.FragmentFile._write", full)
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    assert studio.post(f"{path}/recording").status_code == 201
    ended = until(lambda: studio.get(path).json()["state"]["recording_ended"])
    assert ended.startswith("the recording failed: cannot write the recording")
    stopped = studio.post(f"{path}/recording/stop")
    assert stopped.status_code == 507
    assert "No space left on device" in stopped.json()["error"]
    assert not studio.get("/v1/recordings").json()
    until_more_is_shown(studio, session["id"])
    monkeypatch.undo()
    assert studio.post(f"{path}/recording").status_code == 201
    assert studio.post(f"{path}/recording").status_code == 409


def test_no_recording_is_started_on_a_full_disk(studio: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.media.has_room", lambda folder: False)
    session = studio.post("/v1/sessions", json={}).json()
    reply = studio.post(f"/v1/sessions/{session['id']}/recording")
    assert reply.status_code == 507
    assert reply.json()["error"].startswith("the studio's disk is full")


@pytest.mark.slow
def test_texts(studio: TestClient) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}"
    for text, expected in (
        ("", "text has 0 characters; expected 1 or more"),
        ("...", "the text '...' holds no word"),
        ("a" * 20_001, "the text has 20,001"),
    ):
        reply = studio.post(f"{path}/say", json={"text": text})
        assert 400 <= reply.status_code < 500
        assert reply.json()["error"].startswith(expected)
    assert studio.post(f"{path}/say", json={"text": "Good evening."}).status_code == 202
    until(lambda: studio.get(path).json()["state"]["speaking"])
    until(lambda: not studio.get(path).json()["state"]["busy"])


def test_skipped_parts_of_a_text_are_named(studio: TestClient) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    session = studio.post("/v1/sessions", json={"voice": "hibari"}).json()
    path = f"/v1/sessions/{session['id']}"
    for text, expected in (
        ("Good evening. Добрый вечер.", "sentence 2, line 1, is skipped: the voice 'hibari' does not read"),
        ("Добрый вечер.", "the voice 'hibari' does not read Cyrillic, and 1 of 1 sentences"),
    ):
        assert studio.post(f"{path}/say", json={"text": text}).status_code == 202
        errors = until(lambda: studio.get(path).json()["state"]["errors"])
        assert len(errors) == 1
        assert errors[0].startswith(expected)
    assert studio.post(f"{path}/say", json={"text": "<break/>"}).status_code == 400
