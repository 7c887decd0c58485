"""Input of the page, in a real browser: scripts, files, and removals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newscaster import media
from studios import ask, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
_DROP = """
  ([target, name, kind, bytes]) => {
    const data = new DataTransfer();
    if (bytes) data.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
    else data.setData("text/plain", name);
    const kept = ["dragover", "drop"].map((type) => {
      const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
      document.querySelector(target).dispatchEvent(event);
      return event.defaultPrevented;
    });
    return kept;
  }
"""


def requests_of(page: Page) -> list[str]:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.method} {request.url}"))
    return asked


def sessions(asked: list[str]) -> list[str]:
    return [request for request in asked if request.startswith("POST") and request.endswith("/sessions")]


def test_a_script_that_is_too_long_is_kept_and_marked(page: Page) -> None:
    asked = requests_of(page)
    page.fill("#script", "a" * 210_980)
    assert len(page.input_value("#script")) == 210_980
    assert "210,980 characters: too long. The maximum for a video is 200,000" in page.inner_text(
        "#script-count"
    )
    assert "too long" in page.inner_text("#announce")
    page.click("#make-script")
    message = page.inner_text("#panel-script #message")
    assert message.startswith("The script has 210,980 characters; the maximum for a video is 200,000. ")
    page.wait_for_timeout(600)
    page.click("#say")
    page.wait_for_selector("#message:has-text('the maximum for live speech is 20,000')")
    page.fill("#script", "😀" * 20_000)  # counts code points, as the studio does
    assert page.inner_text("#script-count") == "20,000 characters"
    page.fill("#script", "a" * 20_001)
    assert "too long for live speech (maximum 20,000). Render a video instead" in page.inner_text(
        "#script-count"
    )
    assert not [request for request in asked if request.startswith("POST")]


def test_a_message_is_beside_its_button(page: Page) -> None:
    page.fill("#script", "")
    page.click("#say")
    assert page.inner_text("#message") == "The script is empty. Write a sentence."
    assert page.get_attribute("#message", "role") == "alert"
    message, button = page.locator("#message").bounding_box(), page.locator("#say").bounding_box()
    assert message is not None
    assert button is not None
    assert 0 <= message["y"] - (button["y"] + button["height"]) < 40
    assert page.evaluate("() => document.activeElement.id") == "script"


def test_a_file_without_audio_is_refused_before_a_session_starts(page: Page, tmp_path: Path) -> None:
    image, damaged, audio = tmp_path / "photo.png", tmp_path / "damaged.wav", tmp_path / "speech.wav"
    image.write_bytes(PNG)
    short = tmp_path / "short.wav"
    media.write_wav(audio, speech_like(2.0), 16_000)
    short.write_bytes(audio.read_bytes()[:10_000])
    damaged.write_bytes(b"RIFF\0\0\0\0WAVE" + b"nonsense" * 10)
    asked = requests_of(page)
    page.click("#tab-audio")
    for path, expected in (
        (image, "“photo.png” is a PNG image, not an audio file. Choose another one: WAV"),
        (short, "“short.wav” is cut short: it lacks 5"),
        (damaged, "“damaged.wav” cannot be read as audio: it is damaged"),
    ):
        page.set_input_files("#file", path)
        page.wait_for_selector(f"#panel-audio #message:has-text('{expected}')")
        assert page.inner_text("#file-name") == "Drop or choose an audio file"
        assert page.is_disabled("#play")
        assert page.is_disabled("#make-audio")
    page.set_input_files("#file", audio)
    page.wait_for_selector("#file-name:has-text('speech.wav, 0:02')")
    assert not page.is_visible("#message")
    audio.unlink()
    page.click("#play")
    page.wait_for_selector("#message:has-text('“speech.wav” cannot be read')")
    assert sessions(asked) == []


def test_a_file_that_is_dropped_beside_the_box_is_accepted(page: Page, tmp_path: Path) -> None:
    audio = tmp_path / "bulletin.wav"
    media.write_wav(audio, speech_like(1.0), 16_000)
    before = page.url
    dropped = page.evaluate(_DROP, ["#videos-title", audio.name, "audio/wav", list(audio.read_bytes())])
    assert dropped == [True, True]
    page.wait_for_selector("#panel-audio #file-name:has-text('bulletin.wav, 0:01')")
    assert page.url == before
    page.evaluate(_DROP, ["body", "photo.png", "image/png", list(PNG)])
    page.wait_for_selector("#message:has-text('“photo.png” is a PNG image')")
    page.click("#tab-script")
    assert page.evaluate(_DROP, ["#script", "a text", "", None]) == [False, False]  # left to the browser


def test_a_reload_keeps_the_input(page: Page) -> None:
    page.fill("#script", "Good evening.\n\nThis is the news.")
    page.click("#speak-options summary")
    page.focus("#speed")
    page.keyboard.press("ArrowRight")
    page.select_option("#ahead", "320")
    page.click("#tab-mic")
    page.reload()
    page.wait_for_selector("#anchors input", state="attached")
    assert page.input_value("#script") == "Good evening.\n\nThis is the news."
    assert page.inner_text("#script-count") == "32 characters"
    assert page.is_visible("#panel-mic")
    assert page.input_value("#speed") == "1.05"
    page.wait_for_function("() => document.querySelector('#ahead').value === '320'")


def test_a_removal_can_be_undone(page: Page, address: str, tmp_path: Path) -> None:
    audio = tmp_path / "speech.wav"
    media.write_wav(audio, speech_like(1.0), 16_000)
    job = ask(address, "/v1/jobs/audio?title=Morning%20news", audio.read_bytes())["id"]
    until(lambda: ask(address, f"/v1/jobs/{job}")["state"] == "done")
    page.clock.install()
    page.reload()
    row = page.locator("#videos li", has_text="Morning news")
    with page.expect_download() as download:
        row.get_by_text("Download").click()
    assert re.fullmatch(
        r"newscaster-morning-news-\d{4}-\d\d-\d\d-\d{6}\.mp4", download.value.suggested_filename
    )
    row.get_by_text("Remove").dblclick()
    row.get_by_text("Removed.").wait_for()
    assert page.evaluate("() => document.activeElement.textContent") == "Undo"
    page.clock.fast_forward(5_000)
    row.get_by_text("Undo").click()
    row.get_by_text("Download").wait_for()
    page.clock.fast_forward(20_000)
    assert ask(address, f"/v1/jobs/{job}")["state"] == "done"
    page.clock.fast_forward(1_000)
    row.get_by_text("Remove").click()
    row.get_by_text("Removed.").wait_for()
    page.clock.fast_forward(11_000)
    row.wait_for(state="detached")
    assert job not in [listed["id"] for listed in ask(address, "/v1/jobs")]
    assert page.evaluate("() => document.activeElement.id") == "videos-title"


def test_a_closed_page_completes_its_removals(page: Page, address: str, tmp_path: Path) -> None:
    audio = tmp_path / "speech.wav"
    media.write_wav(audio, speech_like(1.0), 16_000)
    job = ask(address, "/v1/jobs/audio?title=Evening%20news", audio.read_bytes())["id"]
    until(lambda: ask(address, f"/v1/jobs/{job}")["state"] == "done")
    page.reload()
    row = page.locator("#videos li", has_text="Evening news")
    row.get_by_text("Remove").click()
    row.get_by_text("Undo").wait_for()
    page.goto("about:blank")
    until(lambda: job not in [listed["id"] for listed in ask(address, "/v1/jobs")])
    page.goto(address)
