"""New speech in a part of a video is as loud as the speech that it replaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from making_media import tone
from newscaster import media
from newscaster.media.loudness import true_peaks
from newscaster.synthesis.dub_audio import MAX_TRUE_PEAK, AudioPlan, write_dub_audio
from newscaster.synthesis.dub_loudness import MAX_GAIN_DB, speech_gain
from newscaster.synthesis.dub_options import SpeechGain
from tiny_anchor import speech_like

RATE = 48_000
VOICE = speech_like(4.0, RATE)
SILENCE = np.zeros(3 * RATE, np.float32)


def decibels(value: float) -> float:
    return float(10 ** (value / 20))


def written(path: Path, *parts: np.ndarray) -> Path:
    media.write_wav(path, np.concatenate(parts).astype(np.float32), RATE)
    return path


def plan_of(tmp_path: Path, own: list[np.ndarray], speech: np.ndarray, *, start: float) -> AudioPlan:
    path = written(tmp_path / "own.wav", *own)
    seconds = sum(map(len, own)) / RATE
    return AudioPlan(
        speech=written(tmp_path / "speech.wav", speech),
        own=path,
        seconds=seconds,
        start_seconds=start,
        stop_seconds=start + 4.0,
    )


@pytest.mark.parametrize("quieter_db", [8.0, -6.0, 0.0])
def test_as_loud_as_what_it_replaces(tmp_path: Path, quieter_db: float) -> None:
    """Neither a loud tone elsewhere, nor music under the pauses, nor silence counts."""
    own = [tone(3.0, rate=RATE) * 0.9, VOICE * 0.2, SILENCE]
    speech = np.concatenate([SILENCE[:RATE], VOICE]) * 0.2 * decibels(-quieter_db)
    plan = replace(plan_of(tmp_path, own, speech, start=3.0), stop_seconds=8.0)
    gain = speech_gain(plan)
    assert gain.decibels == pytest.approx(quieter_db, abs=0.3)
    assert gain.reference_lufs is not None
    word = "louder" if quieter_db > 0 else "quieter" if quieter_db < 0 else "as loud as"
    assert word in gain.text
    assert f"that it replaces ({gain.reference_lufs:.1f} LUFS)" in gain.text


def test_speech_in_stereo_is_in_both_channels(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, [VOICE * 0.2], VOICE * 0.1, start=0.0), channels=2)
    assert speech_gain(plan).decibels == pytest.approx(6.02, abs=0.1)


def test_a_part_without_speech_takes_the_rest(tmp_path: Path) -> None:
    own = [VOICE * 0.4, SILENCE, tone(4.0, rate=RATE) * 0.9]
    for start in (4.0, 7.0):
        gain = speech_gain(plan_of(tmp_path, own, VOICE * 0.2, start=start))
        assert gain.decibels == pytest.approx(6.02, abs=0.3)
        assert "in the rest of the video" in gain.text


def test_a_video_without_speech_leaves_the_level(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [tone(5.0, rate=RATE) * 0.9], VOICE * 0.2, start=1.0)
    assert speech_gain(plan) == SpeechGain(
        decibels=0.0,
        speech_lufs=speech_gain(plan).speech_lufs,
        text="the speech keeps its level: no speech was detected in the video's audio",
    )
    assert speech_gain(replace(plan, own=None)).decibels == 0.0


def test_a_speech_without_speech_keeps_its_level(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [VOICE * 0.5], tone(4.0, rate=RATE) * 0.02, start=0.0)
    gain = speech_gain(plan)
    assert (gain.decibels, gain.speech_lufs) == (0.0, None)
    assert "no speech was detected in it" in gain.text


@pytest.mark.parametrize(("own", "speech", "sign"), [(0.4, 0.04, 1), (0.02, 0.4, -1)])
def test_the_gain_is_bounded(tmp_path: Path, own: float, speech: float, sign: int) -> None:
    gain = speech_gain(plan_of(tmp_path, [VOICE * own], VOICE * speech, start=0.0))
    assert gain.decibels == sign * MAX_GAIN_DB
    assert f"limited to {sign * MAX_GAIN_DB:+g} dB" in gain.text


def test_louder_speech_is_limited_and_quiet_speech_is_scaled(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, [SILENCE], VOICE * 0.5 / np.abs(VOICE).max(), start=0.0), own=None)
    results = {}
    for gain in (1.0, 0.5, 1.5, 3.0):
        write_dub_audio(replace(plan, speech_gain=gain), tmp_path / "mix.wav")
        results[gain] = media.read_audio(tmp_path / "mix.wav", rate=RATE)
    np.testing.assert_allclose(results[0.5], 0.5 * results[1.0], atol=1e-4)
    np.testing.assert_allclose(results[1.5], 1.5 * results[1.0], atol=1e-4)
    assert MAX_TRUE_PEAK * 0.9 < true_peaks(results[3.0][None]).max() < MAX_TRUE_PEAK * 1.01
    assert len(results[3.0]) == len(results[1.0])
