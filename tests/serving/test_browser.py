"""The page in a real browser, with the built-in anchor: what is shown and heard there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import newscaster
from browsing import browser_page, figures, find_chromium, heard, mouth_box, seen, watch
from newscaster import media
from studios import ask, serving, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
pytest.importorskip("playwright", reason="playwright is not installed")

SCRIPT = "Wow, far away!\n\nFive bars.\n\nOh, how wide.\n\nAll are out now."
QUIET, LOUD = 0.004, 0.02


@pytest.fixture(scope="module")
def chromium() -> str:
    found = find_chromium()
    if found is None:
        missing = "no Chromium on the path (NEWSCASTER_CHROMIUM names one)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the command prints: the studio's address, with its token."""
    with serving("--keep", tmp_path_factory.mktemp("kept"), token=True) as (_, link):
        yield link


@pytest.fixture(scope="module")
def address(link: str) -> str:
    return link.split("/#")[0]


@pytest.fixture
def page(chromium: str, link: str, address: str) -> Iterator[Page]:
    with browser_page(chromium) as page:
        broken: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.on(
            "request",
            lambda request: broken.append(request.url) if not at_home(request.url, address) else None,
        )
        page.goto(link)
        page.wait_for_selector("#anchors input", state="attached")
        yield page
        assert not broken
        assert not [url for url in asked if not at_home(url, address)]


def at_home(url: str, address: str) -> bool:
    return url.startswith((address, address.replace("http", "ws"), "blob:", "data:"))


def test_the_printed_link(page: Page, address: str) -> None:
    """Its token leaves the address bar, outlives a reload, and is asked for where it is missing or wrong."""
    assert page.url == f"{address}/"
    page.reload()
    page.wait_for_selector("#anchors input", state="attached")
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.wait_for_selector("#token", state="visible")


def smooth(values: np.ndarray) -> np.ndarray:
    return np.convolve(values, np.ones(5) / 5, "valid")


def say_until(page: Page, *, calm: int, talking: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time in ms, brightness of the mouth, loudness; of enough frames, however few a slow machine shows."""
    for _ in range(10):
        page.fill("#script", SCRIPT)
        page.press("#script", "Control+Enter")
        page.wait_for_selector("#status[data-state=talking]")
        page.wait_for_selector("#status[data-state=live]")
        until(lambda: (heard(page)[-50:, 1] < QUIET).all())
        time, bright, loud = seen(page).T
        if is_calm(time, loud).sum() >= calm and (loud > LOUD).sum() >= talking:
            break
    return time, bright, loud


def is_calm(time: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Frames with silence about them, 320 ms on both sides."""
    return np.array([(loud[np.abs(time - t) < 320] < QUIET).all() for t in time])


def swift(time: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """What changes sooner than the head moves: differences from the mean over half a second."""
    return bright - np.array([bright[np.abs(time - t) <= 250].mean() for t in time])


def test_the_mouth_moves_with_the_sound_and_rests_in_silence(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    page.click("#go-live")
    page.wait_for_selector("#screen.is-live")
    watch(page, mouth_box(newscaster.open()))
    time, bright, loud = say_until(page, calm=20, talking=50)
    # Both on one clock, of a frame's length; how well a browser has them together depends on the machine.
    clock, level = np.arange(time[0], time[-1], 40), heard(page)
    opening, volume = smooth(np.interp(clock, time, -bright)), smooth(np.interp(clock, *level.T))
    lags = range(-12, 13)
    agreement = {lag: np.corrcoef(volume[15:-15], np.roll(opening, -lag)[15:-15])[0, 1] for lag in lags}
    assert max(agreement.values()) > 0.5, agreement
    calm, talking = is_calm(time, loud), loud > LOUD
    moved = np.abs(swift(time, bright))
    assert np.median(moved[calm]) < 0.4 * np.median(moved[talking])
    assert np.median(bright[talking]) < np.median(bright[calm]) - 2  # lips part, and it is dark between them
    shown = figures(page)
    assert (shown["video"]["frameWidth"], shown["video"]["frameHeight"]) == (360, 288)
    assert page.inner_text("#delay").endswith("ms")
    assert page.inner_text("#rate").endswith("fps")


def test_stopping_silences_and_closes_the_mouth(page: Page, tmp_path: Path) -> None:
    sound = tmp_path / "long.wav"
    media.write_wav(sound, speech_like(30.0), 16_000)
    page.click("#tab-sound")
    page.set_input_files("#file", sound)
    page.click("#play")
    page.wait_for_selector("#status[data-state=talking]")
    watch(page, mouth_box(newscaster.open()))
    until(lambda: (heard(page)[-5:, 1] > QUIET).any())
    page.keyboard.press("Escape")
    page.wait_for_selector("#status[data-state=live]")
    until(lambda: (heard(page)[-20:, 1] < QUIET).all())
    assert float(page.inner_text("#waiting").split()[0]) == 0


def test_a_recording_from_the_page(page: Page, tmp_path: Path) -> None:
    sound = tmp_path / "short.wav"
    media.write_wav(sound, speech_like(2.0), 16_000)
    page.click("#go-live")
    page.wait_for_selector("#screen.is-live")
    page.click("#record")
    page.wait_for_selector("#recording-badge:visible")
    page.click("#tab-sound")
    page.set_input_files("#file", sound)
    page.click("#play")
    page.wait_for_selector("#status[data-state=talking]")
    page.wait_for_selector("#status[data-state=live]")
    page.click("#record")
    with page.expect_download() as download:
        page.click("#videos li:has-text('Recording') >> text=Download")
    file = tmp_path / "recording.mp4"
    download.value.save_as(file)
    info = media.probe(file)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.fps) == (360, 288, 25)
    assert "Synthetic video" in info.metadata["comment"]
    assert "GRID" in info.metadata["copyright"]
    samples = media.read_audio(file, rate=16_000)
    assert abs(len(samples) / 16_000 - info.video.duration_seconds) < 0.1
    assert info.video.duration_seconds > 1.9
    assert np.abs(samples).max() > 0.05
    page.click("#end")
    page.wait_for_selector("#status[data-state=off]")
    assert page.is_visible("#go-live")


def test_a_video_as_a_job(page: Page, tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    page.fill("#script", "Here is the news.")
    page.click("#make-script")
    job = page.locator("#videos li", has_text="Here is the news.")
    with page.expect_download() as download:
        job.get_by_text("Download").click()
    download.value.save_as(tmp_path / "video.mp4")
    assert media.probe(tmp_path / "video.mp4").video is not None
    job.get_by_text("Remove").click()
    job.wait_for(state="detached")


def test_the_microphone(page: Page) -> None:
    page.click("#tab-mic")  # Chromium's own false microphone beeps
    page.click("#mic")
    page.wait_for_selector("#screen.is-live")
    page.wait_for_function("() => Number(document.getElementById('meter').getAttribute('aria-valuenow')) > 0")
    page.wait_for_selector("#status[data-state=talking]")
    page.click("#mic")
    page.wait_for_selector("#status[data-state=live]")


def test_keyboard_and_names(page: Page) -> None:
    page.focus("#tab-script")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.id") == "tab-sound"
    assert page.is_visible("#panel-sound")
    assert not page.is_visible("#panel-script")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, video")]
            .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length)).map((e) => e.id)"""
    )
    assert not nameless
    page.click("#tab-script")
    page.fill("#script", "")
    page.click("#say")
    assert page.inner_text("#message") == "The script is empty. Write a sentence."
    assert page.is_visible("text=Synthetic video")
    assert "GRID audiovisual sentence corpus" in page.inner_text(".credit")


_STICKS_OUT = """
  () => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => `${e.tagName}#${e.id} ${e.innerText}`)
