"""The tools that keep files in a work folder: one process at a time uses it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from newscaster.system.leases import exclusive_lock

sys.path.append(str(Path(__file__).parents[1] / "tools"))

TOOLS = [
    "train_base_renderer --shards none --out x",
    "train_base_renderer --people none --write-shards x",
    "train_base_motion --shards none --out x",
    "train_base_motion --person none --write-shards x",
    "renew_motion none.anchor --footage none --out x",
    "renew_renderer none.anchor --footage none --out x",
    "make_session_anchor --footage none --out x",
]
"""Command lines, without ``--work``, that fail as soon as they read their input."""


@pytest.mark.parametrize("command", TOOLS)
def test_one_process_at_a_time_uses_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Two would overwrite each other's state."""
    monkeypatch.chdir(tmp_path)
    name, *options = command.split()
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *options, "--work", "work"])
    tool = importlib.import_module(name)
    with (
        exclusive_lock(tmp_path / "work", what="other", next_step="wait"),
        pytest.raises(SystemExit) as end,
    ):
        tool.main()
    assert "is at work in 'work'" in str(end.value)
    assert "name another folder with --work" in str(end.value)
    with pytest.raises((SystemExit, OSError)) as end:
        tool.main()
    assert "at work" not in str(end.value), "the folder is free again"
