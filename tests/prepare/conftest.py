from __future__ import annotations

import pytest

from footage import accept_short_footage, make_up_faces, shorten_target


@pytest.fixture
def made_up_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations in this process find made-up faces in footage, whatever it shows."""
    make_up_faces(monkeypatch)


@pytest.fixture
def short_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations in this process take a few frames as the target video."""
    shorten_target(monkeypatch)


@pytest.fixture
def short_footage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparations in this process accept footage of 4 s."""
    accept_short_footage(monkeypatch)
