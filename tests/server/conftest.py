from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from browsing import faults_of, find_chromium, missing_for_browser_tests, new_page, open_browser
from newscaster.server import jobs, media_api
from newscaster.server.job_process import Task, _failure
from studios import OpenStudio, opening, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
    """A studio with the bundled anchor of the smallest frames."""
    with serving("grid-s1", "--sessions", 40, "--data-dir", tmp_path_factory.mktemp("kept")) as (_, address):
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
    with opening(tiny, tmp_path / "kept") as open_studio:
        yield open_studio


@pytest.fixture
def studio(open_studio: OpenStudio) -> TestClient:
    """A studio with the default limits, on loopback."""
    return open_studio()


@pytest.fixture
def jobs_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs and other tasks run in a thread of this process."""

    async def run(work: Task, *, progress: Callable[..., None]) -> dict[str, Any]:
        try:
            return {"state": "done", **await asyncio.to_thread(work.run, progress)}
        except Exception as error:
            return _failure(error, work.folder)

    monkeypatch.setattr(media_api, "run_work", run)
    monkeypatch.setattr(jobs, "run_work", run)
