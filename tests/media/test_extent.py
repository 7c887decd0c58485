from __future__ import annotations

import numpy as np
import pytest

from newscaster.media.extent import uneven_fraction


@pytest.mark.parametrize("fps", [25.0, 30000 / 1001, 60.0])
def test_a_constant_rate_is_even(fps: float) -> None:
    times = np.arange(500) / fps
    assert uneven_fraction(times, None) == 0
    assert uneven_fraction(np.round(times, 3), None) == 0  # in milliseconds, as in Matroska
    assert uneven_fraction(np.r_[times, times + 30], None) == 0  # a gap


def test_other_durations_are_uneven() -> None:
    steps = np.tile([0.025, 0.025, 0.075], 100)
    assert uneven_fraction(np.cumsum(steps), None) == pytest.approx(1, abs=0.01)
    kept = np.delete(np.arange(500), np.arange(50, 450, 40))  # ten frames are missing
    assert uneven_fraction(kept / 25, 25.0) == pytest.approx(10 / 490, abs=0.001)
    assert uneven_fraction(np.zeros(1), None) == 0
