"""Writes requirements/ci.txt: what `make setup` installs for CI, in exact versions with their hashes.

It locks what is installed here, after `make setup` and tests that passed, and asks pip which files those are.
PyTorch is left out: which build of it is right depends on the machine, and the Makefile names its exact
release. Run with --fits, it only says whether the lock is for this Python and machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "ci.txt"
EXTRAS = ("train", "tts", "dev", "docs")
LEFT_OUT = frozenset({"torch"})


def here() -> str:
    """Which Python and machine this is."""
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{sys.implementation.name} {version}, {sys.platform}, {platform.machine()}"


def needed() -> dict[str, str]:
    """Name and version of all that newscaster and these extras need, and what they need in turn."""
    listed = [text for part in (None, *EXTRAS) for text in listed_for(part)]
    found, missing = closure(listed)
    if missing:
        raise SystemExit(f"not installed here: {', '.join(missing)}. Run make setup first")
    return {name: found[name] for name in sorted(found.keys() - LEFT_OUT)}


def listed_for(extra: str | None) -> list[str]:
    """What pyproject.toml lists for an extra; None: for every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: list[str] = project["dependencies"] if extra is None else project["optional-dependencies"][extra]
    return found


def closure(listed: list[str]) -> tuple[dict[str, str], list[str]]:
    """Name and version of what is listed and what that needs in turn; names that are not installed here."""
    from packaging.requirements import Requirement  # not there yet where --fits is asked
    from packaging.utils import canonicalize_name

    todo = [(Requirement(text), "") for text in listed]
    found: dict[str, str] = {}
    missing, done = set(), set()
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name == "newscaster":  # one extra takes another
            todo += [(Requirement(text), "") for more in requirement.extras for text in listed_for(more)]
            continue
        for more in ("", *sorted(requirement.extras)):
            if (name, more) in done:
                continue
            done.add((name, more))
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                missing.add(name)
                continue
            found[name] = distribution.version
            todo += [(Requirement(text), more) for text in distribution.requires or []]
    return found, sorted(missing)


def hashes(pins: dict[str, str]) -> dict[str, str]:
    """The sha256 of the file that pip takes for each, on this machine."""
    from packaging.utils import canonicalize_name

    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "wanted.txt", Path(folder) / "report.json"
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--disable-pip-version-check"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            *options,
            "--report",
            str(report),
            "-r",
            str(wanted),
        ]
        subprocess.run(command, check=True)
        taken = json.loads(report.read_text())["install"]
    return {
        canonicalize_name(one["metadata"]["name"]): one["download_info"]["archive_info"]["hashes"]["sha256"]
        for one in taken
    }


def fits() -> bool:
    """Whether the lock is for this Python and machine."""
    return LOCK.is_file() and LOCK.read_text().startswith(f"# {here()}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", action="store_true", help="end with 0 where the lock is for this machine")
    if parser.parse_args().fits:
        return 0 if fits() else 1
    pins = needed()
    files = hashes(pins)
    lines = [f"{name}=={version} --hash=sha256:{files[name]}\n" for name, version in pins.items()]
    LOCK.parent.mkdir(exist_ok=True)
    begin = f"# {here()}\n# Made by `make lock`; installed by `make setup`. PyTorch: see the Makefile.\n"
    LOCK.write_text(begin + "".join(lines))
    print(f"{LOCK}: {len(pins)} packages, {here()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
