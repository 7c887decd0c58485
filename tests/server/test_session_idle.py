"""Uses of a session: connected clients, requests, and a recording of its speech."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from newscaster import media
from newscaster.server.settings import Limits, Settings
from newscaster.server.studio import SessionOptions, Studio
from studios import OpenStudio, until
from tiny_anchor import speech_like

SPEECH_SECONDS = 5.0


@pytest.mark.slow
def test_speech_that_is_recorded_over_http_alone_is_recorded_to_its_end(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    studio = open_studio(limits={"idle_seconds": 1.0})
    speech = tmp_path / "speech.wav"
    media.write_wav(speech, speech_like(SPEECH_SECONDS), 16_000)
    path = f"/v1/sessions/{studio.post('/v1/sessions', json={}).json()['id']}"
    assert studio.post(f"{path}/recording").status_code == 201
    assert studio.post(f"{path}/audio", content=speech.read_bytes()).status_code == 202
    until(lambda: studio.get(path).status_code == 404)  # it ends after the last utterance
    (recording,) = until(lambda: studio.get("/v1/recordings").json())
    assert recording["seconds"] >= SPEECH_SECONDS


def test_requests_to_a_session_use_it(open_studio: OpenStudio, wav: Path) -> None:
    studio = open_studio(limits={"idle_seconds": 1000})
    path = f"/v1/sessions/{studio.post('/v1/sessions', json={}).json()['id']}"
    (session,) = studio.app.state.studio.sessions()  # type: ignore[attr-defined]
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/say", {"json": {"text": "..."}}),  # rejected, but still from a client
        ("POST", "/audio", {"content": wav.read_bytes()}),
        ("POST", "/stop", {}),
        ("POST", "/recording", {}),
        ("POST", "/recording/stop", {}),
        ("POST", "/webrtc", {"json": {"type": "offer", "sdp": ""}}),
        ("PATCH", "", {"json": {"speed": 1.2}}),
    ]
    for method, name, options in requests:
        session.last_used = time.monotonic() - 500
        studio.request(method, path + name, **options)
        assert session.idle_seconds() < 500, name
    session.last_used = time.monotonic() - 500
    studio.get(path)  # looks at it
    assert session.idle_seconds() >= 500


def test_an_upload_that_comes_in_uses_its_session(
    open_studio: OpenStudio, wav: Path, monkeypatch: Any
) -> None:
    studio = open_studio()
    path = f"/v1/sessions/{studio.post('/v1/sessions', json={}).json()['id']}"
    (session,) = studio.app.state.studio.sessions()  # type: ignore[attr-defined]
    idle: list[float] = []
    measure = media.measure_audio

    def slow(*arguments: Any, **options: Any) -> Any:
        session.last_used = time.monotonic() - 500
        idle.append(session.idle_seconds())
        return measure(*arguments, **options)

    monkeypatch.setattr(media, "measure_audio", slow)
    assert studio.post(f"{path}/audio", content=wav.read_bytes()).status_code == 202
    assert idle == [0.0]


def test_the_last_of_changes_at_once_applies(tiny: Path, tmp_path: Path) -> None:
    async def run() -> tuple[list[float], float]:
        settings = Settings(anchors=(str(tiny),), keep=tmp_path, limits=Limits())
        async with Studio(settings).open() as studio:
            session = await studio.begin(SessionOptions())
            applied: list[float] = []
            second = threading.Event()
            speeds = iter((1.1, 1.2))

            def change(**_: Any) -> None:
                speed = next(speeds)
                if speed == 1.1:
                    second.wait(0.5)  # time for the second to overtake it
                else:
                    second.set()
                applied.append(speed)

            session.live.change = change  # type: ignore[method-assign]
            await asyncio.gather(*(studio.change(session, {"speed": speed}) for speed in (1.1, 1.2)))
            return applied, session.options.speed

    assert asyncio.run(run()) == ([1.1, 1.2], 1.2)


def test_a_file_that_is_replaced_before_it_plays_is_removed(tiny: Path, tmp_path: Path, wav: Path) -> None:
    async def run() -> list[int]:
        settings = Settings(anchors=(str(tiny),), keep=tmp_path, limits=Limits())
        async with Studio(settings).open() as studio:
            session = await studio.begin(SessionOptions())
            done: list[int] = []
            for number in range(3):
                await session.play(wav, done=lambda number=number: done.append(number))  # type: ignore[misc]
            await session.stop_playing()
            return done

    assert asyncio.run(run()) == [0, 1, 2]
