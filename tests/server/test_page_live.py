"""The page while the anchor is live, in a real browser: nothing ends without a request."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from browsing import faults_of, new_page
from studios import end_group, limited, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

LONG = "Here is the news of the day, and there is much of it to be read. " * 12
ON_AIR, TALKING, OFF = "#screen.is-live", "#status[data-state=talking]", "#status[data-state=off]"


class Sent:
    """Requests and messages of the page from now on."""

    def __init__(self, page: Page) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        self.messages: list[dict[str, object]] = []
        page.on("request", lambda r: self.requests.append((r.method, urlsplit(r.url).path, r.post_data)))
        page.on("websocket", lambda socket: socket.on("framesent", self._message))

    def _message(self, payload: str | bytes) -> None:
        if isinstance(payload, str):
            self.messages.append(json.loads(payload))

    def count(self, method: str, end: str) -> int:
        return sum(verb == method and path.endswith(end) for verb, path, _ in self.requests)

    def says(self) -> int:
        return sum(message.get("type") == "say" for message in self.messages)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with two anchors."""
    kept = tmp_path_factory.mktemp("kept")
    with serving("grid-s1", "grid-s1", "--sessions", 40, "--data-dir", kept) as (_, address):
        yield address


def say(page: Page, text: str = LONG) -> None:
    page.fill("#script", text)
    page.click("#say")
    page.wait_for_selector(TALKING)


def focused(page: Page) -> str:
    element_id: str = page.evaluate("() => document.activeElement.id")
    return element_id


