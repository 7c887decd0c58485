"""A real browser before the studio's page, and what it sees and hears: for tests and for benchmarks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]

# Remembers the page's connections, so that their figures can be read.
_BEFORE = """
  window.connections = [];
  const Real = RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...given) { super(...given); window.connections.push(this); }
  };
"""

# For every frame shown: when, how bright the box around the mouth is, how loud what is played then is.
# Of the browser's own level meter: Web Audio has a buffer of its own, and would hear it later.
_WATCH = """
  ([left, top, right, bottom]) => {
    const video = document.getElementById("video");
    const canvas = new OffscreenCanvas(right - left, bottom - top);
    const brush = canvas.getContext("2d", { willReadFrequently: true });
    const receivers = window.connections.at(-1).getReceivers();
    const receiver = receivers.find(({ track }) => track.kind === "audio");
    const loudness = () => receiver.getSynchronizationSources()[0]?.audioLevel ?? 0;
    window.seen = [];
    window.heard = [];
    const look = () => {
      brush.drawImage(video, left, top, right - left, bottom - top, 0, 0, right - left, bottom - top);
      const { data } = brush.getImageData(0, 0, right - left, bottom - top);
      let sum = 0;
      for (let i = 0; i < data.length; i += 4)
        sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      window.seen.push([performance.now(), (4 * sum) / data.length, loudness()]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    setInterval(() => window.heard.push([performance.now(), loudness()]), 10);
  }
"""

_FIGURES = """
  async () => {
    const last = window.connections.at(-1);
    const found = {};
    for (const entry of (await last.getStats()).values())
      if (entry.type === "inbound-rtp") found[entry.kind] = entry;
    return found;
  }
"""


def find_chromium() -> str | None:
    """Where Chromium is: NEWSCASTER_CHROMIUM, or one on the path."""
    named = os.environ.get("NEWSCASTER_CHROMIUM")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


def missing_for_browser_tests() -> str | None:
    """What browser tests need and this machine lacks, and how to install it; None if nothing is missing."""
    for module, package in (("playwright", "playwright"), ("axe_playwright_python", "axe-playwright-python")):
        if find_spec(module) is None:
            return f"{package} is not installed (make setup)"
    if find_chromium() is None:
        return "Chromium is not installed (apt-get install chromium; NEWSCASTER_CHROMIUM names another)"
    return None


def faults_of(page: Page, address: str) -> list[str]:
    """A list that grows: errors that nothing in the page has caught, and requests to other hosts."""
    faults: list[str] = []
    own = (address, address.replace("http", "ws"), "blob:", "data:")
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(own) else faults.append(request.url))
    return faults


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """A fresh browser. Its thread runs an event loop while it is open: tests of asyncio cannot run then."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser, *, width: int = 480, height: int = 800, dark: bool = False) -> Iterator[Page]:
    """A page with cookies, storage and permissions of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",  # a colour half way between two is none to measure
    )
    try:
        page = context.new_page()
        page.add_init_script(_BEFORE)
        page.set_default_timeout(60_000)
        yield page
    finally:
        context.close()


@contextmanager
def browser_page(chromium: str, *, width: int = 480, height: int = 800, dark: bool = False) -> Iterator[Page]:
    """A page of a fresh browser."""
    with open_browser(chromium) as browser, new_page(browser, width=width, height=height, dark=dark) as page:
        yield page


def watch(page: Page, box: tuple[int, int, int, int]) -> None:
    """Begin to look at a box (left, top, right, bottom) of the video, and to listen."""
    page.evaluate(_WATCH, list(box))


def seen(page: Page) -> np.ndarray:
    """(F, 3): of every frame so far its time in ms, the box's brightness, and how loud it was."""
    return np.array(page.evaluate("() => window.seen"), float).reshape(-1, 3)


def heard(page: Page) -> np.ndarray:
    """(N, 2): every 10 ms or so, the time in ms and how loud it was."""
    return np.array(page.evaluate("() => window.heard"), float).reshape(-1, 2)


def figures(page: Page) -> dict[str, Any]:
    """What the browser says of the streams it receives, `audio` and `video`."""
    found: dict[str, Any] = page.evaluate(_FIGURES)
    return found


def mouth_box(anchor: Any) -> tuple[int, int, int, int]:
    """The lips and what is below them, in pixels, over the whole stage."""
    from newscaster.face.topology import OUTER_LIPS

    points = anchor.face.landmarks[:, list(OUTER_LIPS), :2]
    left, top = np.floor(points.min((0, 1))).astype(int)
    right, bottom = np.ceil(points.max((0, 1))).astype(int)
    return int(left), int(top), int(right), int(bottom) + 8
