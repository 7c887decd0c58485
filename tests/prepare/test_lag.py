from __future__ import annotations

import numpy as np
import pytest

from newscaster.prepare.lag import estimate_lag, loudness_db

FPS, RATE = 25.0, 16_000


def talk(seconds: float, lag_seconds: float, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An opening that follows syllables at random, and sound that follows it so much later."""
    rng = np.random.default_rng(seed)
    syllables = np.cumsum(rng.uniform(0.16, 0.45, round(seconds / 0.15)))
    strength = rng.uniform(0.4, 1.0, len(syllables))

    def wave(times: np.ndarray) -> np.ndarray:
        return (strength * np.exp(-0.5 * ((times[:, None] - syllables) / 0.05) ** 2)).sum(axis=1)

    opening = 0.1 * wave(np.arange(round(seconds * FPS)) / FPS) + rng.normal(0, 0.004, round(seconds * FPS))
    coarse = np.arange(0, seconds, 0.005)
    loud = np.interp(np.arange(round(seconds * RATE)) / RATE, coarse, wave(coarse - lag_seconds))
    return opening, (0.2 * (loud + 0.003) * rng.standard_normal(len(loud))).astype(np.float32)


@pytest.mark.parametrize("lag_seconds", [0.0, 0.12, -0.2, 0.35])
def test_the_lag_is_found(lag_seconds: float) -> None:
    found = estimate_lag(
        *zip(*[talk(12, lag_seconds, seed=s) for s in range(3)], strict=True), fps=FPS, rate=RATE
    )
    assert found is not None
    assert found.is_clear
    assert found.seconds == pytest.approx(lag_seconds, abs=0.03)


@pytest.mark.parametrize("gain_db", [-20, -45])
def test_the_lag_of_quiet_speech_is_found(gain_db: int) -> None:
    pairs = [talk(12, 0.12, seed=s) for s in range(3)]
    loud = estimate_lag([o for o, _ in pairs], [s for _, s in pairs], fps=FPS, rate=RATE)
    gain = np.float32(10 ** (gain_db / 20))
    quiet = estimate_lag([o for o, _ in pairs], [s * gain for _, s in pairs], fps=FPS, rate=RATE)
    assert loud is not None
    assert quiet is not None
    assert quiet.is_clear
    assert quiet.seconds == pytest.approx(loud.seconds, abs=0.01)
    assert quiet.correlation == pytest.approx(loud.correlation, abs=0.05)


def test_frames_without_a_face_are_bridged() -> None:
    opening, speech = talk(30, 0.1)
    opening[100:110] = np.nan
    found = estimate_lag([opening], [speech], fps=FPS, rate=RATE)
    assert found is not None
    assert found.seconds == pytest.approx(0.1, abs=0.03)


def test_sound_of_somebody_else_has_no_clear_lag() -> None:
    found = estimate_lag([talk(30, 0.0, seed=1)[0]], [talk(30, 0.0, seed=2)[1]], fps=FPS, rate=RATE)
    assert found is None or not found.is_clear


def test_stretches_without_sound_are_passed_over() -> None:
    opening, speech = talk(30, 0.1)
    alone = estimate_lag([opening], [speech], fps=FPS, rate=RATE)
    silent = talk(30, 0.0, seed=3)[0]
    assert estimate_lag([silent, opening], [speech[:0], speech], fps=FPS, rate=RATE) == alone
    assert estimate_lag([silent], [speech[:0]], fps=FPS, rate=RATE) is None


def test_too_little_footage() -> None:
    opening, speech = talk(4, 0.0)
    assert estimate_lag([opening], [speech], fps=FPS, rate=RATE) is None
    assert estimate_lag([np.full(500, np.nan)], [np.zeros(320_000, np.float32)], fps=FPS, rate=RATE) is None


def test_loudness_of_a_full_scale_square_wave_is_0_db() -> None:
    level = loudness_db(np.ones(16_000, np.float32), rate=RATE, step_seconds=0.02, steps=50)
    assert level.shape == (50,)
    np.testing.assert_allclose(level[2:-2], 0.0, atol=0.01)
