from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from fresh_python import environment
from newscaster import media
from newscaster.errors import OutputError
from newscaster.server import job_process
from newscaster.server import jobs as jobs_module
from newscaster.server.anchor_registry import reading_for
from newscaster.server.job_process import Work
from newscaster.speech.spoken import Pronunciations
from newscaster.speech.voices import Reading
from studios import OpenStudio, until


def in_state(studio: TestClient, job: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = studio.get(f"/v1/jobs/{job}").json()
        return found if found["state"] in states else None

    found: dict[str, Any] = until(look)
    return found


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """Jobs that start and never end, unless they are cancelled."""
    import asyncio

    begun: list[Work] = []

    async def run(work: Work, *, progress: Any) -> dict[str, Any]:
        begun.append(work)
        progress("", 10, 40)
        (work.video.parent / ".video.0123abcd.part.mp4").write_bytes(b"half")
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    return begun


def test_a_job_from_audio_to_its_video(studio: TestClient, wav: Path, tmp_path: Path) -> None:
    reply = studio.post(
        "/v1/jobs/audio", params={"openness": 1.1, "title": "../../x"}, content=wav.read_bytes()
    )
    assert reply.status_code == 202
    job = reply.json()["id"]
    done = in_state(studio, job, "done", "failed")
    assert (done["error"], done["title"]) == (None, "../../x")
    assert (done["progress"], done["frames"], done["seconds"]) == (1.0, 32, 1.3)
    assert done["notes"] == []
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


@pytest.mark.slow
def test_a_job_whose_audio_contains_no_speech_warns(studio: TestClient, tmp_path: Path) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.05, 24_000).astype(np.float32)
    media.write_wav(tmp_path / "hiss.wav", hiss, 16_000)
    job = studio.post("/v1/jobs/audio", content=(tmp_path / "hiss.wav").read_bytes()).json()["id"]
    done = in_state(studio, job, "done", "failed")
    assert done["state"] == "done"
    (warning,) = done["notes"]
    assert warning.startswith("no speech detected in the audio of 'sound.wav' (0.0 of 1.5 s)")


@pytest.mark.slow
def test_a_job_from_a_script_has_captions(studio: TestClient) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    job = studio.post("/v1/jobs", json={"text": "Good evening.\n\nHere is the news."}).json()
    assert job["title"] == "Good evening. Here is the news."
    done = in_state(studio, job["id"], "done", "failed")
    assert done["error"] is None
    assert "Here is the news." in studio.get(done["captions"]).text


