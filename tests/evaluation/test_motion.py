"""The opening's agreement finds the lag that was put in."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.evaluation.motion import best_lag, opening_agreement, shifted


@pytest.mark.parametrize("lag", [-6, -1, 0, 3, 8])
def test_finds_the_lag(lag: int) -> None:
    rng = np.random.default_rng(3)
    course = np.convolve(rng.normal(size=240), np.ones(5), mode="same")
    seen, predicted = course[20:220], course[20 - lag : 220 - lag] * 0.5 + 0.1
    found = opening_agreement(predicted, seen, np.ones(200, bool))
    assert found.lag == lag
    assert found.correlation > 0.999


def test_steps_that_were_not_seen_do_not_count() -> None:
    rng = np.random.default_rng(3)
    course = np.convolve(rng.normal(size=200), np.ones(5), mode="same")
    seen, present = course.copy(), np.ones(200, bool)
    seen[50:80], present[50:80] = 100.0, False
    assert opening_agreement(course, seen, present).correlation > 0.999


def test_too_little_to_compare() -> None:
    assert opening_agreement(np.arange(9.0), np.arange(9.0), np.ones(9, bool)).correlation == -1.0


def test_shifted_drops_what_has_no_partner() -> None:
    values = np.arange(5)
    assert shifted(values, 2).tolist() == [2, 3, 4]
    assert shifted(values, -2).tolist() == [0, 1, 2]
    assert shifted(values, 0).tolist() == values.tolist()


def course(steps: int, *, seed: int = 3) -> np.ndarray:
    return np.convolve(np.random.default_rng(seed).normal(size=steps), np.ones(7), mode="same")


@pytest.mark.parametrize("lag", [-5, 0, 2])
def test_the_lag_of_many_clips_about_their_own_means(lag: int) -> None:
    clips = [course(120, seed=seed) + 50 * seed for seed in range(3)]
    early = [clip[20:100] for clip in clips]
    late = [0.5 * clip[20 - lag : 100 - lag] - 7 for clip in clips]
    found = best_lag(late, early)
    assert found.lag == pytest.approx(lag, abs=0.1)
    assert found.correlation == pytest.approx(1)
    moved = best_lag([late[0] + 1000, *late[1:]], early)
    assert (moved.lag, moved.correlation) == pytest.approx((found.lag, found.correlation))


def test_a_lag_of_half_a_step_lies_between_steps() -> None:
    fine = course(400)
    smooth = np.convolve(fine, np.ones(9) / 9, mode="same")
    assert best_lag([smooth[19:380:2]], [smooth[20:381:2]]).lag == pytest.approx(0.5, abs=0.1)


def test_steps_without_a_mouth_do_not_count_for_the_lag() -> None:
    late = course(100)
    holes = late.copy()
    holes[30:40] = np.nan
    assert best_lag([holes], [late]).correlation == pytest.approx(1)


def test_too_few_steps_give_nan() -> None:
    for late in (np.full(60, np.nan), np.ones(60), course(15)):
        assert np.isnan(best_lag([late], [course(len(late), seed=5)]).correlation)
