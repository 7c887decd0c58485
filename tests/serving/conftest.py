from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from newscaster import media
from newscaster.serving.app import create_app
from newscaster.serving.settings import Limits, Settings
from studios import ADDRESS, OpenStudio
from tiny_anchor import speech_like, write_tiny_anchor


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor")


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "speech.wav"
    media.write_wav(path, speech_like(1.3), 16_000)
    return path


@pytest.fixture
def open_studio(tiny: Path, tmp_path: Path) -> Iterator[OpenStudio]:
    """A function that opens a studio with these limits and settings, and gives its client."""
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
    """A studio with the usual limits, on loopback."""
    return open_studio()
