"""How the page looks in each of its states: nothing sticks out, everything can be read and hit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browsing import new_page
from newscaster import media
from page_looks import STICKS_OUT, assert_fit
from studios import ask, serving, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

_OVER_THE_FRAME = """
  () => {
    const { left, right, top, bottom } = document.querySelector("#video").getBoundingClientRect();
    return [...document.querySelectorAll("body *")].filter((e) => {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      const box = e.getBoundingClientRect();
      const over = box.left < right && box.right > left && box.top < bottom && box.bottom > top;
      return own && e.checkVisibility() && over && getComputedStyle(e).position !== "fixed";
    }).map((e) => e.innerText);
  }
"""
_IN_VIEW = """
  (id) => {
    const { top, bottom, left, right } = document.getElementById(id).getBoundingClientRect();
    const isInside = top >= 0 && left >= 0 && bottom <= innerHeight + 1 && right <= innerWidth + 1;
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    return isInside && document.getElementById(id).contains(document.elementFromPoint(x, y));
  }
"""
_CAN_BE_TYPED_INTO = """
  () => {
    const script = document.querySelector("#script");
    const { left, top, bottom } = script.getBoundingClientRect();
    const ys = [...Array(Math.floor(bottom - top)).keys()].map((y) => top + y);
    return ys.filter((y) => document.elementFromPoint(left + 20, y) === script).length > 40;
  }
"""
SCRIPT = "Good evening. Here is the news, read by someone who never read it."


_LOW = ((576, 320), (640, 360), (740, 360), (926, 428))
"""Phones on their side, and 1280x720 at a zoom of 200 %."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with the anchors that it has by default, which screenshots show."""
    with serving("--sessions", 40, "--data-dir", tmp_path_factory.mktemp("kept")) as (_, address):
        yield address


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A studio that may be suspended: its process and its address."""
    with serving("--data-dir", tmp_path_factory.mktemp("kept")) as (process, address):
        yield process.pid, address


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("wide", 1280, 860), ("narrow", 390, 844)])
def test_how_it_looks(
    browser: Browser, address: str, tmp_path: Path, name: str, width: int, height: int, dark: bool
) -> None:
    """In each of its states. NEWSCASTER_SCREENSHOTS names a folder for screenshots."""
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    folder = Path(os.environ.get("NEWSCASTER_SCREENSHOTS", tmp_path))
    audio = tmp_path / "speech.wav"
    media.write_wav(audio, speech_like(2.0), 16_000)
    job = ask(address, "/v1/jobs/audio?title=bulletin.wav", audio.read_bytes())["id"]
    until(lambda: ask(address, f"/v1/jobs/{job}")["state"] == "done")
    with new_page(browser, width=width, height=height, dark=dark) as page:
        page.goto(address)
        page.wait_for_function("() => document.querySelector('#poster').naturalWidth > 0")
        page.wait_for_selector("#videos li")
        assert_fit(page, "idle")
        page.click("#say")
        page.wait_for_selector("#message")
        assert_fit(page, "error")
        for tab in ("#tab-audio", "#tab-mic", "#tab-script"):
            page.click(tab)
            assert_fit(page, tab)
        page.fill("#script", SCRIPT)
        if "NEWSCASTER_SCREENSHOTS" in os.environ:  # the delay of the first text includes loading the voice
            page.click("#say")
            page.wait_for_selector("#status[data-state=talking]")
            page.wait_for_selector("#status[data-state=live]")
        page.click("#say")
        page.wait_for_selector("#status[data-state=talking]")
        page.wait_for_timeout(1500)
        assert not page.evaluate(STICKS_OUT)
        image = folder / f"serve-{name}-{'dark' if dark else 'light'}.jpg"
        page.evaluate("() => scrollTo(0, 0)")
        page.screenshot(path=image, type="jpeg", quality=80, full_page=name == "narrow")
        page.click("#record")
        page.wait_for_selector("#recording-badge:visible")
        assert_fit(page, "recording")
        assert page.evaluate(_OVER_THE_FRAME) == []
        page.click("#record")
        page.locator("#videos li", has_text="bulletin.wav").first.get_by_text("Remove").click()
        page.wait_for_selector("#videos >> text=Undo")
        page.click("#speak-options summary")
        assert_fit(page, "removed")
        for size in ((320, 800), (768, 800), (1000, 800), *_LOW):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            assert not page.evaluate(STICKS_OUT), size
        page.evaluate("() => document.querySelector('#token-dialog').showModal()")
        assert_fit(page, "locked")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_how_it_looks_when_the_studio_is_silent(
    browser: Browser, silent: tuple[int, str], dark: bool
) -> None:
    process, address = silent
    with new_page(browser, width=390, height=844, dark=dark) as page:
        page.goto(address)
        page.wait_for_selector("#anchors input", state="attached")
        os.killpg(process, signal.SIGSTOP)
        try:
            page.wait_for_selector("#silence:visible")
            assert_fit(page, "silent")
        finally:
            os.killpg(process, signal.SIGCONT)
        page.wait_for_selector("#silence", state="hidden")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (844, 390)])
def test_the_video_and_stop_stay_in_view_on_a_phone(
    browser: Browser, address: str, width: int, height: int
) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    with new_page(browser, width=width, height=height) as page:
        page.goto(address)
        page.wait_for_selector("#anchors input", state="attached")
        page.fill("#script", SCRIPT)
        page.click("#say")
        page.wait_for_selector("#status[data-state=talking]")
        for place in (None, "#script", "#videos-title"):
            if place is not None:
                page.locator(place).scroll_into_view_if_needed()
            assert page.evaluate(_IN_VIEW, "video"), place
            assert page.evaluate(_IN_VIEW, "stop"), place
        page.focus("#script")
        assert page.evaluate(_CAN_BE_TYPED_INTO)
