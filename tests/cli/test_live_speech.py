from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from fresh_python import environment
from newscaster import cli, media
from tiny_anchor import speech_like, write_tiny_anchor


def heard(path: Path) -> np.ndarray:
    """The mono sound of a file at 48 kHz."""
    return media.read_audio(path, rate=48_000)


def test_raw_audio_on_standard_input(tiny: Path, tmp_path: Path) -> None:
    pcm = (speech_like(0.8, 24_000) * 32767).astype("<i2").tobytes()
    out = tmp_path / "x.mkv"
    command = [sys.executable, "-m", "newscaster.cli", "live", tiny, "--to", out, "--speech", "-"]
    done = subprocess.run([*command, "--rate", "24000"], input=pcm, capture_output=True, env=environment())
    assert (done.returncode, done.stdout) == (0, b"")
    assert media.measure_audio(out).seconds > 1.4


def test_a_wav_file_on_standard_input_is_no_raw_audio(tiny: Path, tmp_path: Path) -> None:
    """Stereo at 44.1 kHz, whose header is followed and not spoken; the rate for raw samples is not used."""
    voice = speech_like(1.0, 44_100)
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.repeat((voice * 32767).astype("<i2"), 2).tobytes())
    data = (tmp_path / "x.wav").read_bytes()
    out = tmp_path / "x.mkv"
    command = [sys.executable, "-m", "newscaster.cli", "live", tiny, "--to", out, "--speech", "-"]
    done = subprocess.run(command, input=data, capture_output=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert 1.4 < media.measure_audio(out).seconds < 4, "read as raw audio, it would take 5.5 s"
    audio = heard(out)
    loud = np.flatnonzero(np.abs(audio) > 0.02)
    assert (loud[-1] - loud[0]) / 48_000 == pytest.approx(1.0, abs=0.1)
    expected = speech_like(1.0, 48_000)[10_000:30_000]
    likeness = [
        np.corrcoef(audio[k : k + 20_000], expected)[0, 1]
        for k in range(loud[0] + 6_000, min(loud[0] + 14_000, len(audio) - 20_000), 4)
    ]
    assert max(likeness) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "standard input is empty"),
        (b"Good evening. Here is the news.\n" * 20, "standard input is text"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(400), "starts like an MP4 file and cannot be decoded"),
    ],
)
def test_standard_input_that_cannot_be_spoken(tiny: Path, tmp_path: Path, data: bytes, expected: str) -> None:
    command = [
        sys.executable,
        "-m",
        "newscaster.cli",
        "live",
        tiny,
        "--to",
        tmp_path / "x.ts",
        "--speech",
        "-",
    ]
    done = subprocess.run(command, input=data, capture_output=True, env=environment())
    assert done.returncode == cli.EXIT_ERROR
    assert expected in done.stderr.decode()


def test_a_pipe_that_is_stopped(tiny: Path) -> None:
    command = [sys.executable, "-m", "newscaster.cli", "live", tiny, "--to", "pipe:1", "--idle"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(188)[:1] == b"\x47"
        os.kill(process.pid, signal.SIGTERM)
        assert len(process.stdout.read()) > 0
        assert process.wait() == 0
        assert b"pipe:1  " in process.stderr.read()


def test_audio_that_cannot_be_read_is_refused_before_anything_is_written(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = speech_like(0.5)
    broken[4000] = np.nan
    with av.open(str(tmp_path / "x.wav"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(broken[None], format="flt", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    code = cli.run(["live", str(tiny), "--to", str(tmp_path / "x.ts"), "--speech", str(tmp_path / "x.wav")])
    assert code == cli.EXIT_ERROR
    assert "contains NaN, infinite, or far too large samples" in capsys.readouterr().err
    assert not (tmp_path / "x.ts").exists()


@pytest.mark.parametrize(
    ("piped", "expected"),
    [(b"", "standard input is empty"), (b"Good evening. Here is the news.", "standard input is text")],
)
def test_standard_input_is_checked_before_an_older_file_is_replaced(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    piped: bytes,
    expected: str,
) -> None:
    anchor, kept = write_tiny_anchor(tmp_path / "tiny.anchor"), tmp_path / "keep.mp4"
    kept.write_bytes(b"the old one")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped)))
    assert cli.run(["live", str(anchor), "--speech", "-", "--to", str(kept)]) == cli.EXIT_ERROR
    assert expected in capsys.readouterr().err
    assert kept.read_bytes() == b"the old one"
