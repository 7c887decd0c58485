"""Uploads are decoded within limits, and in their own threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from newscaster import media
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import receive_audio
from studios import OpenStudio, until
from tiny_anchor import speech_like

Watch = Callable[[float], None]


def test_decoding_delays_nothing_else(
    open_studio: OpenStudio, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_studio(limits={"uploads": 40})
    released = threading.Event()
    measure = media.measure_audio

    def slow(path: Path, *, watch: Watch | None = None) -> media.AudioMeasure:
        released.wait(120)
        return measure(path, watch=watch)

    monkeypatch.setattr(media, "measure_audio", slow)
    content = wav.read_bytes()
    with ThreadPoolExecutor(40) as clients:
        uploads = [clients.submit(studio.post, "/v1/jobs/audio", content=content) for _ in range(40)]
        anchor = studio.get("/v1/anchors").json()[0]
        assert studio.get(anchor["poster"]).status_code == 200
        session = studio.post("/v1/sessions", json={}).json()
        until(lambda: studio.get(f"/v1/sessions/{session['id']}").json()["state"]["shown"] > 3)
        assert not any(upload.done() for upload in uploads)
        released.set()
        statuses = {upload.result().status_code for upload in uploads}
    assert 202 in statuses
    assert statuses <= {202, 429}


async def body(content: bytes) -> AsyncIterator[bytes]:
    yield content


def test_decoding_ends_if_the_client_leaves(
    wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()
    folder = tmp_path / "upload"
    folder.mkdir()

    def endless(path: Path, *, watch: Watch) -> media.AudioMeasure:
        begun.set()
        try:
            while True:
                watch(0.0)
        finally:
            ended.set()

    monkeypatch.setattr(media, "measure_audio", endless)

    async def run() -> None:
        task = asyncio.create_task(receive_audio(body(wav.read_bytes()), folder, limits=Limits()))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(run())
    assert not list(folder.iterdir())


def test_audio_that_takes_too_long_to_decode(open_studio: OpenStudio, wav: Path) -> None:
    studio = open_studio(limits={"decode_seconds": 1e-9})
    reply = studio.post("/v1/jobs/audio", content=wav.read_bytes())
    assert reply.status_code == 413
    assert reply.json()["error"].startswith("the audio takes more than 1e-09 s to decode. Convert it")


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_audio_are_refused_before_they_are_spoken(
    studio: TestClient, tmp_path: Path, value: float
) -> None:
    samples = speech_like(1.0)
    samples[8000] = value
    path = tmp_path / "speech.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    session = studio.post("/v1/sessions", json={}).json()["id"]
    for address in ("check/audio", "jobs/audio", f"sessions/{session}/audio"):
        reply = studio.post(f"/v1/{address}", content=path.read_bytes())
        assert reply.status_code == 415
        assert "the file contains NaN, infinite, or far too large samples" in reply.json()["error"]
