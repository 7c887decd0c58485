from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.face.topology import LANDMARKS, LEFT_EYE_OUTER, OPENING_PAIRS, RIGHT_EYE_OUTER
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis import own_audio
from newscaster.synthesis.own_audio import measure_own_lag
from newscaster.synthesis.speech_input import Speech, open_speech
from tiny_anchor import speech_like

SECONDS, FPS = 14.0, 30


def syllables(times: np.ndarray) -> np.ndarray:
    """An opening that never repeats itself."""
    return np.maximum(0, np.sin(2 * np.pi * (2.1 * times + 0.9 * np.sin(0.7 * times**1.3))))


def track_of(opening: np.ndarray, covered: np.ndarray | None = None) -> VideoTrack:
    landmarks = np.zeros((len(opening), LANDMARKS, 3), np.float32)
    landmarks[:, LEFT_EYE_OUTER, 0], landmarks[:, RIGHT_EYE_OUTER, 0] = 0, 100
    for _, lower in OPENING_PAIRS:
        landmarks[:, lower, 1] = 20 * opening
    return VideoTrack(
        path=Path("video.mp4"),
        sha256="",
        fps=Fraction(FPS),
        size=(640, 360),
        landmarks=landmarks,
        present=np.ones(len(opening), np.bool_),
        covered=np.zeros(len(opening), np.bool_) if covered is None else covered,
        face=0,
    )


@pytest.fixture
def speech(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speech]:
    """Audio whose predicted opening is `syllables`, at 25 Hz."""
    monkeypatch.setattr(
        own_audio, "predicted_openings", lambda samples: syllables(np.arange(len(samples) // 640) / 25)
    )
    monkeypatch.setattr(own_audio, "speech_activity", lambda samples: np.ones(len(samples) // 640, np.bool_))
    with open_speech(speech_like(SECONDS), audible=False) as opened:
        yield opened


@pytest.mark.parametrize("lag", [-0.12, 0.0, 0.2])
def test_the_lag_is_measured(speech: Speech, lag: float) -> None:
    times = np.arange(round(SECONDS * FPS)) / FPS
    found = measure_own_lag(track_of(syllables(np.maximum(0, times + lag))), speech, start_seconds=0.0)
    assert found.seconds == pytest.approx(lag, abs=0.015)
    assert found.correlation is not None
    assert found.correlation > 0.9
    if lag:
        assert f"ms {'late' if lag > 0 else 'early'}" in found.text


def test_a_part_has_its_own_start(speech: Speech) -> None:
    """The audio is that of the part, and the mouth before it does not count."""
    times = np.arange(round((SECONDS + 2) * FPS)) / FPS - 2
    opening = np.where(times < 0, 0.5, syllables(np.maximum(0, times)))
    found = measure_own_lag(track_of(opening), speech, start_seconds=2.0)
    assert found.seconds == pytest.approx(0, abs=0.015)


def test_a_still_or_covered_mouth_is_not_measured(speech: Speech) -> None:
    frames = round(SECONDS * FPS)
    still = measure_own_lag(track_of(np.zeros(frames)), speech, start_seconds=0.0)
    opening = syllables(np.arange(frames) / FPS)
    hidden = measure_own_lag(track_of(opening, np.ones(frames, np.bool_)), speech, start_seconds=0.0)
    for found in (still, hidden):
        assert found.seconds is None
        assert "could not be measured" in found.text


def test_another_mouth_is_not_measured(speech: Speech) -> None:
    other = np.random.default_rng(0).normal(size=round(SECONDS * FPS))
    found = measure_own_lag(track_of(np.abs(other)), speech, start_seconds=0.0)
    assert found.seconds is None
    assert "does not match the mouth" in found.text