def test_changes_while_live_apply_without_interruption(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    say(page)
    page.click("#record")
    page.wait_for_selector("#recording-badge:visible")
    sent = Sent(page)
    page.click("#speak-options summary")
    page.focus("#speed")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.focus("#openness")
    page.keyboard.press("ArrowLeft")
    page.focus("#smoothness")
    page.keyboard.press("ArrowRight")
    page.select_option("#voice", index=1)
    with page.expect_response(lambda reply: reply.request.method == "PATCH"):
        page.select_option("#ahead", "320")
    page.wait_for_function("() => document.querySelector('#announce').textContent.includes('next sentence')")
    page.wait_for_timeout(500)
    body = [data for method, _, data in sent.requests if method == "PATCH"][-1]
    expected = {
        "speed": 1.2,
        "openness": 0.95,
        "smoothness": 1.1,
        "look_ahead_ms": 320,
        "pronunciations": None,
    }
    assert body is not None
    assert {**json.loads(body), "voice": None} == {**expected, "voice": None}
    assert json.loads(body)["voice"] == page.input_value("#voice") != ""
    assert page.is_visible(TALKING)
    assert page.is_visible("#recording-badge")
    assert not page.is_visible("#message")
    assert sent.count("POST", "/sessions") == sent.count("POST", "/recording/stop") == 0
    assert not [method for method, _, _ in sent.requests if method == "DELETE"]
    page.click("#record")
    page.wait_for_selector("#videos li:has-text('Recording')")
    page.click("#end")
    page.wait_for_selector(OFF)


def test_another_anchor_appears_after_the_current_speech(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    say(page, "Here is the news of the day, and there is not much of it to be read this time.")
    sent = Sent(page)
    page.focus("#anchors input >> nth=0")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("text=will appear after the current speech or recording")
    assert page.is_visible(TALKING)
    assert sent.count("POST", "/sessions") == 0
    with page.expect_request(lambda r: r.method == "POST" and r.url.endswith("/sessions")) as begun:
        pass
    assert json.loads(begun.value.post_data or "")["anchor"] == "grid-s1-2"
    page.wait_for_selector(ON_AIR)
    for key in ("ArrowUp", "ArrowDown", "ArrowUp"):  # without speech, at once
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelector('#status').dataset.state === 'live'")
    page.wait_for_timeout(1000)
    last = [data for method, path, data in sent.requests if (method, path) == ("POST", "/v1/sessions")][-1]
    assert json.loads(last or "")["anchor"] == "grid-s1"
    assert page.is_visible(ON_AIR)


def test_every_button_acts_once_when_it_is_pressed_twice(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    sent = Sent(page)
    page.fill("#script", "Here is the news.")
    page.dblclick("#say")
    page.wait_for_selector(TALKING)
    assert (sent.says(), sent.count("POST", "/sessions")) == (1, 1)
    page.wait_for_timeout(600)
    page.focus("#say")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.focus("#script")
    page.wait_for_timeout(600)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(300)
    assert sent.says() == 3
    page.dblclick("#record")
    page.wait_for_selector("#recording-badge:visible")
    page.wait_for_timeout(600)
    assert page.is_visible("#recording-badge")
    page.dblclick("#record")
    page.wait_for_selector("#recording-badge", state="hidden")
    page.wait_for_timeout(300)
    assert (sent.count("POST", "/recording"), sent.count("POST", "/recording/stop")) == (1, 1)
    page.dblclick("#mute")
    assert page.inner_text("#mute-label") == "Audio off"
    page.dblclick("#make-script")
    page.dblclick("#end")
    page.wait_for_selector(OFF)
    page.wait_for_timeout(300)
    assert sent.count("POST", "/jobs") == 1
    deleted = [path for method, path, _ in sent.requests if method == "DELETE"]
    assert len(deleted) == 1
    page.dblclick("#go-live")
    page.wait_for_selector(ON_AIR)
    assert sent.count("POST", "/sessions") == 2


def test_the_focus_moves_to_the_next_control(page: Page) -> None:
    page.focus("#go-live")
    page.keyboard.press("Enter")
    page.wait_for_selector(ON_AIR)
    page.wait_for_function("() => document.activeElement.id === 'stop'")
    page.focus("#end")
    page.keyboard.press("Enter")
    page.wait_for_selector(OFF)
    assert focused(page) == "go-live"


def test_the_delay_is_shown_only_during_speech(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    page.click("#go-live")
    page.wait_for_selector("#status[data-state=live]")
    assert page.inner_text("#delay") == "–"
    say(page, "Here is the news.")
    page.wait_for_function("() => document.querySelector('#delay').textContent.endsWith('ms')")
    page.wait_for_selector("#status[data-state=live]")
    assert page.inner_text("#delay") == "–"


_MICROPHONE = """
  window.tracks = [];
  const devices = navigator.mediaDevices;
  const real = devices.getUserMedia.bind(devices);
  window.permission = Promise.resolve();
  devices.getUserMedia = async (wanted) => {
    await window.permission;
    const stream = await real(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
"""
_ASK = "() => { window.permission = new Promise((yes, no) => Object.assign(window, { yes, no })); }"
_OPEN = "() => window.tracks.filter((track) => track.readyState === 'live').length"


@pytest.fixture
def with_microphone(page: Page) -> Page:
    page.add_init_script(_MICROPHONE)
    page.reload()
    page.wait_for_selector("#anchors input", state="attached")
    page.click("#tab-mic")
    return page


@pytest.mark.parametrize("by", ["#mic", "#stop", "#end"])
def test_the_microphone_is_opened_once_and_always_closed(with_microphone: Page, by: str) -> None:
    page = with_microphone
    page.evaluate(_ASK)
    page.click("#mic")
    page.wait_for_timeout(600)
    page.click("#mic")
    page.evaluate("() => window.yes()")
    page.wait_for_selector(ON_AIR)
    page.wait_for_selector("#mic[aria-pressed=true]")
    assert page.evaluate("() => window.tracks.length") == 1
    assert page.evaluate(_OPEN) == 1
    page.wait_for_function("() => Number(document.getElementById('meter').getAttribute('aria-valuenow')) > 0")
    page.wait_for_selector("#mic:not([aria-busy])")
    page.wait_for_timeout(600)
    page.click(by)
    page.wait_for_selector("#mic[aria-pressed=false]")
    assert page.evaluate(_OPEN) == 0
    assert not page.is_visible("#message")


def test_a_microphone_that_is_stopped_during_its_request(with_microphone: Page) -> None:
    page = with_microphone
    sent = Sent(page)
    page.evaluate(_ASK)
    page.click("#mic")
    page.keyboard.press("Escape")
    page.evaluate("() => window.yes()")
    page.wait_for_function("() => window.tracks.length === 1")
    page.wait_for_selector("#mic:not([aria-busy])")
    assert page.evaluate(_OPEN) == 0
    assert page.get_attribute("#mic", "aria-pressed") == "false"
    assert sent.count("POST", "/sessions") == 0


def test_a_blocked_microphone_starts_no_session(with_microphone: Page) -> None:
    page = with_microphone
    sent = Sent(page)
    page.evaluate(_ASK)
    page.click("#mic")
    page.evaluate("() => window.no(new DOMException('no', 'NotAllowedError'))")
    page.wait_for_selector("#panel-mic >> text=The microphone is blocked.")
    assert sent.count("POST", "/sessions") == 0
    assert page.is_visible(OFF)


def test_a_microphone_that_this_browser_cannot_use_is_closed(with_microphone: Page) -> None:
    page = with_microphone
    page.evaluate("() => { AudioWorklet.prototype.addModule = () => Promise.reject(new Error('no')); }")
    page.click("#mic")
    page.wait_for_selector("#panel-mic >> text=This browser cannot use the microphone here.")
    assert page.evaluate(_OPEN) == 0
    assert page.is_visible(OFF)


def test_a_studio_that_dies_is_noticed_and_connected_to_again(browser: Browser, tmp_path: Path) -> None:
    """A page that talks and one that does nothing: the studio is suspended, killed, and started again."""
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    silent = "#silence:has-text('does not answer')"
    with new_page(browser) as talking, new_page(browser) as idle:
        with serving("grid-s1", "--data-dir", tmp_path) as (process, address):
            for page in (talking, idle):
                faults_of(page, address)
                page.goto(address)
                page.wait_for_selector("#anchors input", state="attached")
            say(talking)
            sent = Sent(talking)
            os.killpg(process.pid, signal.SIGSTOP)
            for page in (talking, idle):
                page.wait_for_selector(silent)
                assert page.inner_text("#status") == "No answer"
            os.killpg(process.pid, signal.SIGCONT)
            for page in (talking, idle):
                page.wait_for_selector("#silence", state="hidden")
            talking.wait_for_selector("#status:not([data-state=down])")
            assert talking.is_visible(ON_AIR)
            assert sent.count("POST", "/sessions") == 0  # the same session goes on
            end_group(process)
            for page in (talking, idle):
                page.wait_for_selector(silent)
        assert not talking.is_visible(ON_AIR)
        talking.click("#say")
        talking.wait_for_selector("#message:has-text('The studio does not answer')")
        assert talking.input_value("#script") == LONG
        port = urlsplit(address).port
        assert port is not None
        with serving("grid-s1", "--data-dir", tmp_path, port=port):
            for page in (talking, idle):
                page.wait_for_selector("#silence", state="hidden")
            talking.wait_for_selector(ON_AIR)
            talking.wait_for_selector("text=The studio is back. Pending speech was dropped")
            idle.wait_for_selector(OFF)
            say(idle, "Here is the news.")


def test_a_recording_that_ends_by_itself_is_reported_beside_record(
    browser: Browser, tiny: Path, tmp_path: Path
) -> None:
    with limited(tiny, tmp_path / "kept", recording_seconds=1.0) as (_, port), new_page(browser) as page:
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_selector("#anchors input", state="attached")
        page.click("#go-live")
        page.wait_for_selector(ON_AIR)
        page.click("#record")
        page.wait_for_selector("#message")
        assert page.inner_text("#message") == (
            "The recording ended, and is stored: the maximum length of a recording is 1 s."
        )
        assert page.locator(":has(> #record) + #message").count() == 1  # it follows the row of the button
        page.wait_for_selector("#videos li:has-text('Recording')")
        assert page.get_attribute("#record", "aria-pressed") == "false"
        assert not page.is_visible("#recording-badge")
        assert page.is_visible(ON_AIR)
        page.click("#record")  # another one can be made
        page.wait_for_function("() => document.querySelectorAll('#videos li').length === 2")
