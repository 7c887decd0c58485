"""Compares dependencies with the known vulnerabilities that requirements/advisories.toml lists.

Without a network: what pyproject.toml permits, what the lock holds, and what is installed here must not be
older than a package's floor, its first release without known vulnerabilities. With --online, pip-audit asks
the database of advisories about the locked versions and PyTorch's.
"""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

from lock import LEFT_OUT, LOCK, ROOT, listed_for
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

TABLE = ROOT / "requirements" / "advisories.toml"
EXTRAS = (None, "train", "openvino", "cuda", "tts", "piper", "joe", "serve", "dev")
_DATABASE = ("pypi.org", 443)
_REACH_SECONDS = 10


def floors() -> dict[str, Version]:
    """By name, the first release without known vulnerabilities."""
    return {name: Version(entry["floor"]) for name, entry in _table()["floors"].items()}


def _table() -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return found


def permitted() -> dict[str, SpecifierSet]:
    """By name, the versions that pyproject.toml permits, of the base installation and of every extra."""
    found: dict[str, SpecifierSet] = {}
    for extra in EXTRAS:
        for text in listed_for(extra):
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            found[name] = found.get(name, SpecifierSet()) & requirement.specifier
    return found


def locked() -> dict[str, Version]:
    """By name, the versions of the lock."""
    pins = re.findall(r"^([a-z0-9-]+)==(\S+) ", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: Version(version) for name, version in pins}


def installed() -> dict[str, Version]:
    """By name, the versions that are installed here."""
    return {canonicalize_name(one.name): Version(one.version) for one in metadata.distributions()}


def below(versions: dict[str, Version], *, where: str) -> list[str]:
    """A line for each version that is older than its floor."""
    return [
        f"{where}: {name} {versions[name]} is older than {floor}: {_advisories(name)}"
        for name, floor in floors().items()
        if name in versions and versions[name] < floor
    ]


def permits_below(permits: dict[str, SpecifierSet]) -> list[str]:
    """A line for each package that pyproject.toml names without its floor, or should name and does not."""
    wrong = []
    for name, entry in _table()["floors"].items():
        if name not in permits:
            if not entry.get("indirect"):
                wrong.append(f"pyproject.toml: {name} is not named; expected {name}>={entry['floor']}")
            continue
        lowest = [Version(one.version) for one in permits[name] if one.operator in (">=", "==", "~=")]
        if not lowest or max(lowest) < Version(entry["floor"]):
            wrong.append(f"pyproject.toml: {name} may be older than {entry['floor']}: {_advisories(name)}")
    return wrong


def _advisories(name: str) -> str:
    return ", ".join(_table()["floors"][name]["advisories"])


def offline() -> int:
    """Compare with the table; 1 where something is older than it should be."""
    wrong = [
        *permits_below(permitted()),
        *below(locked(), where=str(LOCK.relative_to(ROOT))),
        *below(installed(), where="installed here"),
    ]
    for line in wrong:
        print(line)
    reviewed = _table()["reviewed"]
    print(f"{len(floors())} floors of {TABLE.relative_to(ROOT)}, reviewed {reviewed}: {len(wrong)} missed")
    return 1 if wrong else 0


def online(pip_audit: str) -> int:
    """Ask the database; 1 where it knows a vulnerability or not the package, 2 where it cannot be reached."""
    try:
        socket.create_connection(_DATABASE, timeout=_REACH_SECONDS).close()
    except OSError as error:
        print(
            f"{_DATABASE[0]} cannot be reached ({error}): the database of advisories is there. make check "
            f"compares with {TABLE.relative_to(ROOT)} without a network"
        )
        return 2
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pins = {name: str(version) for name, version in locked().items()}
    pins |= {name: _pinned_in(makefile, name) for name in LEFT_OUT}
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        ignored = [word for entry in _table()["open"] for word in ("--ignore-vuln", entry["id"])]
        # strict: a package that the database does not answer about is an error, not a warning
        command = [
            pip_audit,
            "--strict",
            "--requirement",
            str(wanted),
            "--no-deps",
            "--disable-pip",
            *ignored,
        ]
        return subprocess.run(command, check=False).returncode


def _pinned_in(makefile: str, name: str) -> str:
    found = re.search(rf"\b{name}==(\S+)", makefile)
    if found is None:
        raise SystemExit(f"the Makefile names no release of {name}")
    return found[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--online", metavar="PIP_AUDIT", help="ask the database, with this pip-audit")
    options = parser.parse_args()
    return offline() if options.online is None else online(options.online)


if __name__ == "__main__":
    sys.exit(main())
