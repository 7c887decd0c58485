"""Running Python anew in a test, with the newscaster that is being tested."""

from __future__ import annotations

import os
from pathlib import Path

import newscaster

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(newscaster.__file__).parents[1])}