"""
_CONTRAST = """
  () => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => linear(c / 255);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const behind = (e) => {
      for (; e; e = e.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
        if (a === 1) return [r, g, b];
      }
    };
    const low = [];
    for (const e of document.querySelectorAll("body *")) {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!own || !e.checkVisibility() || e.closest(".screen, :disabled")) continue;
      const both = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))];
      const [a, b] = both.sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) low.push(`${e.tagName}.${e.className}#${e.id} ${ratio.toFixed(2)}`);
    }
    return low;
  }
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("wide", 1280, 860), ("narrow", 390, 844)])
def test_how_it_looks(
    chromium: str, link: str, address: str, tmp_path: Path, name: str, width: int, height: int, dark: bool
) -> None:
    """Nothing sticks out, every text can be read. NEWSCASTER_SCREENSHOTS names a folder for pictures."""
    folder = Path(os.environ.get("NEWSCASTER_SCREENSHOTS", tmp_path))
    with browser_page(chromium, width=width, height=height, dark=dark) as page:
        page.goto(link)
        page.fill("#script", "Good evening. Here is the news, read by somebody who never read it.")
        page.wait_for_function("() => document.querySelector('#poster').naturalWidth > 0")
        sound = tmp_path / "speech.wav"
        media.write_wav(sound, speech_like(2.0), 16_000)
        token = {"Authorization": f"Bearer {link.split('token=')[1]}"}
        job = ask(address, "/v1/jobs/audio?title=bulletin.wav", sound.read_bytes(), **token)["id"]
        until(lambda: ask(address, f"/v1/jobs/{job}", **token)["state"] == "done")
        page.reload()
        page.fill("#script", "Good evening. Here is the news, read by somebody who never read it.")
        for _ in range(2):  # what a voice needs to be loaded is no delay worth showing
            page.click("#say")
            page.wait_for_selector("#status[data-state=talking]")
            page.wait_for_selector("#status[data-state=live]")
        page.click("#say")
        page.wait_for_selector("#status[data-state=talking]")
        page.wait_for_selector("#videos li")
        page.wait_for_timeout(1500)
        assert not page.evaluate(_STICKS_OUT)
        assert page.evaluate(_CONTRAST) == []
        picture = folder / f"serve-{name}-{'dark' if dark else 'light'}.jpg"
        page.screenshot(path=picture, type="jpeg", quality=80, full_page=name == "narrow")
        page.click("#manner summary")
        for width in (320, 768, 1000):
            page.set_viewport_size({"width": width, "height": 800})
            assert not page.evaluate(_STICKS_OUT), width
