"""New anchors of photographs and of footage on the page, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from page_looks import assert_fit

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

_PRESS_MS = 600
"""Longer than the time within which a second press counts as a part of the first."""


class FakeJobs:
    """Answers for the jobs of a page, so that no anchor is made."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.posted: list[str] = []
        self.removed: list[str] = []
        self.job: dict[str, Any] | None = None
        page.route("**/v1/jobs", self._list)
        page.route("**/v1/jobs/photo?*", self._post)
        page.route("**/v1/jobs/made-up", self._remove)
        page.route("**/v1/anchors", self._anchors)

    def change(self, **fields: Any) -> None:
        assert self.job is not None
        self.job |= fields

    def _post(self, route: Route) -> None:
        self.posted.append(route.request.url)
        self.job = {
            "id": "made-up",
            "anchor": "made-up",
            "title": "Ada",
            "created": "2026-11-30T20:00:00.000000+00:00",
            "state": "running",
            "photo": {"consent": "yes", "motion": "calm", "blinks": True, "face": None},
            "dub": None,
            "phase": None,
            "frames": 0,
            "total": 0,
            "progress": 0,
            "seconds": None,
            "error": None,
            "notes": [],
        }
        self._answer(route, self.job, status=202)

    def _list(self, route: Route) -> None:
        self._answer(route, [] if self.job is None else [self.job])

    def _remove(self, route: Route) -> None:
        self.removed.append(route.request.method)
        self.job = None
        self._answer(route, {"id": "made-up", "state": "cancelled"})

    def _anchors(self, route: Route) -> None:
        anchors = route.fetch().json()
        if self.job is not None and self.job["state"] == "done":
            anchors.append({**anchors[0], "id": "made-up", "name": "Ada"})
        self._answer(route, anchors)

    def _answer(self, route: Route, value: object, *, status: int = 200) -> None:
        route.fulfill(status=status, body=json.dumps(value), content_type="application/json")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "ada.png"
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(path)
    return path


def opened(page: Page, photo: Path) -> None:
    """Open the form with the keyboard, and fill it in."""
    page.focus("#new-options summary")
    page.keyboard.press("Enter")
    page.set_input_files("#new-file", photo)
    page.fill("#new-title", "Ada")
    page.fill("#new-consent", "Ada Byron, 2026-11-30: greetings")


def make(page: Page) -> None:
    page.wait_for_timeout(_PRESS_MS)
    page.focus("#new-make")
    page.keyboard.press("Enter")


def test_what_is_missing_is_said_beside_the_button(page: Page, photo: Path, tmp_path: Path) -> None:
    page.focus("#new-options summary")
    page.keyboard.press("Enter")
    for name, text, fill in (
        (
            "new-file",
            "Choose a photograph or videos first.",
            lambda: page.set_input_files("#new-file", photo),
        ),
        ("new-title", "Give the anchor a name.", lambda: page.fill("#new-title", "Ada")),
        ("new-consent", "State the consent of the person", lambda: page.fill("#new-consent", "no")),
    ):
        make(page)
        page.wait_for_selector(f"#new-options .row + #message:has-text('{text}')")
        assert page.evaluate("() => document.activeElement.id") == name
        fill()
    make(page)
    page.wait_for_selector("#message:has-text('nothing is made without the person')")  # of the studio
    page.fill("#new-face", "no")
    make(page)
    page.wait_for_selector("#message:has-text('“no” is not a number of a person')")
    page.fill("#new-face", "")
    page.fill("#new-consent", "Ada Byron, 2026-11-30: greetings")
    audio = tmp_path / "speech.wav"
    audio.write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    page.set_input_files("#new-file", audio)
    make(page)
    page.wait_for_selector("#message:has-text('“speech.wav” is of an unknown kind, not a photograph.')")
    assert_fit(page, "new-errors")


