"""Which frames of a track show the person, and whose mouth moves with the audio."""

from __future__ import annotations

import numpy as np
import pytest

import footage as made
from footage import somebody
from newscaster.prepare import following
from newscaster.prepare.following import follow_person, frames_of_person
from newscaster.prepare.people import People
from newscaster.prepare.speaking import loudness_db

FPS = 25.0
MISSING = np.full(128, np.nan, np.float32)


def kept(present: np.ndarray, samples: dict[int, int | None], *, known: bool = True) -> list[int]:
    """Frames that are kept of a track whose samples show these people; person 0 is meant."""
    descriptors = np.array(
        [MISSING if who is None else somebody(who) for who in samples.values()], np.float32
    )
    mask = frames_of_person(
        present, list(samples), descriptors.reshape(-1, 128), reference=somebody() if known else None, fps=FPS
    )
    return np.flatnonzero(mask).tolist()


def test_somebody_else_is_left_out_from_the_last_sample_of_the_person() -> None:
    samples = {0: 0, 12: 0, 24: 0, 36: 1, 48: 1, 60: 0, 72: 0}
    assert kept(np.ones(80, bool), samples) == [*range(25), *range(60, 80)]


def test_one_odd_sample_is_no_one_else() -> None:
    assert kept(np.ones(50, bool), {0: 0, 12: 0, 24: 1, 36: 0, 48: 0}) == list(range(50))


def test_a_run_that_could_not_be_measured_is_left_out() -> None:
    present = np.ones(100, bool)
    present[50] = False
    assert kept(present, {0: 0, 12: 0, 24: 0, 36: 0, 48: 0, 51: None, 63: None}) == list(range(50))


def test_unmeasured_frames_between_the_persons_own_are_kept_and_long_ends_are_not() -> None:
    samples = {0: None, 12: None, 50: 0, 62: None, 74: None, 90: 0, 102: None}
    assert kept(np.ones(200, bool), samples) == list(range(25, 116))


def test_without_a_reference_whoever_is_followed_for_longest_is_meant() -> None:
    samples = {0: 1, 12: 1, 24: 0, 36: 0, 48: 0, 60: 0}
    assert kept(np.ones(70, bool), samples, known=False) == list(range(24, 70))
    assert kept(np.ones(70, bool), {0: None}, known=False) == []


def test_no_face_at_all() -> None:
    assert kept(np.zeros(10, bool), {}) == []


def test_frames_of_somebody_else_have_no_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FaceTracker", made.MadeUpTracker)
    frames = [np.full((20, 20, 3), 0 if i < 50 else 1, np.uint8) for i in range(100)]
    found = follow_person(
        iter(frames),
        People(made.one_person(None), 0),
        fps=FPS,
        describe=lambda frames, points: np.stack([somebody(int(frames[0][0, 0, 0]))]),
    )
    assert found.present[:49].all()
    assert not found.present[50:].any()
    assert (found.others == ~found.present).all()
    assert np.isnan(found.landmarks[~found.present]).all()
    assert np.isfinite(found.landmarks[found.present]).all()


def test_loudness_of_a_full_scale_square_wave_is_0_db() -> None:
    level = loudness_db(np.ones(16_000, np.float32), rate=16_000, step_seconds=0.02, steps=50)
    assert level.shape == (50,)
    np.testing.assert_allclose(level[2:-2], 0.0, atol=0.01)


def test_quiet_audio_has_the_loudness_of_loud_audio_less_the_gain() -> None:
    audio = np.random.default_rng(0).normal(0, 0.2, 16_000).astype(np.float32)
    loud, quiet = (
        loudness_db(audio * np.float32(gain), rate=16_000, step_seconds=0.02, steps=50) for gain in (1, 0.01)
    )
    np.testing.assert_allclose(quiet, loud - 40, atol=0.1)
