"""Metrics of a mouth under any voice, on openings whose metrics are known."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.evaluation.voices import (
    Word,
    breaths,
    closed_below,
    closure_fraction,
    envelope_lag_ms,
    long_silences,
    opening_lag_ms,
    read_alignment,
    silence_ratio,
    spoken_steps,
)


def test_words_of_an_alignment(tmp_path) -> None:
    (tmp_path / "a.align").write_text("0 16000 sil\n16000 21250 bin\n21250 22000 sp\n22000 30000 m\n")
    words = read_alignment(tmp_path / "a.align")
    assert words == [Word("bin", 0.64, 0.85), Word("m", 0.88, 1.2)]
    assert words[0].closure_seconds == 0.64
    assert words[1].closure_seconds == pytest.approx(1.14)
    assert Word("now", 1.0, 2.0).closure_seconds is None
    speaking = spoken_steps(words, 40)
    assert np.flatnonzero(speaking).tolist() == [*range(16, 21), *range(22, 30)]


def test_short_silences_do_not_count() -> None:
    speaking = np.ones(40, bool)
    speaking[5:12] = False
    speaking[20:28] = False
    assert np.flatnonzero(long_silences(speaking)).tolist() == list(range(20, 28))
    assert long_silences(np.zeros(9, bool)).all()
    assert not long_silences(np.ones(9, bool)).any()


def test_opening_in_silence() -> None:
    speaking = np.repeat([True, False], 20)
    openings = np.where(speaking, 0.1, 0.02)
    assert silence_ratio([openings], [speaking]) == pytest.approx(0.2)


def test_half_a_second_before_speech_is_no_silence() -> None:
    speaking = np.zeros(60, bool)
    speaking[40:50] = True
    assert np.flatnonzero(breaths(speaking)).tolist() == list(range(27, 40))
    openings = np.where(speaking, 0.1, 0.01)
    openings[27:40] = 0.05
    assert silence_ratio([openings], [speaking]) == pytest.approx(0.1)
    assert silence_ratio([openings], [speaking], breathing=True) == pytest.approx(0.5)


def test_lips_that_meet_near_the_phone() -> None:
    opening = np.full(50, 0.1)
    opening[[10, 33]] = 0.0
    words = [[Word("bin", 0.48, 0.6), Word("place", 0.52, 0.7), Word("now", 1.0, 1.2), Word("by", 1.24, 1.5)]]
    # Steps 12 and 31 lie two steps from a closed mouth, step 13 three.
    assert closure_fraction([opening], words, below=0.05) == pytest.approx(2 / 3)
    speaking = np.arange(202) % 2 == 0
    assert closed_below([np.repeat(np.arange(101.0), 2)], [speaking]) == 20
    assert closed_below([np.arange(202.0)], [np.arange(202) > 100]) == 121


def course(seed: int) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).random(300), np.ones(5) / 5, "same")


@pytest.mark.parametrize("lag", [-3, 0, 2])
def test_lag_behind_the_audio(lag: int) -> None:
    rng = np.random.default_rng(0)
    levels = [course(0), course(1)]
    noise = rng.normal(size=(2, 300, 640))
    audios = [(n * 10 ** (x[:, None] * 2 - 2)).ravel() for n, x in zip(noise, levels, strict=True)]
    late = [np.roll(level, lag) for level in levels]
    assert envelope_lag_ms(late, audios) == pytest.approx(40 * lag, abs=6)


def test_lag_behind_the_real_mouth() -> None:
    seen = [course(0), 3 + course(1)[:200]]
    assert opening_lag_ms(seen, seen) == pytest.approx(0, abs=1e-6)
    half = [0.05 * (np.roll(o, 1) + np.roll(o, 2)) for o in seen]
    seen[0][40:60] = np.nan
    assert opening_lag_ms(half, seen) == pytest.approx(60, abs=6)
