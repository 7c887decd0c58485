"""Running Python anew in a test, with the newscaster that is being tested."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import newscaster


def environment() -> dict[str, str]:
    """The environment for it."""
    return {**os.environ, "PYTHONPATH": str(Path(newscaster.__file__).parents[1])}


def end_by_signals() -> None:
    """Let signals end this process, which may be a child of nohup or a job in the background, on Unix."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
