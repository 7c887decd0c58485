"""New anchors from photographs on the page, in a real browser."""

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
    page.focus("#photo-options summary")
    page.keyboard.press("Enter")
    page.set_input_files("#photo-file", photo)
    page.fill("#photo-title", "Ada")
    page.fill("#photo-consent", "Ada Byron, 2026-11-30: greetings")


def make(page: Page) -> None:
    page.wait_for_timeout(_PRESS_MS)
    page.focus("#photo-make")
    page.keyboard.press("Enter")


def test_what_is_missing_is_said_beside_the_button(page: Page, photo: Path, tmp_path: Path) -> None:
    page.focus("#photo-options summary")
    page.keyboard.press("Enter")
    for name, text, fill in (
        ("photo-file", "Choose a photograph first.", lambda: page.set_input_files("#photo-file", photo)),
        ("photo-title", "Give the anchor a name.", lambda: page.fill("#photo-title", "Ada")),
        ("photo-consent", "State the consent of the person", lambda: page.fill("#photo-consent", "no")),
    ):
        make(page)
        page.wait_for_selector(f"#photo-options .row + #message:has-text('{text}')")
        assert page.evaluate("() => document.activeElement.id") == name
        fill()
    make(page)
    page.wait_for_selector("#message:has-text('nothing is made without the person')")  # of the studio
    page.fill("#photo-face", "no")
    make(page)
    page.wait_for_selector("#message:has-text('“no” is not a number of a person')")
    page.fill("#photo-face", "")
    page.fill("#photo-consent", "Ada Byron, 2026-11-30: greetings")
    audio = tmp_path / "speech.wav"
    audio.write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    page.set_input_files("#photo-file", audio)
    make(page)
    page.wait_for_selector("#message:has-text('“speech.wav” is of an unknown kind, not a photograph.')")
    assert_fit(page, "photo-errors")


def test_an_anchor_is_made_and_chosen(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    page.select_option("#photo-motion", "lively")
    page.fill("#photo-face", "2")
    make(page)
    page.wait_for_selector("#photo-task-text:text-is('Anchor: Looking at the photograph')")
    assert "motion=lively&blinks=true&face=1" in jobs.posted[0]
    jobs.change(total=600, frames=150, progress=0.25)
    page.wait_for_selector("#photo-task-text:text-is('Anchor: Making, 25 %')")
    assert page.evaluate("() => document.querySelector('#photo-task progress').value") == 0.25
    assert_fit(page, "photo-progress")
    jobs.change(state="done", progress=1, anchor_file="/v1/jobs/made-up/anchor")
    page.wait_for_selector("#anchors label:has(:checked):has-text('Ada')")
    assert page.inner_text("#photo-task-text") == "“Ada” is ready: it is in the list of anchors."
    assert page.locator("#photo-cancel").is_hidden()
    row = page.locator("#videos li", has_text="Anchor Ada")
    assert row.get_by_role("button", name="Download Anchor Ada").is_visible()


def test_a_failure_names_the_file_and_counts_persons_from_one(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    make(page)
    page.wait_for_selector("#photo-task-text:has-text('Looking')")
    jobs.change(
        state="failed",
        error="'photo.png' shows 3 faces; expected one person. Select one with face=0 (leftmost) to 2, or "
        "give a photograph of one person",
    )
    page.wait_for_selector(
        "#photo-task-text.error:text-is('The anchor was not made: “ada.png” shows 3 faces; expected one "
        "person. Select one with Person 1 (leftmost) to 3, or give a photograph of one person')"
    )


def test_it_can_be_cancelled(page: Page, photo: Path) -> None:
    jobs = FakeJobs(page)
    opened(page, photo)
    make(page)
    page.wait_for_selector("#photo-cancel:visible")
    page.focus("#photo-cancel")
    page.keyboard.press("Enter")
    page.wait_for_selector("#message:text-is('The anchor was cancelled.')")
    assert jobs.removed == ["DELETE"]
    assert page.locator("#photo-task").is_hidden()
    assert page.evaluate("() => document.activeElement.id") == "photo-make"
