from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from fake_voices import voice_command
from fresh_python import environment
from making_media import moving_pattern
from newscaster import cli, media, provenance
from signing import write_certificate
from tiny_anchor import speech_like, tiny_matte, write_tiny_anchor


def lengths(path: Path) -> tuple[int, float]:
    """Return the number of frames, and the seconds of audio."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0], container.streams.audio[0]))
    images = sum(isinstance(frame, av.VideoFrame) for frame in frames)
    return images, sum(f.samples for f in frames if isinstance(f, av.AudioFrame)) / 48_000


@pytest.mark.parametrize("kind", ["audio", "text", "script"])
def test_live(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.6, 22_050), 22_050)
    voice = ["--voice-command", voice_command(tmp_path / "speech.wav")]
    (tmp_path / "x.txt").write_text("Good evening.")
    options = {
        "audio": ["--speech", tmp_path / "speech.wav"],
        "text": ["--text", "Good evening.", *voice],
        "script": ["--speech", tmp_path / "x.txt", *voice],
    }
    out = tmp_path / "x.ts"
    assert cli.run(["live", str(tiny), "--to", str(out), *map(str, options[kind])]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    counts, signature = shown.err.splitlines()
    assert counts.startswith(f"{out}  ")
    assert counts.endswith(" dropped")
    assert signature.startswith("not signed: C2PA signs only finished files")
    images, seconds = lengths(out)
    assert seconds > 1.2
    assert 1 <= images <= seconds * 25 + 1
    is_declared = b"The voice is synthetic too" in out.read_bytes()
    assert is_declared == (kind != "audio")


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_file_is_signed_when_it_is_finished(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.6, 22_050), 22_050)
    out = tmp_path / f"x{ending}"
    given = ["live", str(tiny), "--to", str(out), "--speech", str(tmp_path / "speech.wav"), "--label", "made"]
    assert cli.run(given) == 0
    assert capsys.readouterr().err.splitlines()[1].startswith("signed with a local certificate")
    found = provenance.verify(out)
    assert (found.verdict, found.reasons) == ("untrusted", ())
    assert found.statement is not None
    images, seconds = lengths(out)
    assert found.statement.frames == images
    assert found.statement.synthesised == ((0, images),)
    assert found.statement.speech_seconds == pytest.approx(seconds, abs=0.1)
    assert (found.statement.synthetic_voice, found.statement.label) == (False, "made")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "x.ts"], "neither --speech nor --text is given"),
        (["--to", "x.ts", "--speech", "a.wav", "--text", "A."], "both --speech and --text are given"),
        (["--to", "x.ts", "--speech", "none.wav"], "none.wav"),
        (["--to", "x.ts", "--speech", "-", "--voice", "emma"], "there is no text to read"),
        (["--to", "x.avi", "--idle"], "is not clear"),
        (["--to", "x.ts", "--idle", "--sign", "c.pem", "k.pem"], "'x.ts' cannot be signed as mpegts"),
        (["--to", "x.ts", "--idle", "--look-ahead", "50"], "--look-ahead is 50"),
    ],
)
def test_errors(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["live", str(tiny), *arguments]) == cli.EXIT_ERROR
    assert expected in capsys.readouterr().err


def test_a_text_that_cannot_be_read_is_refused_before_anything_is_written(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    out = tmp_path / "x.mp4"
    out.write_bytes(b"kept")
    live = ["live", str(tiny), "--to", str(out), "--voice", "hibari", "--text"]
    assert cli.run([*live, "Добрый вечер."]) == cli.EXIT_ERROR
    assert "error: the voice 'hibari' does not read Cyrillic" in capsys.readouterr().err
    assert out.read_bytes() == b"kept"
    assert cli.run([*live, "Good evening. Добрый вечер."]) == 0
    assert "warning: sentence 2, line 1, is skipped: " in capsys.readouterr().err


NAMED = ["plain.mp4", "file:url.mp4", "FILE:upper.mov", "file://{folder}/slashes.mkv", "{folder}/whole.m4v"]


@pytest.mark.parametrize("address", NAMED)
def test_files_are_signed_however_they_are_named(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.3), 16_000)
    monkeypatch.chdir(tmp_path)
    given = ["live", str(tiny), "--to", address.format(folder=tmp_path), "--speech", "speech.wav"]
    assert cli.run(given) == 0
    assert capsys.readouterr().err.splitlines()[1].startswith("signed with a local certificate")
    (out,) = (one for one in tmp_path.iterdir() if one.suffix in (".mp4", ".mov", ".mkv", ".m4v"))
    assert provenance.verify(out, watermark=False).verdict == "untrusted"


@pytest.mark.parametrize(
    ("address", "more"),
    [
        ("x.ts", []),
        ("x.m3u8", []),
        ("file:x.flv", []),
        ("x.bin", ["--format", "mp4"]),
        ("x.mp4", ["--format", "mpegts"]),
        ("x.mp4", ["--format", "matroska"]),
        (os.devnull, ["--format", "mp4"]),
        ("udp://127.0.0.1:9", []),
        ("udp://127.0.0.1:9/x.mp4", []),
    ],
)
def test_what_is_not_signed_is_named(
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    more: list[str],
) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.3), 16_000)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["live", str(tiny), "--to", address, "--speech", "speech.wav", *more]) == 0
    assert capsys.readouterr().err.splitlines()[1].startswith("not signed: ")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["pipe:1", "pipe:", "/dev/stdout", "/dev/fd/1"])
def test_pipes_are_not_signed(tiny: Path, tmp_path: Path, address: str) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.3), 16_000)
    command = [sys.executable, "-m", "newscaster.cli", "live", tiny, "--speech", tmp_path / "speech.wav"]
    command += ["--to", address, "--format", "mp4"]
    done = subprocess.run(command, capture_output=True, env=environment())
    assert done.returncode == 0
    assert done.stdout[4:8] == b"ftyp"
    assert done.stderr.splitlines()[1].startswith(b"not signed: ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--to", "keep.mp4", "--speech", "-", "--rate", "5"], "--rate is 5"),
        (["--to", "keep.mp4", "--text", "..."], "holds no word"),
        (["--to", "keep.mp4", "--text", "A.", "--voice-command", "false"], "voice"),
        (["--to", "keep.mp4", "--speech", "broken.wav"], "broken.wav"),
        (["--to", "keep.mp4", "--speech", "silence.mp4"], "no audio track"),
        (["--to", "keep.mp4", "--speech", "speech.wav", "--format", "wav"], "wav does not hold"),
        (["--to", "keep.mp4", "--speech", "speech.wav", "--target-start", "-1"], "--target-start is -1"),
        (["--to", "keep.mp4", "--speech", "speech.wav", "--openness", "9"], "openness"),
        (["--to", "keep.mp4", "--speech", "speech.wav", "--sign", "none.pem", "none.pem"], "none.pem"),
        (["--to", "keep.mp4", "--speech", "keep.mp4"], "is the speech itself"),
        (["--to", "file:./keep.mp4", "--speech", "keep.mp4"], "is the speech itself"),
        (["--to", "link.mp4", "--speech", "keep.mp4"], "is the speech itself"),
        (["--to", "keep.mp4", "--speech", "link.mp4"], "is the speech itself"),
        (["--to", "hard.mp4", "--speech", "keep.mp4"], "is the speech itself"),
        (["--to", "keep.mkv", "--speech", "keep.c2pa"], "is the speech itself"),
        (["--to", "words.txt", "--speech", "words.txt", "--format", "mpegts"], "is the speech itself"),
        (["--to", "x.m3u8", "--speech", "x12.ts"], "name of a segment"),
        (["--to", "tiny.anchor", "--idle", "--format", "mpegts"], "is the anchor itself"),
        (
            ["--to", "c/chain.pem", "--speech", "speech.wav", "--format", "mpegts"],
            "is the certificate itself",
        ),
        (["--to", "c/key.pem", "--speech", "speech.wav", "--format", "mpegts"], "is the key itself"),
        (["--to", "tee:keep.mp4|other.mp4", "--idle", "--format", "mpegts"], "writes to other addresses"),
    ],
)
def test_what_is_refused_leaves_all_files_as_they_were(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_anchor(Path("tiny.anchor"))
    media.write_wav(Path("speech.wav"), speech_like(0.3), 16_000)
    for name in ("keep.mp4", "x12.ts"):
        media.write_video(
            Path("made.mp4"),
            moving_pattern(25, width=32, height=32),
            fps=Fraction(25),
            audio=Path("speech.wav"),
        )
        Path("made.mp4").rename(name)
    media.write_video(
        Path("silence.mp4"), moving_pattern(25, width=32, height=32), fps=Fraction(25), audio=None
    )
    Path("keep.c2pa").write_bytes(Path("keep.mp4").read_bytes())
    Path("keep.mkv").write_bytes(b"the old one")
    Path("broken.wav").write_bytes(Path("speech.wav").read_bytes()[:30])
    Path("words.txt").write_text("Good evening.")
    Path("link.mp4").symlink_to("keep.mp4")
    os.link("keep.mp4", "hard.mp4")
    chain, key, _ = write_certificate(tmp_path / "c")
    monkeypatch.setenv("NEWSCASTER_SIGN_CERT", str(chain.rename(tmp_path / "c" / "chain.pem")))
    monkeypatch.setenv("NEWSCASTER_SIGN_KEY", str(key.rename(tmp_path / "c" / "key.pem")))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert cli.run(["live", "tiny.anchor", *arguments]) == cli.EXIT_ERROR
    assert expected in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_live_backgrounds(wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_matte(10, (96, 80)))
    live = ["live", str(anchor), "--speech", str(wav), "--background", "alpha", "--to"]
    assert cli.run([*live, str(tmp_path / "x.webm")]) == 0
    capsys.readouterr()
    with av.open(str(tmp_path / "x.webm")) as file:
        assert file.streams.video[0].metadata["alpha_mode"] == "1"
        assert {stream.codec_context.name for stream in file.streams} == {"vp9", "opus"}
    for name, expected in (("x.ts", r".ts cannot carry alpha"), ("x_%d.png", "cannot be written live")):
        assert cli.run([*live, str(tmp_path / name)]) == cli.EXIT_ERROR
        assert expected in capsys.readouterr().err
