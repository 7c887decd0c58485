"""The command `clips`."""

from __future__ import annotations

from pathlib import Path

import pytest

from newscaster import cli
from newscaster.formats.anchor import AnchorFile
from tiny_anchor import write_tiny_anchor


def test_clips_are_added_listed_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_tiny_anchor(tmp_path / "x.anchor", frames=60))
    assert cli.run(["clips", path]) == 0
    assert capsys.readouterr().out == "no clips\n"
    assert cli.run(["clips", path, "--add", "nod=0.4-1", "--add", "bow=00:01.2-00:01.8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in lines] == [
        ["nod", "0.60", "s,", "at", "0.40"],
        ["bow", "0.60", "s,", "at", "1.20"],
    ]
    assert cli.run(["info", path]) == 0
    assert "nod (0.6 s), bow (0.6 s)" in capsys.readouterr().out
    assert cli.run(["clips", path, "--remove", "nod"]) == 0
    assert [clip.name for clip in AnchorFile(Path(path)).info.clips] == ["bow"]


def test_footage_without_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_tiny_anchor(tmp_path / "x.anchor"))
    assert cli.run(["clips", path, "footage.mp4"]) == 2
    assert "'footage.mp4' is given, but no part of it" in capsys.readouterr().err
