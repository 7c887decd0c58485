"""Audio without speech is warned of, in files and live; speech is not."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster import cli, media
from newscaster.speech.voice_activity import is_without_speech
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.options import Style
from newscaster.synthesis.speech_found import without_speech
from tiny_anchor import speech_like


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


def chords(seconds: float) -> np.ndarray:
    """An organ: four chords, two a second."""
    t = np.arange(round(16_000 * seconds)) / 16_000
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(t * 2).astype(int) % 4]
    notes = [np.sin(2 * np.pi * roots * ratio * k * t) / k for ratio in (1, 1.25, 1.5) for k in (1, 2, 3)]
    return (0.05 * np.sum(notes, axis=0) * np.exp(-2 * ((2 * t) % 1))).astype(np.float32)


OTHERS = {"noise": noise(3.0), "quiet noise": 0.02 * noise(3.0), "music": chords(3.0)}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_without_speech(
    anchor: Anchor, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    media.write_wav(tmp_path / "x.wav", OTHERS[kind], 16_000)
    made = anchor.speak(tmp_path / "x.wav", tmp_path / "x.mp4")
    (warning,) = made.notes
    assert warning.startswith(f"no speech detected in the audio of '{tmp_path / 'x.wav'}' (0.0 of 3.0 s)")
    assert "stays at rest" in warning
    assert caplog.record_tuples == [("newscaster.synthesis", logging.WARNING, warning)]
    assert made.speech_seconds == 0


@pytest.mark.parametrize("dbfs", [-3, -48, -59])
def test_speech_is_not_warned_of(
    anchor: Anchor, tmp_path: Path, caplog: pytest.LogCaptureFixture, dbfs: float
) -> None:
    speech = speech_like(2.0)
    speech *= np.float32(10 ** (dbfs / 20) / np.abs(speech).max())
    made = anchor.speak(speech, tmp_path / "x.mp4")
    assert (made.notes, caplog.records) == ((), [])
    assert made.speech_seconds > 1.5


def test_without_rest_the_mouth_may_move(anchor: Anchor, tmp_path: Path) -> None:
    data = io.BytesIO()
    media.write_wav(tmp_path / "x.wav", noise(2.0), 16_000)
    data.write((tmp_path / "x.wav").read_bytes())
    data.seek(0)
    made = anchor.speak(data, tmp_path / "x.mp4", style=Style(articulation=Articulation(rests=False)))
    (warning,) = made.notes
    assert "in the audio stream" in warning
    assert "moves with something else" in warning
    spoken = anchor.speak(
        speech_like(2.0), tmp_path / "x.mp4", style=Style(articulation=Articulation(rests=False))
    )
    assert spoken.notes == ()


@pytest.mark.parametrize(
    ("speech_seconds", "seconds", "without"),
    [(0, 0.5, True), (0.2, 0.4, False), (0.16, 3, True), (0.4, 3, False), (1.0, 300, True), (5, 300, False)],
)
def test_short_bursts_like_speech_are_not_speech(
    speech_seconds: float, seconds: float, without: bool
) -> None:
    assert is_without_speech(speech_seconds, seconds) is without


@pytest.mark.parametrize("kind", ["noise", "speech"])
def test_live(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    media.write_wav(tmp_path / "x.wav", noise(1.2) if kind == "noise" else speech_like(1.2), 16_000)
    out = tmp_path / "x.ts"
    assert cli.run(["live", str(tiny), "--to", str(out), "--speech", str(tmp_path / "x.wav")]) == 0
    warned = f"warning: no speech detected in '{tmp_path / 'x.wav'}' (0.0 of 1.2 s)"
    assert capsys.readouterr().err.count(warned) == (kind == "noise")


def test_the_counts_of_a_live_stream(anchor: Anchor) -> None:
    with anchor.live() as live:
        frames = live.frames(paced=False)
        for audio in (noise(1.0), speech_like(1.0), noise(1.0)):
            live.push(audio)
            live.flush()
            while live.busy:
                next(frames)
        assert live.counts.spoken_seconds == pytest.approx(3.0, abs=0.1)
        assert live.counts.speech_seconds == pytest.approx(0.95, abs=0.15)


def test_a_long_stream_is_warned_of_once_and_early(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newscaster.cli.streaming._SPEECH_CHECK_SECONDS", 0.8)
    media.write_wav(tmp_path / "x.wav", noise(1.6), 16_000)
    command = ["live", str(tiny), "--to", str(tmp_path / "x.ts"), "--speech", str(tmp_path / "x.wav")]
    assert cli.run(command) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "no speech" in line]
    assert "(0.0 of 0.8 s)" in warning


def test_a_little_speech_in_long_silence_is_not_called_none() -> None:
    line = without_speech("'x.wav'", 0.8, 64.0, rests=True)
    assert line.startswith("hardly any speech detected in 'x.wav' (0.8 of 64.0 s)")
    assert "at rest most of the time" in line
    assert "stays at rest" in without_speech("'x.wav'", 0.1, 64.0, rests=True)


def test_audio_that_is_not_read_to_its_end_is_noted(anchor: Anchor, tmp_path: Path) -> None:
    """In the result too, and under the name that the user knows."""
    media.write_wav(tmp_path / "x.wav", speech_like(2.0), 16_000)
    data = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(data + data)
    made = anchor.speak(tmp_path / "x.wav", tmp_path / "x.mp4")
    assert made.notes[0].startswith(f"'{tmp_path / 'x.wav'}' holds {len(data):,} bytes after the audio")
    piped = anchor.speak(io.BytesIO(data + data), tmp_path / "x.mp4")
    assert piped.notes[0].startswith(f"the audio stream holds {len(data):,} bytes after the audio")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"Good evening.\n" * 9, r"cannot be .* \(it is a text"),
        (bytes(9999), "cannot be read"),
    ],
)
def test_errors_about_a_stream_do_not_name_a_temporary_file(
    anchor: Anchor, tmp_path: Path, data: bytes, problem: str
) -> None:
    with pytest.raises(newscaster.MediaError, match=f"^the audio stream {problem}"):
        anchor.speak(io.BytesIO(data), tmp_path / "x.mp4")
