"""The opening's agreement finds the lag that was put in."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.evaluation.motion import opening_agreement, shifted


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
