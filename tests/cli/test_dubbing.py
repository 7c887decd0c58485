from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

import newscaster
from newscaster import cli
from newscaster.cli.dubbing import TIME
from newscaster.synthesis.dub_options import DubbedFace, DubResult, KeptFrames, OwnAudioLag


class Performer:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.people = 1

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
            faces=tuple(
                DubbedFace(
                    anchor=f"Ada {n}",
                    face=n,
                    speaks=n == 0,
                    rewritten_frames=80 - n,
                    kept=(),
                    speech_seconds=3.0,
                )
                for n in range(self.people)
            ),
            own_audio=OwnAudioLag(seconds=0.12, text="the video's own audio is 120 ms late"),
            notes=("pixels become square",),
            unsigned_because="no one asked",
        )


@pytest.fixture
def performer(monkeypatch: pytest.MonkeyPatch) -> Performer:
    performer, real = Performer(), newscaster.open
    monkeypatch.setattr(newscaster, "open", lambda *a, **k: real(*a, **k) if not a else performer)
    monkeypatch.setattr(newscaster, "dub", performer.dub, raising=False)
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
    more += ["--background", "#102030"]
    assert cli.run([*arguments, *more]) == 0
    ((video, speech, path), options) = performer.calls[0]
    assert (video, speech, path) == (Path("v.mp4"), "s.wav", out)
    asked = options["options"]
    assert (asked.start_seconds, asked.stop_seconds, asked.mix_db) == (12.0, 79.5, -18.0)
    assert (asked.fit, asked.extend, asked.face, asked.report) == ("shortest", "loop", 1, Path("r.json"))
    assert asked.others == "keep"
    assert options["style"].background == "#102030"
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


def test_json_alone_is_printed(
    performer: Performer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["dub", "v.mp4", "s.wav", "-o", str(tmp_path / "out.mp4"), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["rewritten_frames"] == 80
    assert values["own_audio"]["seconds"] == 0.12
    assert values["faces"][0]["anchor"] == "Ada 0"


def test_several_people(performer: Performer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    performer.people = 3
    out = str(tmp_path / "out.mp4")
    faces = ["--face", "0=left.anchor:left.wav", "--face", "2=right.anchor:x.srt", "--face", "1=mid.anchor"]
    assert cli.run(["dub", "v.mp4", *faces, "--others", "rest", "-o", out]) == 0
    ((video, speakers, path), options) = performer.calls[0]
    assert (video, path) == (Path("v.mp4"), Path(out))
    asked = [(speaker.face, speaker.speech, speaker.script) for speaker in speakers]
    assert asked == [(0, "left.wav", None), (2, None, Path("x.srt")), (1, None, None)]
    assert options["options"].others == "rest"
    assert (options["options"].face, options["options"].script) == (None, None)
    lines = capsys.readouterr().out
    assert "  face 0, Ada 0, speaks: 80 frames\n  face 1, Ada 1, at rest: 79 frames" in lines
    assert "the video's own audio is 120 ms late" in lines


def test_one_face_with_an_anchor(performer: Performer, tmp_path: Path) -> None:
    out = str(tmp_path / "out.mp4")
    assert cli.run(["dub", "v.mp4", "--face", "1=ada.anchor:x.wav", "-o", out]) == 0
    assert cli.run(["dub", "v.mp4", "x.wav", "--face", "1=ada.anchor", "-o", out]) == 0
    assert cli.run(["dub", "v.mp4", "--face", "1=ada.anchor:x.vtt", "-o", out]) == 0
    assert cli.run(["dub", "v.mp4", "--face", "1=ada.anchor", "-o", out]) == 0
    speeches = [arguments[1] for arguments, _ in performer.calls]
    assert speeches == ["x.wav", "x.wav", None, None]
    assert [options["options"].face for _, options in performer.calls] == [1, 1, 1, 1]
    assert performer.calls[2][1]["options"].script == Path("x.vtt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--face", "0=a.anchor:x.wav", "-a", "b.anchor"], "--anchor and an anchor in --face"),
        (["y.wav", "--face", "0=a.anchor:x.wav"], "SPEECH and a speech in --face"),
        (["y.wav", "--face", "0=a.anchor:x.wav", "--face", "1=b.anchor"], "SPEECH is given, and --face"),
        (["--text", "x", "--face", "0=a.anchor", "--face", "1=b.anchor"], "--text is given, and --face"),
        (["y.wav", "--face", "0", "--face", "1"], "--face 0 names no anchor"),
        (["--face", "0=a.wav"], "names no anchor"),
    ],
)
def test_faces_that_do_not_fit(
    arguments: list[str],
    message: str,
    performer: Performer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["dub", "v.mp4", *arguments, "-o", str(tmp_path / "out.mp4")]) != 0
    assert message in capsys.readouterr().err
    assert performer.calls == []
