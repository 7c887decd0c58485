"""Interrupted runs of `make setup` and `make demo`. A stand-in takes the place of Python and pip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
# `python3 -m venv FOLDER`. With the file stop-venv beside it, it ends when half is done.
folder="$3"
mkdir -p "$folder/bin"
cp "$(dirname "$0")/in-venv" "$folder/bin/python"
test ! -e "$(dirname "$0")/stop-venv" || exit 1
touch "$folder/pip"
"""
IN_VENV = """#!/bin/sh
# `python -m pip ...`. pip takes a half-installed package for a whole one.
folder="$(dirname "$0")/.."
case "$*" in
"-m pip --version") test -e "$folder/pip" ;;
"-m pip install "*)
    test -e "$folder/pip" || exit 1
    if test -e "$folder/half"; then exit 0; fi
    touch "$folder/half"
    test ! -e "{beside}/stop-pip" || exit 1
    rm "$folder/half"
    printf '#!/bin/sh\\necho spoken\\n' > "$folder/bin/newscaster"
    chmod +x "$folder/bin/newscaster" ;;
*) exit 1 ;;
esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


class Checkout:
    """A folder with the Makefile and the stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in (("python3", PYTHON), ("in-venv", IN_VENV.replace("{beside}", str(folder)))):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "pyproject.toml").touch()

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        command = ["make", "--silent", target, f"PYTHON={self.folder / 'python3'}", "LOCKED="]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def stopped(self, at: str, target: str) -> None:
        """Run a target that ends at this point."""
        (self.folder / f"stop-{at}").touch()
        assert self.make(target).returncode != 0
        (self.folder / f"stop-{at}").unlink()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("at", ["venv", "pip"])
def test_a_demo_that_was_interrupted_works_when_it_is_called_again(checkout: Checkout, at: str) -> None:
    checkout.stopped(at, "demo")
    made = checkout.make("demo")
    assert (made.returncode, made.stdout.splitlines()[-1:]) == (0, ["spoken"]), made.stderr
    assert not (checkout.folder / ".venv" / ".unfinished").exists()


def test_a_demo_works_after_a_setup_that_was_interrupted(checkout: Checkout) -> None:
    assert checkout.make("demo").returncode == 0
    (checkout.folder / ".venv" / "bin" / "newscaster").unlink()
    checkout.stopped("pip", "setup")
    assert checkout.make("demo").stdout.splitlines()[-1:] == ["spoken"]


def test_an_environment_of_the_users_is_never_removed(checkout: Checkout) -> None:
    own = checkout.folder / ".venv" / "own"
    own.parent.mkdir()
    own.touch()
    refused = checkout.make("demo")
    assert refused.returncode != 0
    assert ".venv has no working pip, and make did not make it" in refused.stdout
    subprocess.run([checkout.folder / "python3", "-m", "venv", own.parent], check=True)
    checkout.stopped("pip", "demo")
    checkout.make("demo")
    assert own.exists()
