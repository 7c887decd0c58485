"""The page in a real browser, with the bundled anchor: its video and audio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import newscaster
from browsing import figures, heard, mouth_box, new_page, seen, watch
from newscaster import media
from studios import serving, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

SCRIPT = "Wow, far away!\n\nFive bars.\n\nOh, how wide.\n\nAll are out now."
QUIET, LOUD = 0.004, 0.02


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The printed link: the address of the studio, with its token."""
    with serving("--data-dir", tmp_path_factory.mktemp("kept"), token=True) as (_, link):
        yield link


def test_the_printed_link(browser: Browser, link: str) -> None:
    """Its token leaves the address bar, outlives a reload, and is requested if it is missing or wrong."""
    address = link.split("/#")[0]
    with new_page(browser) as page:
        page.goto(link)
        page.wait_for_selector("#anchors input", state="attached")
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


@pytest.mark.alone
def test_the_mouth_moves_with_the_audio_and_rests_in_silence(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    page.click("#go-live")
    page.wait_for_selector("#screen.is-live")
    watch(page, mouth_box(newscaster.open("grid-s1")))
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
    assert page.inner_text("#delay") == "–"  # no delay without speech
    assert page.inner_text("#rate").endswith("fps")


def test_stopping_silences_and_closes_the_mouth(page: Page, tmp_path: Path) -> None:
    audio = tmp_path / "long.wav"
    media.write_wav(audio, speech_like(30.0), 16_000)
    page.click("#tab-audio")
    page.set_input_files("#file", audio)
    page.click("#play")
    page.wait_for_selector("#status[data-state=talking]")
    watch(page, mouth_box(newscaster.open("grid-s1")))
    until(lambda: (heard(page)[-5:, 1] > QUIET).any())
    page.keyboard.press("Escape")
    page.wait_for_selector("#status[data-state=live]")
    until(lambda: (heard(page)[-20:, 1] < QUIET).all())
    assert float(page.inner_text("#waiting").split()[0]) == 0


def test_a_recording_from_the_page(page: Page, tmp_path: Path) -> None:
    audio = tmp_path / "short.wav"
    media.write_wav(audio, speech_like(2.0), 16_000)
    page.click("#go-live")
    page.wait_for_selector("#screen.is-live")
    page.click("#record")
    page.wait_for_selector("#recording-badge:visible")
    page.click("#tab-audio")
    page.set_input_files("#file", audio)
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
    page.wait_for_timeout(600)  # a press that follows sooner is taken for a double click
    page.click("#mic")
    page.wait_for_selector("#status[data-state=live]")


def test_keyboard_and_names(page: Page) -> None:
    page.focus("#tab-script")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.id") == "tab-audio"
    assert page.is_visible("#panel-audio")
    assert not page.is_visible("#panel-script")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, video")]
            .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.id)"""
    )
    assert not nameless
    page.click("#tab-script")
    assert page.is_visible("text=Synthetic video")
    assert "GRID audiovisual sentence corpus" in page.inner_text(".credit")
