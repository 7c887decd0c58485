"""What the tests say if there is no browser to run them in: visible where one looks, and a failure in CI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fresh_python import environment

ROOT = Path(__file__).parents[1]
MISSING = "Chromium is not installed (apt-get install chromium"


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    """Some browser tests, with no program on the path."""
    inherited = {
        name: value for name, value in environment().items() if name not in ("CI", "NEWSCASTER_CHROMIUM")
    }
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-m",
            "browser",
            "tests/server/test_page_input.py",
        ],
        cwd=ROOT,
        env={**inherited, "PATH": "", **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_without_a_browser_the_last_lines_say_so() -> None:
    made = run()
    assert made.returncode == 0
    assert f"browser tests: SKIPPED: {MISSING}" in made.stdout.splitlines()[-2]


@pytest.mark.slow
def test_without_a_browser_continuous_integration_fails() -> None:
    made = run(CI="true")
    assert made.returncode == 1
    assert MISSING in made.stdout
    assert "browser tests: " in made.stdout.splitlines()[-2]
    assert "SKIPPED" not in made.stdout
