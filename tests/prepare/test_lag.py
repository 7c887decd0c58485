"""The lag between a mouth and its audio, and whether they belong together, on made-up courses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from making_sync import talk
from newscaster.prepare.lag import Lag, SpokenSegment, estimate_lag


def found(*segments: SpokenSegment) -> Lag:
    lag = estimate_lag(segments)
    assert lag is not None
    return lag


@pytest.mark.parametrize("lag_seconds", [0.0, 0.04, -0.04, 0.12, -0.2, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 2.8])
def test_the_lag_is_found(lag_seconds: float) -> None:
    lag = found(*[talk(12, lag_seconds, seed=s) for s in range(3)])
    assert lag.is_clear
    assert lag.drift == 0
    assert lag.seconds == pytest.approx(lag_seconds, abs=0.02)


@pytest.mark.parametrize("drift", [0.01, -0.01, 0.03, -0.03, 0.042])
def test_a_clock_that_runs_apart_is_found(drift: float) -> None:
    lag = found(talk(40, 0.0, drift=drift))
    assert lag.is_clear
    assert lag.drift == pytest.approx(drift, abs=0.003)


def test_a_drift_is_found_in_segments_of_one_file() -> None:
    whole = talk(90, 0.0, drift=0.01)
    parts = [
        replace(
            whole,
            opening=whole.opening[start * 30 : (start + 15) * 30],
            predicted=whole.predicted[start * 25 : (start + 15) * 25],
            speaking=whole.speaking[start * 25 : (start + 15) * 25],
            start_seconds=float(start),
        )
        for start in (0, 40, 75)
    ]
    assert found(*parts).drift == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize("seconds", [10, 20, 60])
def test_audio_of_somebody_else_is_not_clear(seconds: float) -> None:
    for seed in range(6):
        lag = found(talk(seconds, seed=seed, audio_seed=seed + 50))
        assert not lag.is_clear
        assert lag.is_known


def test_a_lag_beyond_reach_is_not_clear() -> None:
    lag = found(talk(40, 6.0))
    assert lag.is_known
    assert not lag.is_clear


def test_a_mouth_that_rests_under_speech_is_not_clear() -> None:
    moving = talk(40)
    resting = replace(moving, opening=np.random.default_rng(1).normal(0.01, 0.002, len(moving.opening)))
    assert found(resting).is_known
    assert not found(resting).is_clear


def test_frames_without_a_face_do_not_count() -> None:
    segment = talk(30, 0.1)
    segment.opening[100:400] = np.nan
    lag = found(segment)
    assert lag.is_clear
    assert lag.seconds == pytest.approx(0.1, abs=0.02)
    assert lag.speech_seconds == pytest.approx(20, abs=0.2)


def test_segments_without_audio_are_skipped() -> None:
    segment = talk(30, 0.1)
    mute = replace(talk(30, seed=3), predicted=np.zeros(0), speaking=np.zeros(0, np.bool_))
    assert estimate_lag([mute, segment]) == estimate_lag([segment])
    assert estimate_lag([mute]) is None


def test_too_little_is_not_known() -> None:
    assert not found(talk(4, audio_seed=7)).is_known
    assert estimate_lag([replace(talk(20), opening=np.full(600, np.nan))]) is None
