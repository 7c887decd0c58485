from __future__ import annotations

import pytest

from footage import make_up_faces, shorten_target


@pytest.fixture
def made_up_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations in this process find made-up faces in footage, whatever it shows."""
    make_up_faces(monkeypatch)


@pytest.fixture
def short_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations in this process take a few frames as the target video."""
    shorten_target(monkeypatch)
