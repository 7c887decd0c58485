from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run as run_process

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice, voice_command
from fresh_python import environment
from newscaster import cli, media
from newscaster.errors import AnchorError, SpeechError
from newscaster.speech import voices
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.options import Style
from newscaster.synthesis.result import SpeakResult
from tiny_anchor import speech_like, tiny_matte, write_tiny_anchor


@pytest.fixture
def bundled(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny anchor in place of the default one."""
    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", lambda: tiny)
    return tiny


@pytest.fixture
def voice(tmp_path: Path) -> str:
    """A voice command that says 1.3 s of noise for each sentence."""
    media.write_wav(tmp_path / "voice.wav", speech_like(1.3), 16_000)
    return voice_command(tmp_path / "voice.wav")


def newscaster(*arguments: object, **options: object) -> tuple[int, str, str]:
    """The command in a process of its own: exit code, stdout, stderr."""
    done = run_process(
        [sys.executable, "-m", "newscaster.cli", *map(str, arguments)],
        capture_output=True,
        env=environment(),
        **options,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_speak(tiny: Path, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "news.mp4"
    code = cli.run(["speak", str(wav), "-a", str(tiny), "-o", str(out), "--motion", str(tmp_path / "m.npz")])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    first, signed, second = shown.out.splitlines()
    assert first.startswith(f"{out}  1.3 s in ")
    assert signed.startswith("signed with a local certificate")
    assert "x real time" in first
    assert "frames/s" in first
    assert second == str(tmp_path / "m.npz")
    with np.load(second) as motion:
        assert int(motion["frames"]) == 32


def test_passthrough_frames_are_counted(
    wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = write_tiny_anchor(tmp_path / "hidden.anchor", blend_weight=np.zeros(10, np.float32))
    assert cli.run(["speak", str(wav), "-a", str(hidden), "-o", str(tmp_path / "x.mp4")]) == 0
    second = capsys.readouterr().out.splitlines()[1]
    assert second.startswith("32 of 32 frames keep their original mouth")


@pytest.mark.parametrize("command", ["speak", "demo"])
def test_openness_and_smoothness(
    bundled: Path, wav: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    make = Anchor.speak

    def spy(self: Anchor, *arguments: object, **options: object) -> SpeakResult:
        asked.append(options["style"].articulation)  # type: ignore[attr-defined]
        return make(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Anchor, "speak", spy)
    speech = [str(wav)] if command == "speak" else ["--speech", str(wav)]
    arguments = [command, *speech, "-o", str(tmp_path / "news.mp4")]
    assert cli.run(arguments) == 0
    assert cli.run([*arguments, "--openness", "1.4", "--smoothness", "0.5"]) == 0
    assert asked == [Articulation(), Articulation(openness=1.4, smoothness=0.5)]


@pytest.mark.parametrize(("option", "value", "most"), [("openness", "2.5", "2"), ("smoothness", "-1", "4")])
def test_openness_and_smoothness_out_of_range(
    bundled: Path,
    wav: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    most: str,
) -> None:
    assert cli.run(["speak", str(wav), "-o", str(tmp_path / "news.mp4"), f"--{option}", value]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --{option} is {float(value)}; expected 0 to {most}")
    assert error.count("\n") == 1
    assert not (tmp_path / "news.mp4").exists()


def test_look_ahead(
    tiny: Path, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    make = LoadedAnchor.motion_stream

    def spy(self: LoadedAnchor, **options: object) -> object:
        asked.append(options.get("look_ahead_ms"))
        return make(self, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LoadedAnchor, "motion_stream", spy)
    arguments = ["speak", str(wav), "-a", str(tiny), "-o", str(tmp_path / "news.mp4")]
    assert cli.run([*arguments, "--look-ahead", "120"]) == 0
    assert asked[-1] == 120
    assert capsys.readouterr().out.count("\n") == 2
    (tmp_path / "news.mp4").unlink()
    assert cli.run([*arguments, "--look-ahead", "130"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --look-ahead is 130; expected a multiple of 40 from 80 to 1000")
    assert error.count("\n") == 1
    assert not (tmp_path / "news.mp4").exists()


@pytest.mark.slow
def test_speech_on_standard_input(tiny: Path, wav: Path, tmp_path: Path) -> None:
    arguments = ["speak", "-", "--anchor", tiny, "-o", tmp_path / "news.mp4"]
    with wav.open("rb") as stream:
        code, out, err = newscaster(*arguments, stdin=stream)
    assert (code, err) == (0, "")
    assert "1.3 s" in out
    code, _, err = newscaster(*arguments, input=b"")
    assert code == 2
    assert err.startswith("error: nothing came in on standard input")


def test_a_text_in_a_voice_with_captions(
    bundled: Path, voice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, kept = tmp_path / "news.mp4", tmp_path / "news.wav"
    arguments = ["speak", "--text", "One. Two.", "--voice-command", voice, "-o", str(out), "--subtitles"]
    captions = [tmp_path / "news.srt", tmp_path / "news.vtt"]
    more = [argument for path in captions for argument in ("--captions", str(path))]
    assert cli.run([*arguments, *more, "--keep-speech", str(kept), "--language", "deu"]) == 0
    first, _, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out}  3.")
    assert others == [str(kept), *map(str, captions)]
    assert all(path.is_file() for path in (kept, *captions))
    assert media.measure_audio(kept).rate == 16_000


def test_readings_that_cannot_be(
    bundled: Path, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.mp4")
    words = tmp_path / "words.txt"
    words.write_text("WHO = W.H.O\nrubbish\n")
    for arguments, message in (
        (["--text", "One.", "--voice", "nobody"], "the voice is 'nobody'; expected one of hibari"),
        (["--text", "One.", "--voice-command", "no-such-program"], "there is no program 'no-such-program'"),
        (
            ["--text", "One.", "--pronunciations", str(words)],
            f"the pronunciations '{words}', line 2: 'rubbish' has no equals sign and no tab",
        ),
        (["--text", "One.", "--speed", "3"], "--speed is 3.0; expected 0.5 to 2"),
        ([str(wav), "--voice", "hibari"], "a voice or its speed is given, but the speech is audio"),
        ([str(wav), "--captions", "x.srt"], "captions need a text that is read aloud"),
        ([str(wav), "--keep-speech", str(wav)], f"'{wav}' is the speech itself"),
    ):
        assert cli.run(["speak", "-o", out, *arguments]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")


def test_pronunciations_are_spoken_and_captions_keep_the_written_form(
    bundled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeVoice(lambda sentence, speed: speech_like(1.0), rate=16_000)
    use_voice(monkeypatch, fake)
    (tmp_path / "words.txt").write_text("WHO = the health body\n")
    files = ["-o", str(tmp_path / "x.mp4"), "--captions", str(tmp_path / "x.srt")]
    words = ["--pronunciations", str(tmp_path / "words.txt")]
    assert cli.run(["speak", "--text", "WHO: 3% more.", *files, *words]) == 0
    assert fake.sentences == ["the health body: three per cent more."]
    assert "WHO: 3% more." in (tmp_path / "x.srt").read_text()


def test_demo(
    bundled: Path,
    voice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["demo", "--voice-command", voice]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("newscaster-demo.mp4  ")
    assert "s of video, rendered in " in shown.out
    assert shown.out.splitlines()[0].endswith(" x real time")
    bulletin = (Path(cli.__file__).parents[1] / "data" / "bulletin.txt").read_text(encoding="utf-8")
    assert 40 < len(bulletin.split()) < 90
    info = media.probe(tmp_path / "newscaster-demo.mp4")
    assert info.video is not None
    assert "The voice is synthetic too." in info.metadata["comment"]


def test_the_bundled_man_has_a_man_s_voice_if_one_is_installed(
    bundled: Path, tiny: Path, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "x.mp4")
    asked: list[Reading | None] = []

    def speak(self: Anchor, *_: object, style: Style, **__: object) -> None:
        asked.append(style.reading)
        raise SpeechError("that will do")

    monkeypatch.setattr(Anchor, "speak", speak)
    monkeypatch.setattr(voices, "voice_of_a_man", lambda: "joe")
    text = ["--text", "One."]
    for arguments, voice in (
        (["demo"], None),
        (["demo", "--anchor", "grid-s1"], "joe"),
        (["speak", *text, "-o", out], None),
        (["speak", *text, "--anchor", "grid-s1", "-o", out], "joe"),
        (["demo", "--anchor", "grid-s1", "--voice", "hibari"], "hibari"),
        (["demo", "--anchor", "grid-s1", "--speed", "1.2"], "joe"),
        (["speak", *text, "--anchor", str(tiny), "-o", out], None),
        (["demo", "--speech", str(wav)], None),
    ):
        assert cli.run(arguments) == 2
        reading = asked.pop()
        assert (reading and reading.voice) == voice


def test_a_demo_of_one_s_own(
    bundled: Path, wav: Path, voice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.mkv"
    assert cli.run(["demo", "--speech", str(wav), "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}  1.3 s of video")
    assert cli.run(["demo", "--text", "Hi.", "--voice-command", voice, "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}  2.0 s of video")
    assert cli.run(["demo", "--text", "Hi.", "--speech", str(wav)]) == 2
    assert "both speech and a text" in capsys.readouterr().err


def test_a_demo_without_the_bundled_anchor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Path:
        raise AnchorError("this installation lacks it")

    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", missing)
    monkeypatch.chdir(tmp_path)
    for arguments in (["demo"], ["info"], ["speak", "x.wav", "-o", "x.mp4"]):
        assert cli.run(arguments) == 2
        assert capsys.readouterr().err == "error: this installation lacks it\n"
    assert not list(tmp_path.iterdir())


def test_skipped_parts_of_a_text_are_named(
    tiny: Path, voice: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "news.txt").write_text("Good evening.\n\n<b>Good</b>\x00 night.", encoding="utf-8")
    out = tmp_path / "x.mp4"
    code = cli.run(
        ["speak", str(tmp_path / "news.txt"), "-a", str(tiny), "-o", str(out), "--voice-command", voice]
    )
    shown = capsys.readouterr()
    assert code == 0
    assert shown.err.splitlines() == [
        "warning: the text has mark-up (<b>): only its words are read, and its requests are ignored",
        "warning: the text has control characters (U+0000; 1 in total): they are removed",
    ]


@pytest.mark.slow
def test_a_script_in_several_languages(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    out, srt = tmp_path / "x.mp4", tmp_path / "x.srt"
    speak = ["speak", "-a", str(tiny), "-o", str(out), "--voice", "hibari", "--text"]
    text = (
        "Good evening.\n\nДобрый вечер. \U0001f600\U0001f600!\nThe number is "
        + "1" * 37
        + ". Good night. Bye."
    )
    assert cli.run([*speak, text, "--captions", str(srt)]) == 0
    shown = capsys.readouterr()
    assert [line[:43] for line in shown.err.splitlines()] == [
        "warning: sentence 2, line 3, is skipped: th",
        "warning: sentence 3, line 3, is skipped: th",
    ]
    assert "1" * 37 in srt.read_text(encoding="utf-8")
    out.unlink()
    assert cli.run([*speak, "Добрый вечер. 晚上好。"]) == cli.EXIT_ERROR
    shown = capsys.readouterr()
    assert shown.err.startswith("error: the voice 'hibari' does not read Cyrillic and Chinese, and 2 of 2 ")
    assert not out.exists()


def test_a_background(
    wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], local_certificate: None
) -> None:
    anchor = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_matte(10, (96, 80)))
    speak = ["speak", str(wav), "-a", str(anchor), "--background"]
    assert cli.run([*speak, "alpha", "-o", str(tmp_path / "x_%03d.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("not signed: C2PA signs only")
    assert lines[2] == str(tmp_path / "x.wav")
    assert cli.run([*speak, "alpha", "-o", str(tmp_path / "x.mp4")]) == cli.EXIT_ERROR
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.run([*speak, "gren", "-o", str(tmp_path / "x.webm")]) == cli.EXIT_ERROR
    assert "'gren'; expected a colour" in capsys.readouterr().err
    assert not (tmp_path / "x.webm").exists()
