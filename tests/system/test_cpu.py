from __future__ import annotations

import platform
from pathlib import Path

import pytest

from newscaster.system import cpu


def test_name_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "_CPU_INFO", info)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert cpu.processor_name() == "x86_64"  # Windows and macOS have no such file
    info.write_text("processor\t: 0\nmodel name\t: Fast One: 3000\nmodel name\t: Fast One: 3000\n")
    assert cpu.processor_name() == "Fast One: 3000, x86_64"
    info.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert cpu.processor_name() == "arm, x86_64"
