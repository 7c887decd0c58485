"""Posters and scripts of finished videos, and the verification of videos, over the API."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from conftest import ClipMaker
from fake_voices import FakeVoice, use_voice
from newscaster import provenance
from newscaster.provenance import Verified
from newscaster.server import media_api
from newscaster.server.job_process import Task
from studios import OpenStudio, until
from tiny_anchor import speech_like


@pytest.mark.usefixtures("jobs_inside")
def test_a_finished_video_has_a_poster_and_is_verified(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    job = studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()
    assert (job["poster"], job["script"]) == (None, None)
    assert studio.get(f"/v1/jobs/{job['id']}/poster.jpg").status_code == 409
    job = until(lambda: (now := studio.get(f"/v1/jobs/{job['id']}").json())["state"] == "done" and now)
    poster = studio.get(job["poster"])
    assert poster.headers["content-type"] == "image/jpeg"
    assert max(Image.open(io.BytesIO(poster.content)).size) <= 320
    assert studio.get(f"/v1/jobs/{job['id']}/script").json()["error"] == "the job has no script"
    found = studio.post("/v1/verify", content=studio.get(job["video"]).content).json()
    assert (found["verdict"], found["unchanged"], found["local"]) == ("untrusted", True, True)
    (person,) = found["statement"]["people"]
    assert (person["name"], person["synthetic_voice"]) == ("Tiny", False)
    assert 0 < found["statement"]["synthesised_frames"] <= found["statement"]["frames"]
    assert not list((tmp_path / "kept" / "uploads").iterdir())


@pytest.mark.usefixtures("jobs_inside")
def test_texts_of_a_file_are_escaped_and_paths_are_left_out(
    studio: TestClient, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(path: Path) -> Verified:
        return Verified(
            path=path,
            verdict="broken",
            reasons=(f"'{path}' differs\x1b[2J",),
            generator="<b>\x07",
            ingredients=("\x00",),
        )

    monkeypatch.setattr(provenance, "verify", verify)
    found = studio.post("/v1/verify", content=make_clip(frames=30).read_bytes()).json()
    assert found["reasons"] == ["the file differs\\x1b[2J"]
    assert (found["generator"], found["ingredients"]) == ("<b>\\x07", ["\\x00"])


def test_verifications_that_are_refused(
    open_studio: OpenStudio, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_studio(limits={"decode_seconds": 0.1})

    async def run(work: Task, *, progress: Callable[..., None]) -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(media_api, "run_work", run)
    for content, status, message in (
        (b"Good evening", 415, "the file is a text, not a video"),
        (make_clip(frames=30).read_bytes(), 413, "the verification takes more than 0.1 s"),
    ):
        reply = studio.post("/v1/verify", content=content)
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)


@pytest.mark.usefixtures("jobs_inside")
def test_a_script_is_kept_with_its_video(open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    use_voice(monkeypatch, FakeVoice(lambda sentence, speed: speech_like(0.5, 24_000)))
    studio = open_studio()
    job = studio.post("/v1/jobs", json={"text": "Größer.\n\nThe news."}).json()
    reply = studio.get(job["script"])
    assert (reply.text, reply.headers["content-type"]) == (
        "Größer.\n\nThe news.",
        "text/plain; charset=utf-8",
    )
