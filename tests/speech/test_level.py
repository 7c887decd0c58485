"""Quiet speech is brought to the usual level, in streams and in files, by one rule."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.media import PeakMeter
from newscaster.speech.activity import speech_activity
from newscaster.speech.level import (
    QUIETEST_DBFS,
    TARGET_DBFS,
    Leveller,
    is_silence,
    level_dbfs,
    loud_peak,
)
from tiny_anchor import speech_like

TARGET = 10 ** (TARGET_DBFS / 20)


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """Samples whose loudest lies at a level."""
    return (samples / np.abs(samples).max() * 10 ** (dbfs / 20)).astype(np.float32)


@pytest.mark.parametrize("dbfs", [TARGET_DBFS + 3, -20, -48, QUIETEST_DBFS + 0.1])
def test_every_level_that_is_accepted_becomes_the_usual_one(dbfs: float) -> None:
    speech = at_level(speech_like(4.0), dbfs)
    levelled = Leveller(loud_peak(speech)).push(speech)
    assert level_dbfs(float(np.abs(levelled).max())) == pytest.approx(max(dbfs, TARGET_DBFS), abs=0.6)
    usual = at_level(speech_like(4.0), max(dbfs, TARGET_DBFS))
    assert np.corrcoef(levelled, usual)[0, 1] > 0.999
    unknown = Leveller().push(speech)
    assert np.corrcoef(unknown[3200:], usual[3200:])[0, 1] > 0.98


def test_loud_speech_stays_as_it_is() -> None:
    speech = at_level(speech_like(3.0), -1)
    np.testing.assert_array_equal(Leveller(loud_peak(speech)).push(speech), speech)


@pytest.mark.parametrize("piece", [1, 77, 640, 5000])
def test_levelling_does_not_depend_on_the_cut(piece: int) -> None:
    count = 640 * 8 if piece == 1 else 16_000 * 8
    audio = np.concatenate([at_level(speech_like(1.0), -20), at_level(speech_like(10.0), -50)])[:count]
    whole, cut = Leveller(), Leveller()
    parts = [cut.push(audio[i : i + piece]) for i in range(0, len(audio), piece)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.push(audio))


def test_no_peak_is_raised_above_the_usual_level() -> None:
    rng = np.random.default_rng(0)
    audio = (rng.normal(size=64_000) * 10 ** rng.uniform(-3, 0, 64_000)).astype(np.float32) * 0.2
    raised = np.abs(Leveller().push(audio))
    assert (raised <= np.maximum(TARGET * 1.0001, np.abs(audio))).all()


def test_quiet_speech_after_loud_speech() -> None:
    audio = np.concatenate([at_level(speech_like(2.0), -3), at_level(speech_like(14.0, seed=2), -45)])
    levelled = Leveller().push(audio)
    after = np.abs(levelled[len(levelled) - 5 * 16_000 :])
    assert TARGET_DBFS - 6.1 < level_dbfs(float(after.max())) <= TARGET_DBFS + 0.01


def test_samples_are_not_changed_in_place() -> None:
    speech = at_level(speech_like(1.0), -40)
    before = speech.copy()
    Leveller().push(speech)
    np.testing.assert_array_equal(speech, before)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_the_meter_ignores_clicks(rate: int) -> None:
    speech = at_level(speech_like(4.0, rate), -40)
    expected = loud_peak(speech, rate)
    assert -48 < level_dbfs(expected) <= -39.5
    speech[rate] = 1.0
    meter = PeakMeter(rate)
    for block in np.array_split(speech, 37):
        meter.push(block)
    assert meter.loud == pytest.approx(expected, rel=0.07)


def test_the_meter_in_silence() -> None:
    assert loud_peak(np.zeros(16_000, np.float32)) == 0
    assert loud_peak(np.zeros(10, np.float32)) == 0
    assert loud_peak(np.zeros(0, np.float32)) == 0
    assert is_silence(np.zeros(0, np.float32))
    assert is_silence(np.full(100, 0.99e-3, np.float32))
    assert not is_silence(np.full(100, 1.01e-3, np.float32))


@pytest.mark.parametrize("dbfs", [-6, -30, -48, QUIETEST_DBFS + 0.5])
def test_activity_in_footage_follows_the_same_level(dbfs: float) -> None:
    audio = np.concatenate([speech_like(3.0), np.zeros(32_000, np.float32), speech_like(3.0, seed=1)])
    usual = speech_activity(at_level(audio, -6))
    assert 0.5 < usual.mean() < 0.9
    np.testing.assert_array_equal(speech_activity(at_level(audio, dbfs)), usual)
    assert not speech_activity(at_level(audio, QUIETEST_DBFS - 1)).any()


def test_later_speech_goes_on_with_the_level() -> None:
    """Two speeches are levelled as one: also a pause that holds the level, and one that ends it."""
    step = 640
    for quiet_steps in (10, 60):
        loud, quiet = speech_like(1.0), np.zeros(quiet_steps * step, np.float32)
        first, second = np.concatenate([loud, quiet]), 0.05 * speech_like(2.0, seed=1)
        whole = Leveller().push(np.concatenate([first, second]))
        leveller = Leveller()
        leveller.push(first)
        np.testing.assert_array_equal(leveller.successor().push(second), whole[len(first) :])
        assert np.abs(Leveller().push(second) - whole[len(first) :]).max() > 0.1  # alone, it is raised
