"""Jobs that are cancelled, removed or interrupted, in every state and on every disk: the queue goes on."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from newscaster.errors import OutputError
from newscaster.server import job_store
from newscaster.server import jobs as jobs_module
from newscaster.server.anchor_registry import Library
from newscaster.server.job_process import Work
from newscaster.server.jobs import JobQueue
from newscaster.server.settings import Limits
from studios import OpenStudio, until, until_more_is_shown

PATIENCE_SECONDS = 60


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of jobs whose process has ended: it runs until it is cancelled, and ends a while later."""
    ended: list[Path] = []

    async def run(work: Work, *, progress: Any) -> dict[str, Any]:
        if "short" in work.source.read_text():
            return {"state": "done", "seconds": 1.0}
        progress("", 1, 2)
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)
            ended.append(work.source.parent)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    return ended


def test_a_job_that_is_removed_while_it_is_being_cancelled(
    open_studio: OpenStudio, ended: list[Path], tmp_path: Path
) -> None:
    studio = open_studio()
    first = studio.post("/v1/jobs", json={"text": "A long one."}).json()["id"]
    until(lambda: studio.get(f"/v1/jobs/{first}").json()["progress"])
    assert studio.delete(f"/v1/jobs/{first}").json()["state"] == "cancelled"
    assert studio.delete(f"/v1/jobs/{first}").json()["state"] == "removed"
    folder = tmp_path / "kept" / "jobs" / first
    assert ended == [folder]  # nothing writes to it any more
    assert not folder.exists()
    assert studio.delete(f"/v1/jobs/{first}").status_code == 404
    second = studio.post("/v1/jobs", json={"text": "A short one."}).json()["id"]
    until(lambda: studio.get(f"/v1/jobs/{second}").json()["state"] == "done")


def test_jobs_on_a_full_disk(
    open_studio: OpenStudio, ended: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_studio()
    texts = ("A long one.", "Another long one.")
    running, queued = (studio.post("/v1/jobs", json={"text": text}).json()["id"] for text in texts)
    until(lambda: studio.get(f"/v1/jobs/{running}").json()["progress"])

    def full(path: Path) -> None:
        raise OutputError(f"cannot write '{path}' (No space left on device)") from OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(job_store, "atomic_write", full)
        for job in (queued, running):  # the one that fills the disk can be cancelled
            assert studio.delete(f"/v1/jobs/{job}").json() == {"id": job, "state": "cancelled"}
        refused = studio.post("/v1/jobs", json={"text": "A short one."})
        assert refused.status_code == 507
        assert refused.json()["error"].startswith("the studio's disk is full: there is no room for a job.")
    until(lambda: len(ended) == 1)
    third = studio.post("/v1/jobs", json={"text": "A short one."}).json()["id"]
    until(lambda: studio.get(f"/v1/jobs/{third}").json()["state"] == "done")
    assert [job["state"] for job in studio.get("/v1/jobs").json()] == ["done", "cancelled", "cancelled"]


def test_a_queue_stops_if_the_folder_of_its_job_is_gone(
    tiny: Path, tmp_path: Path, ended: list[Path]
) -> None:
    async def run() -> None:
        queue = JobQueue(tmp_path / "jobs", Library([str(tiny)]), Limits())
        job = queue.add_script("A long one.", anchor="tiny")
        queue.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not queue.get(job.id).frames:
                await asyncio.sleep(0.01)
            shutil.rmtree(tmp_path / "jobs" / job.id)
            await queue.stop()

    asyncio.run(run())
    assert len(ended) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"created": 5},
        {"state": "lost"},
        {"frames": "many"},
        {"title": None},
        {"source": "../../another/script.txt"},
        {"speed": [1]},
        {"notes": 7},
        {"later": "field"},
        "[" * 100_000,
        "null",
        "",
    ],
    ids=lambda change: str(change)[:20],
)
def test_records_that_cannot_be_used(
    tiny: Path, tmp_path: Path, change: dict[str, Any] | str, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library([str(tiny)])
    first, second = (
        JobQueue(tmp_path / "jobs", library, Limits()).add_script("Hi.", anchor="tiny") for _ in range(2)
    )
    record = tmp_path / "jobs" / first.id / "job.json"
    changed = change if isinstance(change, str) else json.dumps({**json.loads(record.read_text()), **change})
    record.write_text(changed)
    queue = JobQueue(tmp_path / "jobs", library, Limits())
    assert [job.to_json()["id"] for job in queue.list()] == [second.id]
    assert "is not a job of this version; it is ignored" in caplog.text
    assert record.read_text() == changed


def test_deleted_folders_are_created_again(open_studio: OpenStudio, wav: Path, tmp_path: Path) -> None:
    studio = open_studio()
    for name in ("uploads", "jobs", "recordings"):
        (tmp_path / "kept" / name).rmdir()
    assert studio.post("/v1/check/audio", content=wav.read_bytes()).json() == {"seconds": 1.3}
    job = studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"]
    until(lambda: studio.get(f"/v1/jobs/{job}").json()["state"] == "done")
    session = studio.post("/v1/sessions", json={}).json()["id"]
    path = f"/v1/sessions/{session}"
    assert studio.post(f"{path}/recording").status_code == 201
    until_more_is_shown(studio, session)
    assert studio.post(f"{path}/recording/stop").json()["remark"] is None


def test_an_upload_that_the_disk_has_no_room_for(
    open_studio: OpenStudio, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("newscaster.server.speech_upload.write_body", full)
    reply = open_studio().post("/v1/check/audio", content=wav.read_bytes())
    assert reply.status_code == 507
    assert reply.json()["error"].startswith("the studio's disk is full: there is no room for the audio file.")
    assert not list((tmp_path / "kept" / "uploads").iterdir())
