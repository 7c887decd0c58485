"""Anchors of photographs over the API: what is refused, what is made, and how long it is served."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from newscaster.formats.anchor import AnchorFile
from newscaster.prepare.clips import PHOTO_SUFFIXES
from newscaster.server import jobs as jobs_module
from newscaster.server.photo_process import PhotoWork, photo_suffix
from newscaster.still.head_motion import HeadMotion
from newscaster.synthesis import photo_anchor
from studios import OpenStudio, opening, until
from synthetic_faces import anchor_frames

CONSENT = "who: Ada Byron\nfor: greetings on our site\nwhen: 2026-01-02"
FRAMES = 5
LONG_AGO = "who: Ada Byron\nfor: greetings\nwhen: 2020-01-02\nuntil: 2020-02-02"


@cache
def portrait() -> bytes:
    return encoded(anchor_frames(1)[0])


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.fixture
def resting(jobs_inside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in this process, and heads rest for a few frames."""
    monkeypatch.setattr(photo_anchor.HeadMotion, "generate", lambda **_: HeadMotion.rest(FRAMES))


def post(studio: TestClient, content: bytes | None = None, **query: Any) -> Any:
    query = {"name": "Ada", "consent": CONSENT, **query}
    return studio.post("/v1/jobs/photo", params=query, content=portrait() if content is None else content)


def ended(studio: TestClient, job: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: (state := studio.get(f"/v1/jobs/{job}").json())["state"] in ("done", "failed") and state
    )
    return found


@pytest.mark.usefixtures("resting")
def test_a_photograph_becomes_an_anchor_that_speaks(tiny: Path, wav: Path, tmp_path: Path) -> None:
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        (first,) = studio.get("/v1/anchors").json()
        reply = post(studio, motion="lively", blinks=False)
        assert reply.status_code == 202
        job = ended(studio, reply.json()["id"])
        assert (job["error"], job["state"], job["progress"]) == (None, "done", 1.0)
        assert job["title"] == "Ada"
        assert job["photo"] == {"consent": CONSENT, "motion": "lively", "blinks": False, "face": None}
        assert job["video"] is None
        assert job["captions"] is None
        kept, made = studio.get("/v1/anchors").json()
        assert kept == first
        assert (made["id"], made["name"]) == (job["anchor"], "Ada")
        assert made["consent"]["who"] == "Ada Byron"
        stored = tmp_path / "ada.anchor"
        stored.write_bytes(studio.get(job["anchor_file"]).content)
        assert AnchorFile(stored).info.target_frames == FRAMES
        assert studio.get(made["poster"]).headers["content-type"] == "image/jpeg"
        query = {"anchor": made["id"]}
        spoken = ended(
            studio, studio.post("/v1/jobs/audio", params=query, content=wav.read_bytes()).json()["id"]
        )
        assert (spoken["error"], spoken["anchor"]) == (None, made["id"])
    with opening(tiny, tmp_path / "kept") as open_studio:
        studio = open_studio()
        assert studio.get("/v1/anchors").json() == [first, made]
        assert studio.delete(f"/v1/jobs/{job['id']}").json()["state"] == "removed"
        assert studio.get("/v1/anchors").json() == [first]
        gone = studio.post("/v1/jobs/audio", params=query, content=wav.read_bytes())
        assert gone.status_code == 404


@pytest.mark.usefixtures("resting")
def test_a_photograph_without_a_face_fails_with_a_sentence(studio: TestClient, tmp_path: Path) -> None:
    job = ended(studio, post(studio, encoded(np.full((200, 200, 3), 90, np.uint8), "JPEG")).json()["id"])
    assert job["state"] == "failed"
    assert job["error"].startswith("no face was found in 'photo.jpg'. Give a photograph")
    assert job["anchor_file"] is None
    assert len(studio.get("/v1/anchors").json()) == 1
    assert studio.get(f"/v1/jobs/{job['id']}/anchor").status_code == 409


def test_photographs_that_are_refused(open_studio: OpenStudio, wav: Path) -> None:
    studio = open_studio(limits={"photo_bytes": 1 << 20})
    for query, content, status, message in (
        ({"consent": "no"}, None, 400, "consent is 'no': nothing is made without the person's consent"),
        ({"consent": LONG_AGO}, None, 400, "consent ended on 2020-02-02"),
        ({"consent": ""}, None, 422, "consent has 0 characters; expected 1 or more"),
        ({"name": " "}, None, 400, "name is empty"),
        ({"name": "a\x07"}, None, 400, "name is "),
        ({"motion": "wild"}, None, 422, "motion is 'wild'; expected "),
        ({"face": -1}, None, 422, "face is '-1'; expected 0 or more"),
        ({"seed": 1}, None, 422, "seed is not a field of this request"),
        ({}, b"", 415, "the file is empty. Choose another one: JPEG"),
        ({}, wav.read_bytes(), 415, "the file is of an unknown kind, not a photograph"),
        ({}, b"GIF89a" + bytes(20), 415, "the file is a GIF image, not a photograph"),
        ({}, portrait()[:9] + bytes(1 << 20), 413, "the request is "),
    ):
        reply = post(studio, content, **query)
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)
    assert studio.get("/v1/jobs").json() == []


def test_a_job_is_cancelled_and_reports_its_progress(
    studio: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[PhotoWork] = []

    async def run(work: PhotoWork, *, progress: Callable[..., None]) -> dict[str, Any]:
        begun.append(work)
        progress("", 150, 600)
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    job = post(studio, encoded(anchor_frames(1)[0], "JPEG"), face=1).json()["id"]
    (work,) = until(lambda: begun)
    assert [path.name for path in sorted(work.folder.iterdir())] == ["job.json", "photo.jpg"]
    state = until(lambda: (found := studio.get(f"/v1/jobs/{job}").json())["total"] and found)
    assert (state["progress"], state["photo"]["face"]) == (0.25, 1)
    assert studio.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert len(studio.get("/v1/anchors").json()) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_the_kind_follows_from_the_first_bytes(kind: str) -> None:
    suffix = photo_suffix(encoded(np.zeros((8, 8, 3), np.uint8), kind)[:12])
    assert suffix in PHOTO_SUFFIXES
