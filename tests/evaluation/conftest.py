from __future__ import annotations

import pytest

from newscaster.synthesis.anchor import Anchor
from talkers import talker


@pytest.fixture(scope="session")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    """The anchor of the made-up face, opened once."""
    return talker(tmp_path_factory.mktemp("anchor"))