def test_an_anchor_is_made_and_chosen(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    page.select_option("#new-motion", "lively")
    page.fill("#new-face", "2")
    make(page)
    page.wait_for_selector("#new-task-text:text-is('Anchor: Looking at the photograph')")
    assert "motion=lively&blinks=true&face=1" in jobs.posted[0]
    jobs.change(total=600, frames=150, progress=0.25)
    page.wait_for_selector("#new-task-text:text-is('Anchor: Making, 25 %')")
    assert page.evaluate("() => document.querySelector('#new-task progress').value") == 0.25
    assert_fit(page, "new-progress")
    jobs.change(state="done", progress=1, anchor_file="/v1/jobs/made-up/anchor")
    page.wait_for_selector("#anchors label:has(:checked):has-text('Ada')")
    assert page.inner_text("#new-task-text") == "“Ada” is ready: it is in the list of anchors."
    assert page.locator("#new-cancel").is_hidden()
    row = page.locator("#videos li", has_text="Anchor Ada")
    assert row.get_by_role("button", name="Download Anchor Ada").is_visible()


def test_a_failure_names_the_file_and_counts_persons_from_one(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    make(page)
    page.wait_for_selector("#new-task-text:has-text('Looking')")
    jobs.change(
        state="failed",
        error="'photo.png' shows 3 faces; expected one person. Select one with face=0 (leftmost) to 2, or "
        "give a photograph of one person",
    )
    page.wait_for_selector(
        "#new-task-text.error:text-is('The anchor was not made: “ada.png” shows 3 faces; expected one "
        "person. Select one with Person 1 (leftmost) to 3, or give a photograph of one person')"
    )


def test_it_can_be_cancelled(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    make(page)
    page.wait_for_selector("#new-cancel:visible")
    page.focus("#new-cancel")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:text-is('The anchor was cancelled.')")
    assert jobs.removed == ["DELETE"]
    assert page.locator("#new-task").is_hidden()
    assert page.evaluate("() => document.activeElement.id") == "new-make"


REPORT: dict[str, Any] = {
    "headline": "An anchor can be made from it, but it will be better if you fix the points below.",
    "verdict": "poor",
    "measures": [
        {
            "title": "Usable footage",
            "text": "15 s",
            "verdict": "poor",
            "advice": "Add footage: 3 to 10 minutes.",
        },
        {"title": "People", "text": "1", "verdict": "good", "advice": ""},
    ],
    "notes": ["<b>b.mp4</b>: no speech: used for the renderer only"],
}


class FakeFootage:
    """Answers for uploads, a check and a training of a page, so that nothing is trained."""

    def __init__(self, page: Page, preview: bytes) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, Any] = {}
        self.figures: dict[str, Any] = {"held_out": None, "preview": None}
        self._videos: list[str] = []
        page.route("**/v1/videos?*", self._upload)
        page.route("**/v1/jobs", lambda route: self._answer(route, list(self.jobs.values())))
        page.route("**/v1/jobs/check", lambda route: self._start(route, "check", check=True))
        page.route("**/v1/jobs/train", lambda route: self._start(route, "train", check=False))
        page.route("**/v1/jobs/check/report", lambda route: self._answer(route, REPORT))
        page.route("**/v1/jobs/train/training", lambda route: self._answer(route, self.figures))
        page.route(
            "**/v1/jobs/train/preview",
            lambda route: route.fulfill(body=preview, content_type="image/png"),
        )

    def _upload(self, route: Route) -> None:
        self._videos.append(f"video{len(self._videos)}")
        video = {"id": self._videos[-1], "title": f"{self._videos[-1]}.mp4", "seconds": 75.0}
        self._answer(route, video, status=201)

    def _start(self, route: Route, kind: str, *, check: bool) -> None:
        self.asked[kind] = route.request.post_data_json
        self.jobs[kind] = {
            "id": kind,
            "anchor": "grid-s1",
            "title": "Ada",
            "created": "2026-11-30T20:00:00.000000+00:00",
            "state": "running",
            "footage": {"check": check, "titles": ["video0.mp4", "video1.mp4"]},
            "training": None if check else "/v1/jobs/train/training",
            "phase": None,
            "total": 0,
            "progress": 0,
            "seconds": None,
            "error": None,
            "notes": [],
        }
        self._answer(route, self.jobs[kind], status=202)

    def _answer(self, route: Route, value: object, *, status: int = 200) -> None:
        route.fulfill(status=status, body=json.dumps(value), content_type="application/json")


def test_footage_is_checked_and_an_anchor_trained(page: Page, photo: Path, tmp_path: Path) -> None:
    studio = FakeFootage(page, photo.read_bytes())
    clips = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for clip in clips:
        clip.write_bytes(b"video")
    page.focus("#new-options summary")
    page.keyboard.press("Enter")
    page.set_input_files("#new-file", clips)
    page.wait_for_selector("#new-upload-text:text-is('Checking the footage')")
    assert page.inner_text("#new-name") == "2 videos, 2:30"
    assert page.locator("#new-training").is_visible()
    assert page.locator("#new-motion").is_hidden()
    studio.jobs["check"] |= {"state": "done", "report": "/v1/jobs/check/report"}
    page.wait_for_selector("#new-report[data-verdict=poor]:visible")
    assert page.inner_text("#new-points li >> nth=0") == "Usable footage: 15 s\nAdd footage: 3 to 10 minutes."
    assert page.inner_text("#new-points li >> nth=1") == REPORT["notes"][0]  # as text, not as markup
    page.fill("#new-title", "Ada")
    page.fill("#new-consent", "Ada Byron, 2026-11-30: greetings")
    page.select_option("#new-training", "unet 4")
    assert_fit(page, "new-report")
    make(page)
    page.wait_for_selector("#new-task-text:text-is('Anchor: Preparing')")
    assert studio.asked["train"] == {
        "videos": ["video0", "video1"],
        "renderer": "unet",
        "minutes": 4,
        "name": "Ada",
        "consent": "Ada Byron, 2026-11-30: greetings",
        "face": None,
    }
    studio.figures = {"held_out": {"minutes": 2, "psnr_db": 27.31}, "preview": "/v1/jobs/train/preview"}
    studio.jobs["train"] |= {"phase": "rendering", "total": 1000, "progress": 0.6}
    page.wait_for_selector("#new-task-text:text-is('Anchor: Learning the face, 60 %')")
    page.wait_for_selector("#new-figure:has-text('27.3 dB after 2.0 min')")
    page.wait_for_function("() => document.querySelector('#new-preview').naturalWidth > 0")
    assert_fit(page, "new-training")
    studio.jobs["train"] |= {"state": "failed", "error": "no face was found in 'footage-1.mp4'"}
    page.wait_for_selector(
        "#new-task-text.error:text-is('The anchor was not made: no face was found in “video1.mp4”')"
    )