def test_a_job_that_fails_has_a_reason(studio: TestClient, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"

    media.write_wav(quiet, np.zeros(16_000, np.float32), 16_000)
    job = studio.post("/v1/jobs/audio", content=quiet.read_bytes()).json()["id"]
    failed = in_state(studio, job, "done", "failed")
    assert failed["state"] == "failed"
    assert "is silent" in failed["error"]
    assert str(tmp_path) not in failed["error"]
    assert studio.get(f"/v1/jobs/{job}/video").status_code == 409


def test_jobs_that_are_refused(studio: TestClient, wav: Path) -> None:
    for options in (
        {"text": ""},
        {"text": "..."},
        {"text": "a" * 200_001},
        {"text": "Hi.", "voice": "/x.onnx"},
    ):
        reply = studio.post("/v1/jobs", json=options)
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
    assert reply.json()["error"].startswith("2 jobs are queued or running, the maximum")
    assert studio.delete(f"/v1/jobs/{first}").json()["state"] == "cancelled"
    in_state(studio, second, "running")
    assert in_state(studio, first, "cancelled")
    assert not list((tmp_path / "kept" / "jobs" / first).glob(".*"))
    assert len(stuck) == 2


@pytest.mark.slow
def test_unfinished_jobs_resume(
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


def test_one_studio_at_a_time_in_a_folder(
    open_studio: OpenStudio, stuck: list[Work], wav: Path, tmp_path: Path
) -> None:
    """Jobs of a running studio are not resumed, and none of its files are removed."""
    studio = open_studio()
    jobs = [studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"] for _ in range(2)]
    until(lambda: list((tmp_path / "kept" / "jobs" / jobs[0]).glob(".*.part.mp4")))
    (tmp_path / "kept" / "uploads" / "coming.wav").write_bytes(b"half")
    (tmp_path / "kept" / "recordings" / ".x.0123abcd.part.mp4").write_bytes(b"half")
    before = contents(tmp_path / "kept")
    with pytest.raises(OutputError, match=r"another studio is at work in '.*kept' \(.*--data-dir"):
        open_studio()
    assert contents(tmp_path / "kept") == before
    assert len(stuck) == 1
    studio.__exit__()
    studio = open_studio()
    in_state(studio, jobs[0], "running")
    assert not list((tmp_path / "kept" / "recordings").iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the record that its owner renews."""
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".owner.json"
    }


def test_a_studio_whose_folder_was_taken_over_writes_no_record(
    open_studio: OpenStudio, stuck: list[Work], wav: Path, tmp_path: Path
) -> None:
    """A studio that was suspended, while another machine resumed its jobs."""
    studio = open_studio()
    job = studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"]
    in_state(studio, job, "running")
    owner = tmp_path / "kept" / ".owner.json"
    other = {**json.loads(owner.read_text()), "token": "other", "host": "elsewhere", "pid": 7}
    owner.write_bytes(json.dumps(other).encode().ljust(1023) + b"\n")
    record = tmp_path / "kept" / "jobs" / job / "job.json"
    record.write_text(record.read_text().replace("running", "done"))  # as written by the other one
    studio.__exit__()
    assert json.loads(record.read_text())["state"] == "done"
    assert json.loads(owner.read_text())["token"] == "other"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
def test_a_job_ends_with_its_studio_whatever_it_is_doing(tmp_path: Path) -> None:
    """Also before its first frame, when no progress is sent."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    until(lambda: not _runs(child))
    process.stdout.close()


_PARENT = """
import multiprocessing, sys, time
from newscaster.server import job_process

def work(lifeline):
    import threading
    threading.Thread(target=job_process._end_with_parent, daemon=True).start()
    time.sleep(3600)

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    process = context.Process(target=work, args=(None,), daemon=True)
    process.start()
    print(process.pid, flush=True)
    time.sleep(3600)
"""


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait to be asked how."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, ValueError):
        return False


def test_jobs_resume_in_order_of_arrival(open_studio: OpenStudio, stuck: list[Work], wav: Path) -> None:
    """Also those of the same second."""
    studio = open_studio()
    jobs = [studio.post("/v1/jobs/audio", content=wav.read_bytes()).json()["id"] for _ in range(8)]
    studio.__exit__()
    studio = open_studio()
    assert [job["id"] for job in studio.get("/v1/jobs").json()] == jobs[::-1]


def a_work(folder: Path) -> Work:
    return Work(
        anchor=folder / "x.anchor",
        backend=None,
        source=folder / "script.txt",
        video=folder / "video.mp4",
        captions=None,
        voice=None,
        speed=1.0,
        openness=1.0,
        smoothness=1.0,
    )


_context = multiprocessing.get_context


def _killed(work: Work, parent: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _crashed(work: Work, parent: Any) -> None:
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def _exited(work: Work, parent: Any) -> None:
    os._exit(3)


def _failed(work: Work, parent: Any) -> None:
    parent.send({"state": "failed", "error": "it failed. The studio's log", "traceback": "Traceback: x"})


async def _never(work: Work, *, progress: Any) -> dict[str, Any]:
    import asyncio

    await asyncio.sleep(3600)
    return {}


@pytest.mark.slow
def test_a_job_names_skipped_parts_and_its_real_cause(studio: TestClient, tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    mixed = "\x1b[1m<b>Good</b>\u202e evening. Добрый вечер. The number is " + "1" * 37 + "."
    for text, state in ((mixed, "done"), ("Добрый вечер.", "failed")):
        job = studio.post("/v1/jobs", json={"text": text, "voice": "hibari"}).json()
        done = in_state(studio, job["id"], "done", "failed")
        assert done["state"] == state, done
        if state == "done":
            assert job["title"].startswith("Good evening. Добрый")
            assert [note[:20] for note in done["notes"]] == [
                "the text has mark-up",
                "the text has control",
                "sentence 2, line 1, ",
            ]
        else:
            assert done["error"].startswith("the voice 'hibari' does not read Cyrillic, and 1 of 1 sentences")
    assert studio.post("/v1/jobs", json={"text": "<break/>"}).status_code == 400
    records = [json.loads(path.read_text()) for path in (tmp_path / "kept" / "jobs").glob("*/job.json")]
    assert sorted(record["state"] for record in records) == ["done", "failed"]


def test_a_bug_in_a_jobs_process_is_its_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("list index\n\x1b out of range")

    sent: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("newscaster.synthesis.anchor.Anchor.open", fail)
        patch.setattr(job_process.signal, "signal", lambda *_: None)
        patch.setattr(job_process.os, "nice", lambda _: None, raising=False)
        patch.setattr(job_process, "_end_with_parent", lambda: None)
        job_process._do(a_work(tmp_path), types.SimpleNamespace(send=sent.append))  # type: ignore[arg-type]
    (result,) = sent
    assert result["state"] == "failed"
    assert result["error"].startswith(
        r"newscaster failed (IndexError: list index \x1b out of range). The log of the studio"
    )
    assert "Traceback (most recent call last)" in result["traceback"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (_killed, "the worker process was killed (often out of memory)"),
        (_crashed, "the worker process was ended by signal SIGSEGV: it was stopped, or native code crashed"),
        (_exited, "the worker process ended early, with exit code 3"),
        (_failed, "it failed. The studio's log"),
    ],
)
def test_the_end_of_a_worker_process_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: Any, expected: str
) -> None:
    import threading

    monkeypatch.setattr(job_process, "_do", end)
    monkeypatch.setattr(job_process.multiprocessing, "get_context", lambda _: _context("fork"))
    result = job_process._watch(a_work(tmp_path), threading.Event(), lambda *_: None)
    assert result == {"state": "failed", "error": result["error"]}
    assert result["error"].startswith(expected)
    assert ("in the worker process" in caplog.text) == (end is _failed)


def test_a_job_that_outlives_its_studio_prints_one_line(tiny: Path, wav: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from multiprocessing import Pipe\n"
        "from pathlib import Path\n"
        "from newscaster.server.job_process import Work, _do\n"
        "anchor, source, video = map(Path, sys.argv[1:])\n"
        "ours, theirs = Pipe(duplex=False)\n"
        "ours.close()\n"
        "common = dict(backend=None, captions=None, voice=None, speed=1.0, openness=1.0, smoothness=1.0)\n"
        "_do(Work(anchor=anchor, source=source, video=video, **common), theirs)\n"
    )
    command = [sys.executable, "-c", code, tiny, wav, tmp_path / "video.mp4"]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=100, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "warning: the studio is gone, so its job ends; the next studio restarts it\n"
    assert not (tmp_path / "video.mp4").exists()


def test_jobs_and_sessions_have_the_studios_pronunciations(
    open_studio: OpenStudio, stuck: list[Work]
) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    words = Pronunciations({"WHO": "the health body"})
    studio = open_studio(pronunciations=words)
    studio.post("/v1/jobs", json={"text": "The WHO."})
    until(lambda: stuck)
    assert stuck[0].pronunciations == words
    assert reading_for("x", voice="hibari", speed=1, installed=("hibari",), pronunciations=words) == Reading(
        voice="hibari", pronunciations=words
    )
