from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from browsing import faults_of, find_chromium, missing_for_browser_tests, new_page, open_browser
from newscaster import media
from newscaster.server.app import create_app
from newscaster.server.settings import Limits, Settings
from studios import ADDRESS, OpenStudio, serving
from tiny_anchor import speech_like, write_tiny_anchor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor")


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    media.write_wav(path, speech_like(1.3), 16_000)
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program of the browser. If something is missing, the test is skipped, or fails in CI."""
    missing = missing_for_browser_tests()
    if missing is not None:
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    program = find_chromium()
    assert program is not None
    return program


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser per module; each test has a page with its own storage."""
    with open_browser(chromium) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with the bundled anchor."""
    with serving("--sessions", 40, "--data-dir", tmp_path_factory.mktemp("kept")) as (_, address):
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page of the studio. Errors in it, and requests to other hosts, fail the test."""
    with new_page(browser) as page:
        faults = faults_of(page, address)
        page.goto(address)
        page.wait_for_selector("#anchors input", state="attached")
        yield page
        assert not faults


@pytest.fixture
def open_studio(tiny: Path, tmp_path: Path) -> Iterator[OpenStudio]:
    """A function that opens a studio with given limits and settings, and returns its client."""
    with ExitStack() as stack:

        def make(*, limits: dict[str, Any] | None = None, **options: Any) -> TestClient:
            settings = Settings(
                anchors=(str(tiny),), keep=tmp_path / "kept", limits=Limits(**(limits or {})), **options
            )
            client = TestClient(create_app(settings), base_url=ADDRESS, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def studio(open_studio: OpenStudio) -> TestClient:
    """A studio with the default limits, on loopback."""
    return open_studio()
