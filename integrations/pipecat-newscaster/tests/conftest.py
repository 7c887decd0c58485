"""What the tests share: an anchor of drawn frames and tiny networks."""

from __future__ import annotations

from pathlib import Path

import pytest

import newscaster
from tiny_anchor import write_tiny_anchor


@pytest.fixture(scope="session")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> newscaster.Anchor:
    return newscaster.open(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"), workers=1)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
