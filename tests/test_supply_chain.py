"""What an installation brings along: its licences, and that the lock holds all that it should."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

sys.path.append(str(Path(__file__).parents[1] / "tools"))

import audit
import build_release
import licences
import lock
import sbom


def test_notice_names_every_file_that_is_not_ours() -> None:
    assert licences.unnamed() == []


def test_a_file_that_notice_does_not_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.onnx").write_bytes(b"")
    (tmp_path / "bulletin.txt").write_bytes(b"")
    monkeypatch.setattr(licences, "DATA", tmp_path)
    assert licences.unnamed() == ["src/newscaster/data/other.onnx"]


def test_every_extra_is_examined() -> None:
    assert {"cluster", "stores", "tracing", "distributed"} < set(licences.EXTRAS)


def test_libraries_of_gpus_have_a_licence_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "licence", lambda name: "")
    assert licences.wrong(["nvidia-nvtx", "cuda-toolkit"]) == []
    assert len(licences.wrong(["pycuda"])) == 1


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


def test_no_dependency_is_known_to_be_vulnerable(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.offline() == 0, capsys.readouterr().out


def test_what_is_older_than_its_floor_is_found() -> None:
    found = audit.below({"h11": Version("0.14.0"), "pillow": Version("99")}, where="here")
    assert found == ["here: h11 0.14.0 is older than 0.16.0: CVE-2025-43859"]
    permits = audit.permitted()
    for specifier in ("", ">=0.15", "<1", "!=0.14.0"):
        (line,) = audit.permits_below(permits | {"h11": SpecifierSet(specifier)})
        assert line.startswith("pyproject.toml: h11 may be older than 0.16.0")
    assert audit.permits_below(permits | {"h11": SpecifierSet(">=0.16.0,<1")}) == []
    del permits["h11"]
    assert audit.permits_below(permits) == ["pyproject.toml: h11 is not named; expected h11>=0.16.0"]


def test_every_floor_names_its_advisories() -> None:
    table = audit._table()
    for name, entry in table["floors"].items():
        assert canonicalize_name(name) == name
        assert entry["advisories"], name
        for advisory in entry["advisories"]:
            assert re.fullmatch(r"CVE-\d{4}-\d{4,}|GHSA(-[a-z0-9]{4}){3}|PYSEC-\d{4}-\d+", advisory), advisory
    for entry in table["open"]:
        assert entry["reason"], entry
    assert {name for name, entry in table["floors"].items() if not entry.get("indirect")} >= {
        *("starlette", "h11", "cryptography", "pillow"),
    }


def test_an_audit_without_a_network_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("audit.socket.create_connection", unreachable)
    assert audit.online("pip-audit") == 2
    said = capsys.readouterr().out
    assert said.startswith("pypi.org cannot be reached (Network is unreachable)")
    assert "make check compares with requirements/advisories.toml" in said


def test_a_package_that_is_not_audited_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the option, pip-audit warns and succeeds."""
    commands: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr("audit.socket.create_connection", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr("audit.subprocess.run", run)
    assert audit.online("pip-audit") == 1
    assert "--strict" in commands[0]


def test_the_bill_of_materials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    text = sbom.bill()
    assert sbom.bill() == text
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "1970-01-01T00:00:01Z"
    by_name = {one["name"]: one for one in bill["components"]}
    version, digest = sbom.locked()["numpy"]
    numpy = by_name["numpy"]
    assert (numpy["purl"], numpy["scope"]) == (f"pkg:pypi/numpy@{version}", "required")
    assert numpy["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert by_name["fastapi"]["scope"] == "optional"
    data = by_name["src/newscaster/data/bulletin.txt"]
    content = (licences.DATA / "bulletin.txt").read_bytes()
    assert data["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    references = {one["bom-ref"] for one in (*bill["components"], bill["metadata"]["component"])}
    for one in bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= references
    top = bill["dependencies"][0]
    assert numpy["purl"] in top["dependsOn"]
    assert by_name["fastapi"]["purl"] not in top["dependsOn"]


def test_builds_that_differ_are_found(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, content in ((first, b"same"), (second, b"sane!")):
        folder.mkdir()
        (folder / "one.whl").write_bytes(content)
        (folder / "two.whl").write_bytes(b"two")
    (second / "three.whl").touch()
    assert build_release.differing(first, second) == [
        "one.whl: 2 bytes differ",
        "three.whl: in one build alone",
    ]
    assert build_release.sums(first).splitlines()[1] == f"{hashlib.sha256(b'two').hexdigest()}  two.whl"
