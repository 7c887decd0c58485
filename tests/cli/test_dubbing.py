from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

import newscaster
from newscaster import cli
from newscaster.cli.dubbing import TIME
from newscaster.synthesis.dub_options import DubResult, KeptFrames


class Performer:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def dub(self, *arguments: Any, **options: Any) -> DubResult:
        self.calls.append((arguments, options))
        return DubResult(
            path=arguments[2],
            frames=100,
            fps=newscaster.open().fps,
            rewritten_frames=80,
            kept=(KeptFrames(start=50, stop=70, reason="the face is not seen"),),
            cuts=(50,),
            wall_seconds=2.0,
            track_seconds=1.0,
            speech_seconds=3.0,
            notes=("pixels become square",),
            unsigned_because="no one asked",
        )


@pytest.fixture
def performer(monkeypatch: pytest.MonkeyPatch) -> Performer:
    performer, real = Performer(), newscaster.open
    monkeypatch.setattr(newscaster, "open", lambda *a, **k: real(*a, **k) if not a else performer)
    return performer


def test_options_reach_the_anchor(
    performer: Performer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    arguments = [
        "dub",
        "v.mp4",
        "s.wav",
        "-a",
        "ada.anchor",
        "-o",
        str(out),
        "--from",
        "00:12",
        "--to",
        "1:19.5",
    ]
    more = ["--mix", "-18", "--fit", "shortest", "--extend", "loop", "--face", "1", "--report", "r.json"]
    assert cli.run([*arguments, *more]) == 0
    ((video, speech, path), options) = performer.calls[0]
    assert (video, speech, path) == (Path("v.mp4"), "s.wav", out)
    asked = options["options"]
    assert (asked.start_seconds, asked.stop_seconds, asked.mix_db) == (12.0, 79.5, -18.0)
    assert (asked.fit, asked.extend, asked.face, asked.report) == ("shortest", "loop", 1, Path("r.json"))
    lines = capsys.readouterr().out
    assert "80 of 100 frames have a new mouth" in lines
    assert "kept: 2.00 to 2.80 s, the face is not seen" in lines
    assert "note: pixels become square" in lines
    assert "not signed: no one asked" in lines


@pytest.mark.parametrize(
    ("text", "seconds"), [("12.5", 12.5), ("01:30", 90.0), ("1:02:03.25", 3723.25), ("90", 90.0)]
)
def test_times(text: str, seconds: float) -> None:
    assert TIME.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "abc", "1:99999"])
def test_no_times(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected seconds"):
        TIME.convert(text, None, None)


def test_a_missing_video_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["dub", str(tmp_path / "none.mp4"), "x.wav", "-o", str(tmp_path / "out.mp4")])
    err = capsys.readouterr().err
    assert code == cli.EXIT_ERROR
    assert len(err.strip().splitlines()) == 1
