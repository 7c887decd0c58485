"""Dubs over the API: what is refused before it is queued, what reaches the worker, and what comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import newscaster
from conftest import ClipMaker
from newscaster import media
from newscaster.server import jobs as jobs_module
from newscaster.server.dub_process import DubWork
from newscaster.server.job_record import read_record
from newscaster.synthesis.dub_options import DubOptions
from person_videos import write_person_video
from studios import opening, until

CAPTIONS = "1\n00:00:00,100 --> 00:00:00,900\nGood evening.\n"


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[DubWork]:
    """Jobs that start and never end, unless they are cancelled."""
    begun: list[DubWork] = []

    async def run(work: DubWork, *, progress: Any) -> dict[str, Any]:
        begun.append(work)
        progress("track", 10, 40)
        progress("render", 10, 40)
        await asyncio.sleep(3600)
        return {}

    monkeypatch.setattr(jobs_module, "run_work", run)
    return begun


@pytest.fixture
def video(studio: TestClient, make_clip: ClipMaker) -> str:
    """The id of an uploaded video of 2 s with audio."""
    reply = studio.post("/v1/videos?title=clip.mp4", content=make_clip(frames=50).read_bytes())
    return str(reply.json()["id"])


def test_what_reaches_the_worker(
    studio: TestClient, stuck: list[DubWork], video: str, tmp_path: Path
) -> None:
    options = {"fit": "shortest", "extend": "loop", "mix": -18, "face": 1, "from": 0.5, "to": 1.5}
    reply = studio.post("/v1/jobs/dub", json={"video": video, "captions": CAPTIONS, "speed": 1.2, **options})
    assert reply.status_code == 202
    job = reply.json()
    assert job["title"] == "clip.mp4"
    assert job["dub"] == {**options, "preview": False, "preview_at": None, "video_id": video}
    (work,) = until(lambda: stuck)
    folder = tmp_path / "kept" / "jobs" / job["id"]
    assert {path.name for path in folder.iterdir()} == {"job.json", "original.mp4", "cues.srt"}
    assert work.job.dub.to_options(script=work._script, cache=work.cache) == DubOptions(  # type: ignore[union-attr]
        fit="shortest",
        extend="loop",
        mix_db=-18.0,
        face=1,
        start_seconds=0.5,
        stop_seconds=1.5,
        script=folder / "cues.srt",
        cache=tmp_path / "kept" / "videos" / video / "tracks",
    )
    assert work._speech is None
    assert work._style.reading is not None
    assert work._style.reading.speed == 1.2
    state = until(lambda: (found := studio.get(f"/v1/jobs/{job['id']}").json())["phase"] and found)
    assert (state["phase"], state["frames"], state["progress"]) == ("render", 10, 0.625)
    assert read_record(folder / "job.json").dub == work.job.dub


def test_a_dub_has_its_name_strap(studio: TestClient, stuck: list[DubWork], video: str, wav: Path) -> None:
    strap = {"strap_title": "Jane Doe", "strap_subtitle": "Newsroom"}
    job = studio.post("/v1/jobs/dub", json={"video": video, **strap}).json()
    assert {name: job[name] for name in strap} == strap
    (work,) = until(lambda: stuck)
    assert (work._style.title, work._style.subtitle) == ("Jane Doe", "Newsroom")
    audio = studio.post(
        "/v1/jobs/dub/audio", params={"video": video, "strap_title": "Eve"}, content=wav.read_bytes()
    )
    assert (audio.json()["strap_title"], audio.json()["strap_subtitle"]) == ("Eve", None)
    for body, message in (
        ({"strap_subtitle": "x"}, "a subtitle is given without a title"),
        ({"strap_title": "生成"}, "the title '生成' has characters that cannot be drawn"),
    ):
        reply = studio.post("/v1/jobs/dub", json={"video": video, **body})
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (400, message)


def test_text_audio_captions_or_the_videos_own_audio(
    studio: TestClient, stuck: list[DubWork], video: str, wav: Path
) -> None:
    sources = []
    for body in ({"text": "Good evening."}, {"captions": f"WEBVTT\n\n{CAPTIONS}"}, {}):
        job = studio.post("/v1/jobs/dub", json={"video": video, **body}).json()
        sources.append(stuck_job(studio, stuck, job["id"]))
    audio = studio.post(
        "/v1/jobs/dub/audio", params={"video": video, "to": 1, "preview": True}, content=wav.read_bytes()
    )
    assert audio.status_code == 202
    sources.append(stuck_job(studio, stuck, audio.json()["id"]))
    assert sources == [
        ("script.txt", None, True),
        (None, "cues.vtt", True),
        (None, None, False),
        ("sound.wav", None, False),
    ]
    work = stuck[-1]
    assert work.job.dub is not None
    assert (work.job.dub.stop_seconds, work.job.dub.preview) == (1.0, True)


def stuck_job(studio: TestClient, stuck: list[DubWork], job: str) -> tuple[str | None, str | None, bool]:
    """Cancel a job that has started; return its speech, its captions, and whether it is read aloud."""
    work = until(lambda: next((work for work in stuck if work.job.id == job), None))
    studio.delete(f"/v1/jobs/{job}")
    names = [None if path is None else path.name for path in (work._speech, work._script)]
    return names[0], names[1], work._style.reading is not None


def test_dubs_that_are_refused(studio: TestClient, video: str, make_clip: ClipMaker, wav: Path) -> None:
    mute = studio.post("/v1/videos", content=make_clip(frames=30, audio=False).read_bytes()).json()["id"]
    overlapping = CAPTIONS + "\n2\n00:00:00,500 --> 00:00:01,500\nThe news.\n"
    for body, status, message in (
        ({"video": "x", "text": "Hi."}, 404, "there is no video 'x'"),
        ({"video": mute}, 400, "the video has no audio that its lips could follow"),
        ({"text": "Hi.", "captions": CAPTIONS}, 400, "text and captions are given; expected one of them"),
        ({"text": "..."}, 400, "the text contains no word to speak"),
        ({"text": "a" * 200_001}, 413, "the text has 200,001 characters"),
        ({"captions": "no captions"}, 400, "the caption file has 'no captions' where a caption"),
        ({"captions": overlapping}, 400, "caption 2 of the caption file starts at"),
        ({"text": "Hi.", "from": 2}, 400, "from is 2 s, and the video has 2 s; expected less"),
        ({"text": "Hi.", "preview_at": 9}, 400, "preview_at is 9 s, and the video has 2 s"),
        ({"text": "Hi.", "from": 1.5, "to": 1}, 400, "the part from 1.5 s to 1 s is empty"),
        ({"text": "Hi.", "mix": 99}, 422, "mix is 99; expected 12 or less"),
        ({"text": "Hi.", "fit": "best"}, 422, "fit is 'best'; expected 'video', 'speech' or 'shortest'"),
        ({"text": "Hi.", "face": -1}, 422, "face is -1; expected 0 or more"),
        ({"text": "Hi.", "background": "blue"}, 422, "background is not a field of this request"),
        ({"text": "Hi.", "anchor": "no-one"}, 404, "there is no anchor"),
        ({"text": "Hi.", "voice": "/x"}, 404, "there is no voice"),
    ):
        reply = studio.post("/v1/jobs/dub", json={"video": video, **body})
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)
    for query, content in (({"video": "x"}, wav.read_bytes()), ({"video": video}, b"no audio")):
        assert studio.post("/v1/jobs/dub/audio", params=query, content=content).status_code in (404, 415)
    assert studio.get("/v1/jobs").json() == []


def test_infinite_numbers_are_refused(studio: TestClient, video: str) -> None:
    body = json.dumps({"video": video, "text": "Hi.", "to": float("inf")})
    reply = studio.post("/v1/jobs/dub", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 422
    assert reply.json()["error"].startswith("to is Infinity; expected a finite number")


def test_a_dub_is_cancelled_and_keeps_its_video(
    studio: TestClient, stuck: list[DubWork], video: str, tmp_path: Path
) -> None:
    job = studio.post("/v1/jobs/dub", json={"video": video}).json()["id"]
    until(lambda: stuck)
    assert studio.delete(f"/v1/videos/{video}").status_code == 204
    original = tmp_path / "kept" / "jobs" / job / "original.mp4"
    assert media.probe(original).video is not None
    for name in ("video", "original", "report"):
        assert studio.get(f"/v1/jobs/{job}/{name}").status_code == 409
    assert studio.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert studio.delete(f"/v1/jobs/{job}").json()["state"] == "removed"
    assert not original.exists()


def test_an_anchor_that_was_withdrawn_is_not_dubbed(
    studio: TestClient, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from newscaster.errors import ConsentError
    from newscaster.synthesis.consent_guard import ConsentGuard

    def check(self: ConsentGuard) -> None:
        raise ConsentError("the consent was withdrawn")

    monkeypatch.setattr(ConsentGuard, "check", check)
    for reply in (
        studio.post("/v1/jobs/dub", json={"video": video}),
        studio.get(f"/v1/videos/{video}/faces"),
    ):
        assert reply.status_code >= 400
        assert reply.json()["error"] == "the consent was withdrawn"


def test_openapi_describes_dubs(studio: TestClient) -> None:
    document = studio.get("/v1/openapi.json").json()
    assert {"/v1/videos", "/v1/videos/{video}/faces", "/v1/jobs/dub", "/v1/jobs/{job}/report"} <= set(
        document["paths"]
    )
    assert "video/*" in document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]
    names = set(document["components"]["schemas"]["NewDub"]["properties"])
    assert {"video", "text", "captions", "fit", "extend", "mix", "face", "from", "to", "preview"} <= names
    parameters = document["paths"]["/v1/jobs/dub/audio"]["post"]["parameters"]
    assert {"video", "from", "to", "face"} <= {parameter["name"] for parameter in parameters}


@pytest.mark.slow
def test_a_video_from_its_faces_to_its_dub(tmp_path: Path) -> None:
    """With a bundled anchor and its own worker processes; without a text, no voice is needed."""
    clip = write_person_video(tmp_path / "clip.mp4", newscaster.open("grid-s1"), frames=30)
    with opening(Path("grid-s1"), tmp_path / "kept") as open_studio:
        studio: TestClient = open_studio()
        video = studio.post("/v1/videos?title=clip.mp4", content=clip.read_bytes()).json()["id"]
        found = studio.get(f"/v1/videos/{video}/faces").json()
        (face,) = found["faces"]
        assert (face["number"], face["is_anchor"], face["frame"], face["seconds"]) == (0, True, 0, 0.0)
        assert 0.2 < face["box"]["left"] < face["box"]["left"] + face["box"]["width"] < 0.8
        assert found["frames"][0]["faces"] == [{"number": 0, "box": face["box"]}]
        for image in (face["image"], found["frames"][0]["image"]):
            assert studio.get(image).content.startswith(b"\xff\xd8")
        assert studio.get(f"/v1/videos/{video}/faces/7.jpg").status_code == 404
        assert studio.get(f"/v1/videos/{video}/faces.jpg").content[:3] == b"\xff\xd8\xff"
        job = studio.post("/v1/jobs/dub", json={"video": video, "face": 0}).json()["id"]
        done = until(
            lambda: (state := studio.get(f"/v1/jobs/{job}").json())["state"] in ("done", "failed") and state
        )
        assert (done["error"], done["frames"], done["seconds"], done["captions"]) == (None, 30, 1.2, None)
        report = studio.get(done["report"]).json()
        assert (report["frames"], report["rewritten_frames"], report["path"]) == (30, 30, "video.mp4")
        assert str(tmp_path) not in json.dumps(report)
        assert studio.get(done["original"]).content == clip.read_bytes()  # browsers play it
        result = tmp_path / "result.mp4"
        result.write_bytes(studio.get(done["video"]).content)
        assert media.probe(result).video is not None
        assert list((tmp_path / "kept" / "videos" / video / "tracks").iterdir())  # for another dub of it
