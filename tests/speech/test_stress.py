"""Stressed syllables of made-up speech, whose times are known."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.stress import stressed_times

STRESSED = (2, 6, 9, 13)
SYLLABLES = 16
SECONDS = 0.22


def syllables(*, louder_db: float = 0.0, higher_semitones: float = 0.0, base_hz: float = 120.0) -> np.ndarray:
    """Return syllables of 0.22 s with a pulse train each; some are louder or higher."""
    times = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    parts = []
    for number in range(SYLLABLES):
        is_stressed = number in STRESSED
        hz = base_hz * 2 ** (higher_semitones * is_stressed / 12)
        voice = sum(np.cos(2 * np.pi * k * hz * times) / k for k in range(1, 12))
        gain = 0.02 * 10 ** (louder_db * is_stressed / 20)
        parts.append(gain * voice * np.sin(np.pi * times / SECONDS) ** 2)
    return np.concatenate(parts).astype(np.float32)


def middles() -> np.ndarray:
    return (np.array(STRESSED) + 0.5) * SECONDS


@pytest.mark.parametrize("base_hz", [90.0, 120.0, 220.0])
@pytest.mark.parametrize("how", [{"louder_db": 6.0}, {"higher_semitones": 4.0}], ids=["louder", "higher"])
def test_louder_or_higher_syllables_are_stressed(how: dict[str, float], base_hz: float) -> None:
    found = stressed_times([syllables(base_hz=base_hz, **how)])
    np.testing.assert_allclose(found, middles(), atol=0.05)


def test_even_syllables_silence_and_noise_are_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
    noise[SAMPLE_RATE : SAMPLE_RATE + 2000] *= 3
    for samples in (syllables(), np.zeros(2 * SAMPLE_RATE, np.float32), noise, np.zeros(0, np.float32)):
        assert not len(stressed_times([samples]))
    assert not len(stressed_times([]))


def test_a_loud_fricative_between_syllables_is_not() -> None:
    speech = syllables(louder_db=6.0)
    rng = np.random.default_rng(0)
    for number in (4, 11):
        at = round(number * SECONDS * SAMPLE_RATE)
        speech[at - 500 : at + 500] += rng.normal(0, 0.05, 1000).astype(np.float32)
    np.testing.assert_allclose(stressed_times([speech]), middles(), atol=0.05)


def test_blocks_of_any_length_give_the_same() -> None:
    speech = syllables(louder_db=6.0)
    whole = stressed_times([speech])
    for size in (37, 641, 16_000):
        blocks = [speech[start : start + size] for start in range(0, len(speech), size)]
        np.testing.assert_array_equal(stressed_times(blocks), whole)
