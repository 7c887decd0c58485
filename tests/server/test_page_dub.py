"""The tab Dub of the page, in a real browser."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import newscaster
from browsing import new_page
from newscaster import media
from page_looks import assert_fit
from person_videos import write_person_video
from studios import ask, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

_DOUBLE_CLICK_MS = 600
"""Longer than the time within which a second click counts as a part of the first."""
_SIDE_BY_SIDE = """
  () => ["compare-original", "compare-dubbed"].map((id) => {
    const { currentTime, muted, paused } = document.getElementById(id);
    return { currentTime, muted, paused };
  })
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_person_video(
        tmp_path_factory.mktemp("clip") / "clip.mp4", newscaster.open("grid-s1"), frames=30
    )


def show_faces(page: Page, clip: Path, *, anchor: int | None = 1) -> None:
    """Answer requests for faces with three made-up ones: two in one frame, and one in another."""
    frame = io.BytesIO()
    Image.fromarray(next(media.read_frames(clip))).save(frame, "JPEG")
    boxes = [{"left": left, "top": 0.35, "width": 0.25, "height": 0.4} for left in (0.05, 0.35, 0.6)]
    faces = [
        {
            "number": number,
            "is_anchor": number == anchor,
            "frame": number // 2,
            "seconds": float(number // 2),
            "box": boxes[number],
            "image": "/v1/made-up.jpg",
        }
        for number in range(3)
    ]
    frames: list[dict[str, Any]] = [
        {
            "number": number,
            "seconds": float(number),
            "image": "/v1/made-up.jpg",
            "faces": [{"number": face, "box": boxes[face]} for face in shown],
        }
        for number, shown in enumerate(((0, 1), (2,)))
    ]

    def answer(route: Route) -> None:
        if route.request.url.endswith(".jpg"):
            route.fulfill(body=frame.getvalue(), content_type="image/jpeg")
        else:
            route.fulfill(
                body=json.dumps({"faces": faces, "frames": frames}), content_type="application/json"
            )

    page.route("**/faces?*", answer)
    page.route("**/made-up.jpg", answer)


def chosen(page: Page) -> tuple[list[str], list[str]]:
    """Return the boxes in the frame, and those that are marked as chosen."""
    return page.locator("#dub-frame .box").all_inner_texts(), page.locator(
        "#dub-frame .is-chosen"
    ).all_inner_texts()


def test_a_face_is_picked_by_a_click_or_with_the_keyboard(page: Page, clip: Path) -> None:
    show_faces(page, clip)
    page.click("#tab-dub")
    page.click("#dub-make")
    assert page.inner_text("#message") == "Choose a video first."
    assert page.evaluate("() => document.activeElement.id") == "dub-file"
    page.set_input_files("#dub-file", clip)
    page.wait_for_selector("#dub-frame .box")
    assert chosen(page) == (["1", "2"], ["2"])
    assert "the anchor’s person" in page.inner_text("#dub-choices label:has(:checked)")
    page.click("#dub-frame .box >> nth=0")
    assert chosen(page) == (["1", "2"], ["1"])
    page.focus("#dub-choices input:checked")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert chosen(page) == (["3"], ["3"])  # another frame
    assert_fit(page, "faces")
    page.reload()  # keeps the video
    page.wait_for_selector("#dub-frame .box")
    assert page.inner_text("#dub-name") == "clip.mp4, 0:01, 360 × 288, 25 fps"


def test_what_cannot_be_dubbed_is_said_beside_its_control(page: Page, clip: Path, tmp_path: Path) -> None:
    show_faces(page, clip, anchor=None)
    page.click("#tab-dub")
    image, cues = tmp_path / "photo.png", tmp_path / "cues.srt"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    cues.write_text("no captions")
    page.set_input_files("#dub-file", image)
    page.wait_for_selector("#dub-drop + #message:has-text('“photo.png” is a PNG image, not a video.')")
    page.set_input_files("#dub-file", clip)
    page.wait_for_selector("#message:has-text('None of these faces is recognised as the anchor’s person.')")
    page.click("#dub-make")
    assert page.inner_text("#panel-dub .row + #message") == "Choose the face to rewrite."
    page.click("#dub-frame .box >> nth=0")
    page.wait_for_timeout(_DOUBLE_CLICK_MS)
    page.click("#dub-make")
    page.wait_for_selector("#message:has-text('The text is empty. Write a sentence.')")
    page.locator("#dub-kinds >> text=File").click()
    page.set_input_files("#dub-speech", cues)
    page.wait_for_selector("#dub-speech-name:text-is('cues.srt')")
    page.wait_for_timeout(_DOUBLE_CLICK_MS)
    page.click("#dub-make")
    page.wait_for_selector("#message:has-text('caption')")
    page.click("#dub-options summary")
    page.fill("#dub-from", "soon")
    page.locator("#dub-kinds >> text=Its own audio").click()
    page.click("#dub-preview")
    page.wait_for_selector("#message:has-text('From: “soon” is not a time.')")
    assert page.evaluate("() => document.activeElement.id") == "dub-from"
    assert_fit(page, "errors")


def in_step(page: Page) -> Any:
    """Return the states of both videos once they are paused at the same time."""
    both = page.evaluate(_SIDE_BY_SIDE)
    first, second = both
    is_same = abs(first["currentTime"] - second["currentTime"]) < 0.02
    return both if is_same and first["paused"] and second["paused"] else None


def test_a_preview_a_comparison_and_a_cancelled_dub(page: Page, address: str, clip: Path) -> None:
    show_faces(page, clip, anchor=0)
    page.click("#tab-dub")
    page.set_input_files("#dub-file", clip)
    page.wait_for_selector("#dub-frame .box")
    speech = clip.with_name("speech.wav")
    media.write_wav(speech, speech_like(1.2), 16_000)
    page.locator("#dub-kinds >> text=File").click()
    page.set_input_files("#dub-speech", speech)
    page.wait_for_selector("#dub-speech-name:text-is('speech.wav')")
    page.click("#dub-preview")
    page.wait_for_selector("#dub-task:visible")
    assert_fit(page, "task")
    page.wait_for_selector("#compare[open]")  # the focus is still on its button
    assert page.inner_text("#compare-title") == "Preview of clip.mp4"
    assert_fit(page, "comparison")
    page.evaluate("() => { document.querySelector('#compare-dubbed').playbackRate = 0.1; }")  # there is time
    page.click("#compare-play")
    page.wait_for_function("() => document.querySelector('#compare-dubbed').currentTime > 0.1")
    page.locator("#compare label", has_text="Original").click()
    page.click("#compare-play")
    original, dubbed = until(lambda: in_step(page))
    assert (original["muted"], dubbed["muted"]) == (False, True)
    assert original["currentTime"] > 0.1
    page.evaluate("() => { document.querySelector('#compare-dubbed').playbackRate = 2; }")
    page.click("#compare-play")
    page.wait_for_function("() => document.querySelector('#compare-dubbed').ended")
    assert all(video["paused"] for video in page.evaluate(_SIDE_BY_SIDE))
    assert page.inner_text("#compare-play") == "Play"
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.id") == "dub-preview"
    page.click("#dub-make")
    page.locator("#dub-cancel").click()
    page.wait_for_selector("#message:has-text('The dub was cancelled.')")
    assert not page.is_visible("#dub-task")
    jobs = ask(address, "/v1/jobs")
    assert [(job["dub"]["preview"], job["dub"]["face"], job["state"]) for job in jobs] == [
        (False, 0, "cancelled"),
        (True, 0, "done"),
    ]
    row = page.locator("#videos li", has_text="Preview of clip.mp4")
    row.get_by_text("Compare").click()
    page.wait_for_selector("#compare[open]")
    page.click("#compare-close")
    with page.expect_download() as download:
        row.get_by_text("Download").click()
    assert download.value.suggested_filename.startswith("preview-clip-mp4-")


if "NEWSCASTER_SCREENSHOTS" in os.environ:

    def test_screenshots(browser: Browser, address: str, clip: Path) -> None:
        """NEWSCASTER_SCREENSHOTS names a folder for screenshots: a face that was found, and a comparison."""
        folder = Path(os.environ["NEWSCASTER_SCREENSHOTS"])
        options: dict[str, Any] = {"type": "jpeg", "quality": 80}
        with new_page(browser, width=1280, height=1200) as page:
            page.goto(address)
            page.wait_for_selector("#anchors input", state="attached")
            page.click("#tab-dub")
            page.set_input_files("#dub-file", clip)
            page.wait_for_selector("#dub-frame .box")
            page.fill("#dub-text", "The talks end on Friday.")
            page.evaluate("() => scrollTo(0, 0)")
            page.screenshot(path=folder / "serve-dub-wide-light.jpg", **options)
            page.click("#dub-preview")
            page.wait_for_selector("#compare[open]", timeout=300_000)
            page.set_viewport_size({"width": 1280, "height": 760})
            page.screenshot(path=folder / "serve-compare-wide-light.jpg", **options)
