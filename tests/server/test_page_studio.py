"""The rundown, captions, videos, verification, embedding, output and languages, in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from browsing import faults_of, new_page
from newscaster import media
from page_looks import assert_fit
from studios import ask, serving, until
from tiny_anchor import speech_like

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

_PRESS_MS = 600
"""Longer than the time within which a second press counts as a part of the first."""
_LONG = (
    "The talks between the two parties went on until late on Friday evening, and they will begin again next "
    "week, when the ministers of all the countries around the lake are back in the capital."
)
"""A sentence of about ten seconds: time enough for a slow machine to interrupt it."""
_WATCH_WORDS = """
  () => {
    window.spoken = new Set();
    const marked = () => [...document.querySelectorAll("#caption .is-spoken")];
    const note = () => marked().forEach((e) => window.spoken.add(e.textContent));
    const options = { subtree: true, childList: true, attributes: true };
    new MutationObserver(note).observe(document.getElementById("caption"), options);
  }
"""
_STATUS_OF_JOBS = """
  () => import("/page/api.js").then((api) => api.get("/jobs")).catch((error) => error.status)
"""
_KEYED = """
  async () => {
    const { withoutGreen } = await import("/page/chroma-key.js");
    const pixels = [[0, 255, 0], [120, 90, 80], [60, 150, 50], [40, 50, 45]];
    const data = new Uint8ClampedArray(pixels.flatMap((pixel) => [...pixel, 255]));
    withoutGreen(data);
    return pixels.map((_, i) => [...data.slice(4 * i, 4 * i + 4)]);
  }
