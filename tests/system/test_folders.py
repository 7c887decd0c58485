"""Folders of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from newscaster.system.folders import cache_folder, platform_cache_folder


def test_the_cache_is_where_the_platform_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NEWSCASTER_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == platform_cache_folder() == tmp_path / "newscaster"


def test_another_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "cache"
