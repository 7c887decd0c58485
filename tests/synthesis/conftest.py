from __future__ import annotations

from pathlib import Path

import pytest

import newscaster
from newscaster.synthesis.anchor import Anchor
from tiny_anchor import write_tiny_anchor


@pytest.fixture(scope="session")
def anchor(tiny: Path) -> Anchor:
    """The tiny anchor, opened once."""
    return newscaster.open(tiny, workers=2)


@pytest.fixture(scope="session")
def larger_anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    """An anchor with room for a label and a watermark."""
    path = write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "larger.anchor", size=(320, 240))
    return newscaster.open(path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where tracks of videos are stored: each video is tracked once."""
    return tmp_path_factory.mktemp("tracks")
