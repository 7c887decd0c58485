from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest

import newscaster
from newscaster import cli
from newscaster.cli import consent_option
from newscaster.cli.dubbing import TIME
from newscaster.synthesis.dub_options import DubbedFace, DubResult, KeptFrames, OwnAudioLag, SpeechGain


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
            fps=Fraction(25),
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
            speech_gain=SpeechGain(decibels=3.0, text="the speech is made 3.0 dB louder"),
            notes=("pixels become square",),
            unsigned_because="no one asked",
        )


@pytest.fixture
def performer(monkeypatch: pytest.MonkeyPatch) -> Performer:
    performer = Performer()
    monkeypatch.setattr(newscaster, "open", lambda *a, **k: performer)
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
    code = cli.run(
        ["dub", str(tmp_path / "none.mp4"), "x.wav", "-a", "builtin", "-o", str(tmp_path / "out.mp4")]
    )
    err = capsys.readouterr().err
    assert code == cli.EXIT_ERROR
    assert len(err.strip().splitlines()) == 1


def test_json_alone_is_printed(
    performer: Performer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.run(["dub", "v.mp4", "s.wav", "-a", "x.anchor", "-o", str(tmp_path / "out.mp4"), "--json"]) == 0
    )
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
    assert "the speech is made 3.0 dB louder" in lines


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
        (["y.wav", "--face", "0", "--face", "1"], "SPEECH is given, and --face names several"),
        (["y.wav", "--face", "0=:x.wav"], "SPEECH and a speech in --face"),
        (
            ["-a", "a.anchor", "--face", "0=:x.wav", "--face", "1"],
            "--anchor is given, and --face names several",
        ),
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


AGREED = "Ada Byron, 2026-11-02: a test"


def test_a_person_known_from_the_video(performer: Performer, tmp_path: Path) -> None:
    out = str(tmp_path / "out.mp4")
    arguments = ["dub", "v.mp4", "s.wav", "--consent", AGREED, "--face", "1", "--workers", "1", "-o", out]
    assert cli.run([*arguments, "--name", "Ada"]) == 0
    assert cli.run(["dub", "v.mp4", "--text", "Hello.", "--consent", f" {AGREED} ", "-o", out]) == 0
    assert cli.run(["dub", "v.mp4", "--face", "0=:cues.srt", "--consent", AGREED, "-o", out]) == 0
    (_, (first,), _), options = performer.calls[0]
    assert (first.anchor, first.consent, first.name, first.speech, first.face) == (
        None,
        AGREED,
        "Ada",
        "s.wav",
        1,
    )
    assert (options["workers"], options["options"].face) == (1, None)
    (second,), (third,) = (arguments[1] for arguments, _ in performer.calls[1:])
    assert (second.text, second.speech, second.face, second.name, second.consent) == (
        "Hello.",
        None,
        None,
        None,
        AGREED,
    )
    assert (third.script, third.speech, third.face) == (Path("cues.srt"), None, 0)


def test_people_with_an_anchor_and_without(performer: Performer, tmp_path: Path) -> None:
    faces = ["--face", "0=left.anchor:left.wav", "--face", "1=:right.wav", "--face", "2"]
    given = ["--consent", f"1={AGREED}", "--consent", "2=Eve: a test", "--name", "2=Eve"]
    assert cli.run(["dub", "v.mp4", *faces, *given, "-o", str(tmp_path / "out.mp4")]) == 0
    ((_, (left, right, silent), _), _) = performer.calls[0]
    assert (left.anchor, left.consent, left.speech) == (performer, None, "left.wav")
    assert (right.anchor, right.consent, right.name, right.speech) == (None, AGREED, None, "right.wav")
    assert (silent.consent, silent.name, silent.speech, silent.face) == ("Eve: a test", "Eve", None, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs the consent of the person shown, and --consent is missing"),
        (["--consent", AGREED, "--consent", "Eve"], "--consent is given twice; expected one for each"),
        (["-a", "a.anchor", "--consent", AGREED], "--consent is given, and everyone has an anchor"),
        (["-a", "a.anchor", "--name", "Ada"], "--name is given, and everyone has an anchor"),
        (["--consent", "none.txt"], "no such file: 'none.txt'"),
    ],
)
def test_consent_that_is_missing_or_too_much(
    arguments: list[str],
    message: str,
    performer: Performer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["dub", "v.mp4", "s.wav", *arguments, "-o", str(tmp_path / "out.mp4")]) == cli.EXIT_ERROR
    assert message in capsys.readouterr().err
    assert performer.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--consent", f"0={AGREED}"], "needs the consent of face 1"),
        (["--consent", AGREED], "expected N=TEXT with the number of the face"),
        (
            ["--consent", f"0={AGREED}", "--consent", "7=Eve"],
            "for face 7; expected one without an anchor: 0, 1",
        ),
        (["--consent", f"0={AGREED}", "--consent", "0=Eve"], "twice for face 0"),
    ],
)
def test_each_person_has_a_consent(
    arguments: list[str],
    message: str,
    performer: Performer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faces = ["--face", "0=:a.wav", "--face", "1=:b.wav"]
    assert cli.run(["dub", "v.mp4", *faces, *arguments, "-o", str(tmp_path / "out.mp4")]) == cli.EXIT_ERROR
    assert message in capsys.readouterr().err
    assert performer.calls == []


def test_consent_is_asked_for(performer: Performer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return {"When": "2026-11-02", "Until": ""}.get(text.split()[0], "Ada")

    monkeypatch.setattr(consent_option, "_interactive", lambda: True)
    monkeypatch.setattr(consent_option.click, "prompt", prompt)
    assert cli.run(["dub", "v.mp4", "s.wav", "-o", str(tmp_path / "out.mp4")]) == 0
    ((_, (speaker,), _), _) = performer.calls[0]
    assert speaker.consent == "who: Ada\nfor: Ada\nwhen: 2026-11-02\nuntil: "
    assert asked[0] == "Who is the person shown, and agrees to their lips being rewritten?"
    assert len(asked) == 4
