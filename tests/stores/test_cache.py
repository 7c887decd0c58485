from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from newscaster.errors import MissingExtraError
from newscaster.stores import cache
from newscaster.stores.cache import FileCache, fetched
from object_stores import memory as memory  # a fixture


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_an_input_is_fetched_once(memory: Any) -> None:
    memory.pipe("/in/a.anchor", b"1")
    first = fetched("memory://in/a.anchor")
    assert (first.name, first.read_bytes()) == ("a.anchor", b"1")
    inode = first.stat().st_ino
    assert fetched("memory://in/a.anchor").stat().st_ino == inode
    memory.pipe("/in/a.anchor", b"22")
    assert fetched("memory://in/a.anchor").read_bytes() == b"22"


def test_a_folder_of_inputs(memory: Any) -> None:
    memory.pipe("/in/footage/a.mp4", b"1")
    memory.pipe("/in/footage/deep/b.mp4", b"2")
    folder = fetched("memory://in/footage")
    assert (folder / "a.mp4").read_bytes() == b"1"
    assert (folder / "deep" / "b.mp4").read_bytes() == b"2"


def test_the_copies_unused_for_longest_are_removed(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_CACHE_BYTES", 250)
    for name in "abc":
        memory.pipe(f"/in/{name}", bytes(100))
        path = fetched(f"memory://in/{name}")
        age = {"a": 9000, "b": 8000, "c": 0}[name]
        os.utime(path.parent, (path.stat().st_mtime - age,) * 2)
    memory.pipe("/in/d", bytes(100))
    fetched("memory://in/d")
    left = {path.name for path in path.parents[1].rglob("*") if path.is_file()}
    assert left == {"c", "d"}


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[stores\]"):
        fetched("s3://bucket/a")


def test_copies_in_use_are_not_removed(memory: Any, tmp_path: Path) -> None:
    for name in "abc":
        memory.pipe(f"/in/{name}", bytes(100))
    copies = FileCache(folder=tmp_path / "copies", max_bytes=150, unused_seconds=0)
    first = copies.fetched("memory://in/a")
    second = copies.fetched("memory://in/b", keep=[first])
    assert first.exists()
    assert second.exists()
    copies.fetched("memory://in/c", keep=[first])
    assert first.exists()
    assert not second.exists()
