from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from newscaster import media
from newscaster.serving import jobs as jobs_module
from newscaster.serving.working import Work
from studios import OpenStudio, until


def in_state(studio: TestClient, job: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = studio.get(f"/v1/jobs/{job}").json()
        return found if found["state"] in states else None

    found: dict[str, Any] = until(look)
    return found


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """Jobs that begin and never end, unless they are cancelled."""
    import asyncio

    begun: list[Work] = []

    async def run(work: Work, *, progress: Any) -> dict[str, Any]:
        begun.append(work)
        progress(10, 40)
        (work.video.parent / ".video.0.part.mp4").write_bytes(b"half")
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    return begun


def test_a_job_from_a_sound_to_its_video(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    reply = studio.post(
        "/v1/jobs/audio", params={"openness": 1.1, "title": "../../x"}, content=wav.read_bytes()
    )
    assert reply.status_code == 202
    job = reply.json()["id"]
    done = in_state(studio, job, "done", "failed")
    assert (done["error"], done["title"]) == (None, "../../x")
    assert (done["progress"], done["frames"], done["seconds"]) == (1.0, 32, 1.3)
    path = tmp_path / "video.mp4"
    path.write_bytes(studio.get(done["video"]).content)
    info = media.probe(path)
    assert info.video is not None
    assert "Synthetic video" in info.metadata["comment"]
    assert done["captions"] is None
    assert studio.get(f"/v1/jobs/{job}/captions").status_code == 404
    assert studio.delete(f"/v1/jobs/{job}").json()["state"] == "removed"
    assert studio.get("/v1/jobs").json() == []
    assert not list((tmp_path / "kept" / "jobs").iterdir())


def test_a_job_from_a_script_has_captions(studio: TestClient) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    job = studio.post("/v1/jobs", json={"text": "Good evening.\n\nHere is the news."}).json()
    assert job["title"] == "Good evening. Here is the news."
    done = in_state(studio, job["id"], "done", "failed")
    assert done["error"] is None
    assert "Here is the news." in studio.get(done["captions"]).text


def test_a_job_that_fails_says_why(studio: TestClient, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    import numpy as np

    media.write_wav(quiet, np.zeros(16_000, np.float32), 16_000)
    job = studio.post("/v1/jobs/audio", content=quiet.read_bytes()).json()["id"]
    failed = in_state(studio, job, "done", "failed")
    assert failed["state"] == "failed"
    assert "is silent" in failed["error"]
    assert str(tmp_path) not in failed["error"]
    assert studio.get(f"/v1/jobs/{job}/video").status_code == 409


def test_jobs_that_are_refused(studio: TestClient, wav: Path) -> None:
    for wanted in (
        {"text": ""},
        {"text": "..."},
        {"text": "a" * 200_001},
        {"text": "Hi.", "voice": "/x.onnx"},
    ):
        reply = studio.post("/v1/jobs", json=wanted)
        assert 400 <= reply.status_code < 500
        assert "error" in reply.json()
    assert studio.post("/v1/jobs/audio", params={"anchor": "x"}, content=b"").status_code == 404
    assert studio.get("/v1/jobs").json() == []


def test_progress_queue_and_cancelling(
    open_studio: OpenStudio, stuck: list[Work], wav: Path, tmp_path: Path
) -> None:
    studio = open_studio(limits={"jobs": 2})
    first, second = (studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"] for _ in range(2))
    assert until(lambda: studio.get(f"/v1/jobs/{first}").json()["progress"]) == 0.25
    assert in_state(studio, second, "queued")
    reply = studio.post("/v1/jobs/audio", content=wav.read_bytes())
    assert reply.status_code == 429
    assert reply.json()["error"].startswith("2 jobs wait or run, the most there may be")
    assert studio.delete(f"/v1/jobs/{first}").json()["state"] == "cancelled"
    in_state(studio, second, "running")
    assert in_state(studio, first, "cancelled")
    assert not list((tmp_path / "kept" / "jobs" / first).glob(".*"))
    assert len(stuck) == 2


def test_what_was_not_finished_is_taken_up_again(
    open_studio: OpenStudio, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "run_work", _never)
        studio = open_studio()
        job = studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"]
        in_state(studio, job, "running")
        studio.__exit__()
    record = tmp_path / "kept" / "jobs" / job / "job.json"
    assert json.loads(record.read_text())["state"] == "queued"
    record.write_text(record.read_text().replace("queued", "running"))  # as if it had been killed
    (tmp_path / "kept" / "jobs" / "strange").mkdir()
    (tmp_path / "kept" / "jobs" / "strange" / "job.json").write_text("{}")
    studio = open_studio()
    assert in_state(studio, job, "done", "failed")["state"] == "done"


async def _never(work: Work, *, progress: Any) -> dict[str, Any]:
    import asyncio

    await asyncio.sleep(3600)
    return {}
