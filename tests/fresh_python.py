"""Running Python anew in a test, with the newscaster that is being tested."""

from __future__ import annotations

import os
from pathlib import Path

import newscaster


def environment() -> dict[str, str]:
    """The environment for it."""
    return {**os.environ, "PYTHONPATH": str(Path(newscaster.__file__).parents[1])}
