"""Uploaded videos: what is refused before anything is made of it, and how many are kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from conftest import ClipMaker
from newscaster.server import jobs
from newscaster.server.video_upload import video_suffix
from studios import OpenStudio, until


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\0\0\0\x18ftypisom", ".mp4"),
        (b"\0\0\0\x18ftypqt  ", ".mov"),
        (b"\0\0\0\x08wide\0\0\0\0", ".mov"),
        (b"\0\0\0\x18ftypM4A ", None),
        (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\0", ".mkv"),
        (b"RIFF\0\0\0\0AVI ", ".avi"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\0\0\x01\xba\x44\0\x04\0\x04\x01\0\0", ".mpg"),
        (b"G\x40\x11\x10\0\x42\xf0\x25\0\x01\xc1\0", ".ts"),
        (b"\0\0\0\0G\x40\x11\x10\0\x42\xf0\x25", ".m2ts"),
        (b"Good evening", None),
        (b"GIF89a\x10\0\x10\0\xf7\0", None),
        (b"#EXTM3U\n#EXT", None),
        (b"", None),
    ],
)
def test_the_kind_follows_from_the_first_bytes(head: bytes, suffix: str | None) -> None:
    assert video_suffix(head) == suffix


def test_a_video_is_stored_and_removed(studio: TestClient, make_clip: ClipMaker, tmp_path: Path) -> None:
    content = make_clip(frames=30).read_bytes()
    reply = studio.post("/v1/videos", params={"title": "../\x1bx.mp4"}, content=content)
    assert reply.status_code == 201
    video = reply.json()
    assert video == {
        "id": video["id"],
        "title": "../x.mp4",
        "width": 96,
        "height": 64,
        "fps": 25.0,
        "seconds": 1.2,
        "has_audio": True,
        "bytes": len(content),
    }
    assert studio.get("/v1/videos").json() == [studio.get(f"/v1/videos/{video['id']}").json()] == [video]
    kept = tmp_path / "kept"
    assert not list((kept / "uploads").iterdir())
    assert [path.name for path in (kept / "videos" / video["id"]).iterdir()] == ["video.mp4"]
    assert studio.delete(f"/v1/videos/{video['id']}").status_code == 204
    assert studio.get(f"/v1/videos/{video['id']}").status_code == 404
    assert not list((kept / "videos").iterdir())


def test_what_is_no_video(studio: TestClient, make_clip: ClipMaker, wav: Path, tmp_path: Path) -> None:
    clip = make_clip(frames=30).read_bytes()
    for content, status, message in (
        (b"", 415, "the file is empty. Choose another one: MP4, MOV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 415, "the file is a PNG image, not a video"),
        (b"Good evening, and welcome.", 415, "the file is a text, not a video"),
        (wav.read_bytes(), 415, "the file is of an unknown kind, not a video"),
        (clip[: len(clip) // 2], 415, "the file is cut short: it lacks"),
        (b"\0\0\0\x18ftypisom" + bytes(500), 415, "the file cannot be read as video: it is damaged"),
        (make_clip(frames=10, name="short.mp4").read_bytes(), 400, "the video is 0.40 s long; expected 1 s"),
    ):
        reply = studio.post("/v1/videos", content=content)
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)
    assert studio.get("/v1/videos").json() == []
    assert not list((tmp_path / "kept" / "uploads").iterdir())


def test_limits(open_studio: OpenStudio, make_clip: ClipMaker) -> None:
    content = make_clip(frames=50).read_bytes()
    studio = open_studio(limits={"video_bytes": len(content) - 1})
    for body in (content, iter([content])):  # with and without Content-Length
        reply = studio.post("/v1/videos", content=body)
        assert reply.status_code == 413
        assert "larger than" in reply.json()["error"]
    studio.__exit__()
    studio = open_studio(limits={"video_seconds": 1.5})
    assert studio.post("/v1/videos", content=content).json()["error"].startswith("the video is 2 s long; the")
    studio.__exit__()
    studio = open_studio(limits={"videos": 1, "upload_bytes": 10})
    assert studio.post("/v1/videos", content=content).status_code == 201
    reply = studio.post("/v1/videos", content=content)
    assert reply.status_code == 429
    assert reply.json()["error"] == "1 uploaded videos are stored, the maximum. Remove one"


async def never(*_: Any, **__: Any) -> dict[str, Any]:
    await asyncio.sleep(3600)
    return {}


def test_disk_space_counts_each_video_once(
    open_studio: OpenStudio, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job shares the content of its video with the upload."""
    content = make_clip(frames=50).read_bytes()
    studio = open_studio(limits={"stored_upload_bytes": 2 * len(content) + 20_000})
    monkeypatch.setattr(jobs, "run_work", never)
    video = studio.post("/v1/videos", content=content).json()["id"]
    for _ in range(3):
        assert studio.post("/v1/jobs/dub", json={"video": video}).status_code == 202
    assert studio.post("/v1/videos", content=content).status_code == 201
    reply = studio.post("/v1/videos", content=content)
    assert reply.status_code == 507
    assert "Remove jobs and uploaded videos" in reply.json()["error"]


def test_an_unused_video_is_removed_unless_a_job_needs_it(
    open_studio: OpenStudio, make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    studio = open_studio(limits={"video_idle_seconds": 0.2})
    needed: set[str] = set()
    monkeypatch.setattr(studio.app.state.studio.videos, "_is_needed", needed.__contains__)  # type: ignore[attr-defined]
    first, second = (
        studio.post("/v1/videos", content=make_clip(frames=30).read_bytes()).json()["id"] for _ in range(2)
    )
    needed.add(second)
    folder = tmp_path / "kept" / "videos"
    until(lambda: not (folder / first).exists())
    assert (folder / second).exists()
    needed.clear()
    until(lambda: not (folder / second).exists())


def test_a_studio_starts_without_videos(
    open_studio: OpenStudio, make_clip: ClipMaker, tmp_path: Path
) -> None:
    studio = open_studio()
    video = studio.post("/v1/videos", content=make_clip(frames=30).read_bytes()).json()["id"]
    studio.__exit__()
    studio = open_studio()
    assert not list((tmp_path / "kept" / "videos").iterdir())
    reply = studio.get(f"/v1/videos/{video}")
    assert reply.status_code == 404
    assert reply.json()["error"].endswith("Upload it: POST /v1/videos")
