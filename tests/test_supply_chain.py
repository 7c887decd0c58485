"""What an installation brings along: its licences, and that the lock holds all that it should."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.append(str(Path(__file__).parents[1] / "tools"))

import licences
import lock


def test_notice_names_every_file_that_is_not_ours() -> None:
    assert licences.unnamed() == []


def test_a_file_that_notice_does_not_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.onnx").write_bytes(b"")
    (tmp_path / "bulletin.txt").write_bytes(b"")
    monkeypatch.setattr(licences, "DATA", tmp_path)
    assert licences.unnamed() == ["src/newscaster/data/other.onnx"]


@pytest.mark.parametrize("extra", [None, *licences.EXTRAS])
def test_licences_of_what_is_installed(extra: str | None) -> None:
    found, missing = lock.closure(lock.listed_for(extra))
    assert licences.wrong(sorted(found)) == []
    assert extra is not None or not missing


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("mit", True),
        ("mit or apache-2.0", True),
        ("gpl-3.0-only or mit", True),
        ("apache-2.0 and bsd-2-clause and apache-2.0 with llvm-exception", True),
        ("gpl-3.0-or-later", False),
        ("mit and gpl-2.0-only", False),
        ("agpl-3.0", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_which_licences_are_accepted(expression: str, good: bool) -> None:
    assert licences.accepted(expression) == good


def test_the_lock_holds_what_is_listed_in_a_version_that_fits() -> None:
    lines = [line for line in lock.LOCK.read_text().splitlines() if not line.startswith("#")]
    pins = {}
    for line in lines:
        found = re.fullmatch(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line)
        assert found is not None, line
        pins[found[1]] = found[2]
    for extra in (None, *lock.EXTRAS):
        for text in lock.listed_for(extra):
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name not in {"newscaster", *lock.LEFT_OUT}:
                assert requirement.specifier.contains(pins[name]), f"{text} and {pins[name]}: run make lock"
