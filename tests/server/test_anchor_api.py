"""Checks of footage and trainings over the API: what is refused, what is made, and what a stop leaves."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from conftest import ClipMaker
from newscaster import pipelines
from newscaster.errors import FootageError
from newscaster.prepare.measure import graded
from newscaster.prepare.report import Report
from newscaster.server import jobs as jobs_module
from newscaster.server.footage_process import FootageWork
from studios import OpenStudio, opening, until

CONSENT = "who: Ada Byron\nfor: greetings on our site\nwhen: 2026-01-02"


def uploaded(studio: TestClient, make_clip: ClipMaker, *titles: str) -> list[str]:
    content = make_clip(frames=30).read_bytes()
    return [
        studio.post("/v1/videos", params={"title": title}, content=content).json()["id"] for title in titles
    ]


def ended(studio: TestClient, job: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: (state := studio.get(f"/v1/jobs/{job}").json())["state"] in ("done", "failed") and state
    )
    return found


@pytest.mark.usefixtures("jobs_inside")
def test_footage_is_checked(
    studio: TestClient, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = graded("usable", "Usable footage", 1.2, "s", "1 s", "poor", "", "'footage-1.mp4' is short.")

    def check(footage: list[Path], *, face: int | None, progress: Callable[..., None]) -> Report:
        assert all(path.is_file() for path in footage)
        assert face == 1
        progress("check", 1, 2)
        return Report((short,), (), ("'footage-0.mp4': no speech",), 1.0, 2.4, (Image.new("RGB", (8, 8)),))

    monkeypatch.setattr(pipelines, "check", check)
    videos = uploaded(studio, make_clip, "first.mp4", 'sec"ond.mp4')
    job = studio.post("/v1/jobs/check", json={"videos": videos, "face": 1}).json()
    assert job["footage"]["titles"] == ["first.mp4", 'sec"ond.mp4']
    job = ended(studio, job["id"])
    assert (job["error"], job["video"], job["anchor_file"]) == (None, None, None)
    report = studio.get(job["report"]).json()
    assert report["headline"].startswith("An anchor can be made from it")
    assert report["measures"][0]["advice"] == "'sec\"ond.mp4' is short."
    assert report["notes"] == ["'first.mp4': no speech"]
    folder = tmp_path / "kept" / "jobs" / job["id"]
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "preview.png", "report.json"]
    assert studio.get(f"/v1/jobs/{job['id']}/training").status_code == 404


@pytest.mark.usefixtures("jobs_inside")
def test_an_anchor_is_trained_and_served(
    tiny: Path, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}

    def train(footage: list[Path], out: Path, *, work: Path, **options: Any) -> Path:
        asked.update(options)
        run = work / "rendering-0123456789ab"
        run.mkdir(parents=True)
        (run / "progress.csv").write_text("step,minutes,psnr\n10,1,\n20,2.1,27.346\n30,2.2,\n")
        Image.new("RGB", (8, 8)).save(run / "preview.png")
        options["progress"]("rendering", 0.5, 1.0)
        shutil.copyfile(tiny, out)
        return out

    monkeypatch.setattr(pipelines, "train", train)
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        videos = uploaded(studio, make_clip, "a.mp4")
        new = {"videos": videos, "name": " Ada ", "consent": CONSENT, "minutes": 0, "renderer": "reference"}
        job = studio.post("/v1/jobs/train", json=new).json()
        job = ended(studio, job["id"])
        assert (job["error"], job["title"], job["progress"]) == (None, "Ada", 1.0)
        assert {name: asked[name] for name in ("consent", "name", "minutes", "renderer", "face")} == {
            "consent": CONSENT,
            "name": "Ada",
            "minutes": 0,
            "renderer": "reference",
            "face": None,
        }
        assert job["anchor"] in [anchor["id"] for anchor in studio.get("/v1/anchors").json()]
        shown = studio.get(job["training"]).json()
        assert shown["held_out"] == {"minutes": 2.1, "psnr_db": 27.35}
        assert studio.get(shown["preview"]).headers["content-type"] == "image/png"
        assert studio.get(job["anchor_file"]).content == tiny.read_bytes()
        folder = tmp_path / "kept" / "jobs" / job["id"]
        names = ["figures.json", "job.json", "made.anchor", "preview.png"]  # no footage is left
        assert sorted(path.name for path in folder.iterdir()) == names
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        assert job["anchor"] in [anchor["id"] for anchor in studio.get("/v1/anchors").json()]
        assert studio.delete(f"/v1/jobs/{job['id']}").json()["state"] == "removed"
        assert job["anchor"] not in [anchor["id"] for anchor in studio.get("/v1/anchors").json()]


def test_a_stopped_training_goes_on_and_a_cancelled_one_leaves_nothing(
    tiny: Path, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun: list[list[str]] = []

    async def run(work: FootageWork, *, progress: Callable[..., None]) -> dict[str, Any]:
        begun.append(sorted(path.name for path in work.folder.iterdir()))
        (work.folder / "work").mkdir(exist_ok=True)
        progress("motion", 500, 1000)
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        videos = uploaded(studio, make_clip, "a.mp4", "b.mp4")
        new = {"videos": videos, "name": "Ada", "consent": CONSENT}
        job = studio.post("/v1/jobs/train", json=new).json()["id"]
        until(lambda: studio.get(f"/v1/jobs/{job}").json()["total"])
        assert studio.get(f"/v1/jobs/{job}").json()["progress"] == pytest.approx(0.275)
        assert studio.get(f"/v1/jobs/{job}/training").json() == {"held_out": None, "preview": None}
        assert studio.get(f"/v1/jobs/{job}/preview").status_code == 404
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        until(lambda: len(begun) == 2)
        assert begun == [
            ["footage-0.mp4", "footage-1.mp4", "job.json"],
            ["footage-0.mp4", "footage-1.mp4", "job.json", "work"],
        ]
        assert studio.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
        folder = tmp_path / "kept" / "jobs" / job
        until(lambda: [path.name for path in folder.iterdir()] == ["job.json"])


@pytest.mark.usefixtures("jobs_inside")
def test_a_failed_training_names_the_footage(
    studio: TestClient, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(footage: list[Path], out: Path, **options: Any) -> Path:
        raise FootageError(f"no face was found in '{footage[0]}'")

    monkeypatch.setattr(pipelines, "train", train)
    videos = uploaded(studio, make_clip, "a.mp4")
    new = {"videos": videos, "name": "Ada", "consent": CONSENT}
    job = ended(studio, studio.post("/v1/jobs/train", json=new).json()["id"])
    assert (job["state"], job["error"]) == ("failed", "no face was found in 'footage-0.mp4'")


def test_trainings_that_are_refused(open_studio: OpenStudio, make_clip: ClipMaker) -> None:
    studio = open_studio(limits={"training_minutes": 60.0})
    videos = uploaded(studio, make_clip, "a.mp4")
    good = {"videos": videos, "name": "Ada", "consent": CONSENT}
    for change, status, message in (
        ({"videos": []}, 422, "videos has 0 entries; expected 1 or more"),
        ({"videos": ["none"]}, 404, "there is no video 'none'"),
        ({"consent": "no"}, 400, "consent is 'no': nothing is made without the person's consent"),
        ({"name": " "}, 400, "name is empty"),
        ({"minutes": 61}, 400, "minutes is 61; the maximum is 60"),
        ({"minutes": 0}, 400, "minutes is 0, but the renderer unet needs training."),
        ({"minutes": -1}, 422, "minutes is -1; expected 0 or more"),
        ({"renderer": "other"}, 422, "renderer is 'other'; expected 'unet' or 'reference'"),
        ({"seed": 1}, 422, "seed is not a field of this request"),
    ):
        reply = studio.post("/v1/jobs/train", json={**good, **change})
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)
    assert studio.get("/v1/jobs").json() == []