"""


def press(page: Page, selector: str) -> None:
    page.wait_for_timeout(_PRESS_MS)
    page.click(selector)


def states(page: Page) -> list[str]:
    return page.locator("#rundown-list .state").all_inner_texts()


def test_a_rundown_is_spoken_with_captions(page: Page) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    for text in (f"One is here. {_LONG}", "Three.", "Two."):
        page.fill("#script", text)
        press(page, "#rundown-add")
    page.focus("#rundown-list li:nth-child(3) [data-step='-1']")
    page.keyboard.press("Enter")
    titles = page.locator("#rundown-list .title").all_inner_texts()
    assert [title.split(" ")[0] for title in titles] == ["One", "Two.", "Three."]
    assert page.evaluate("() => document.activeElement.dataset.step") == "-1"
    assert_fit(page, "rundown")
    page.evaluate(_WATCH_WORDS)
    press(page, "#rundown-play")
    page.wait_for_selector("#caption:has-text('The talks between')")
    assert page.inner_text("#caption") == _LONG
    page.wait_for_function("() => window.spoken.has('parties')")
    press(page, "#rundown-play")  # pauses
    page.wait_for_selector("#rundown-list li:nth-child(1) .state:text-is('Paused')")
    page.reload()
    page.wait_for_selector("#rundown-list li")
    assert states(page) == ["Paused", "", ""]
    press(page, "#rundown-play")  # goes on with the sentence that was interrupted
    page.wait_for_selector("#caption:not(:empty)")
    assert page.inner_text("#caption") == _LONG
    press(page, "#rundown-skip")
    page.wait_for_selector("#rundown-list li:nth-child(3)[aria-current]")
    page.wait_for_selector("#rundown-list li:nth-child(3) .state:text-is('Spoken')")
    assert states(page) == ["Skipped", "Spoken", "Spoken"]


def test_an_anchor_is_embedded_and_interrupted(browser: Browser, address: str) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    with new_page(browser) as page:
        faults = faults_of(page, address)
        page.goto(f"{address}/embed/grid-s1?{urlencode({'text': _LONG})}")
        page.click("#go-live:enabled")
        page.wait_for_selector("#caption:has-text('The talks between')")
        assert_fit(page, "embed")
        session = page.evaluate("() => performance.getEntriesByType('resource').map(({ name }) => name)")
        (path,) = {name.split("/v1/")[1].rsplit("/", 1)[0] for name in session if name.endswith("/webrtc")}
        output = page.context.new_page()
        output.goto(f"{address}/output/{path.split('/')[1]}")
        output.wait_for_function("() => document.querySelector('#video').videoWidth > 0")
        assert output.inner_text("body") == ""
        assert output.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
        background, skin, hair, coat = output.evaluate(_KEYED)
        assert background[3] == 0
        assert (skin, coat) == ([120, 90, 80, 255], [40, 50, 45, 255])
        assert hair[:3] == [60, 60, 50]  # without its green
        assert 80 < hair[3] < 130
        output.close()
        assert ask(address, f"/v1/{path}")["id"]  # it goes on
        page.click("#stop")
        page.wait_for_selector("#go-live:visible")
        assert page.inner_text("#caption") == ""
        assert not faults


def test_addresses_to_give_away_open_nothing_else(browser: Browser, tmp_path: Path) -> None:
    """Each works in a browser that knows no other token, and is refused elsewhere."""
    with serving("builtin", "--data-dir", tmp_path, token=True) as (_, link), new_page(browser) as page:
        address, token = link.split("/#token=")
        faults = faults_of(page, address)
        page.goto(link)
        page.click("#go-live:enabled")
        page.wait_for_function("() => document.querySelector('#video').videoWidth > 0")
        page.click("#share-options summary")
        output, embed = (_copied(page, button, address) for button in ("#output-copy", "#embed-copy"))
        assert not faults
        assert token not in output + embed
        for url, started in ((output, "#video"), (embed, "#go-live:enabled")):
            with new_page(browser) as other:
                others = faults_of(other, address)
                other.goto(url)
                if started != "#video":
                    other.click(started)
                other.wait_for_function("() => document.querySelector('#video').videoWidth > 0")
                refused = (
                    "() => import('/page/api.js').then((api) => api.get('/jobs')).catch((e) => e.status)"
                )
                assert other.evaluate(refused) == 403
                assert not others


def _copied(page: Page, button: str, address: str) -> str:
    """Press a button that copies an address; return the address, as the message shows it."""
    press(page, button)
    text = page.wait_for_selector(f"#message:has-text('{address}')").inner_text()
    return next(part.strip('"') for part in text.replace("src=", " ").split() if address in part)


def test_videos_are_found_watched_and_made_again(browser: Browser, address: str, tmp_path: Path) -> None:
    audio = tmp_path / "speech.wav"
    media.write_wav(audio, speech_like(1.0), 16_000)
    job = ask(address, "/v1/jobs/audio?title=bulletin", audio.read_bytes())["id"]
    until(lambda: ask(address, f"/v1/jobs/{job}")["state"] == "done")
    with new_page(browser) as page:
        faults = faults_of(page, address)
        page.route("**/v1/jobs", lambda route: _with_scripts(route))
        page.route("**/v1/jobs/made-up-1/script", lambda route: route.fulfill(body="Script 1.\n\nIts end."))
        page.goto(address)
        page.wait_for_selector("#videos .thumb img[src]")
        page.fill("#search", "bull in")
        page.wait_for_function("() => document.querySelectorAll('#videos li').length === 1")
        page.click("#videos .thumb")
        page.wait_for_function("() => document.querySelector('#watch-video').readyState > 1")
        assert_fit(page, "watch")
        page.keyboard.press("Escape")
        page.fill("#search", "nothing")
        page.wait_for_selector("#no-matches:visible")
        page.fill("#search", "script 1")
        press(page, "#videos >> text=Again")
        page.wait_for_function("() => document.querySelector('#script').value === 'Script 1.\\n\\nIts end.'")
        assert page.input_value("#speed") == "1.5"
        assert page.input_value("#pronunciations") == "WHO = W.H.O"
        assert page.evaluate("() => document.activeElement.id") == "script"
        assert not faults


def _with_scripts(route: Route) -> None:
    jobs = route.fetch().json()
    made_up = [
        {
            **jobs[0],
            "id": f"made-up-{number}",
            "title": f"Script {number}",
            "script": f"/v1/jobs/made-up-{number}/script",
            "speed": 1.5,
            "pronunciations": {"WHO": "W.H.O"},
            "video": None,
            "poster": None,
        }
        for number in range(3)
    ]
    route.fulfill(body=json.dumps([*made_up, *jobs]), content_type="application/json")


FOUND: dict[str, Any] = {
    "verdict": "broken",
    "unchanged": False,
    "local": True,
    "reasons": ["<img src=x onerror=alert(1)> differs"],
    "notes": [],
    "generator": "newscaster",
    "signer": "<b>signer</b>",
    "signed_at": None,
    "ingredients": [],
    "statement": None,
    "watermark": None,
}


def test_a_dropped_video_is_verified_in_german(browser: Browser, address: str, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"video")
    with new_page(browser) as page:
        page.route("**/v1/verify", lambda route: route.fulfill(json=FOUND))
        page.goto(address)
        page.select_option("#language", "de")
        page.wait_for_selector("#go-live:has-text('Auf Sendung gehen')")
        assert page.get_attribute("html", "lang") == "de"
        page.click("#verify-options summary")
        page.set_input_files("#verify-file", video)
        page.wait_for_selector("#verify-result[data-verdict=unusable]:visible")
        assert (
            page.inner_text("#verify-headline") == "Verändert: Das Video ist nicht das, das signiert wurde."
        )
        shown = page.locator("#verify-facts dd").all_inner_texts()
        assert shown[:3] == [FOUND["reasons"][0], "newscaster", "<b>signer</b>"]  # as text, not as markup
        page.click("#new-options summary")
        page.click("#speak-options summary")
        assert_fit(page, "german")
