from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.synthesis.closing_mouth import ClosingMouth


@pytest.mark.parametrize(("distance", "frames_between"), [(0.0, 0), (0.03, 0), (0.2, 1)])
def test_a_mouth_closes_no_faster_than_in_speech(distance: float, frames_between: int) -> None:
    """One that is nearly closed is at rest with the next frame; a wide one takes one frame more."""
    rest = np.zeros((57, 2))
    mouth = ClosingMouth(rest, Fraction(25))
    mouth.start(rest + np.array([0.0, distance]))
    for _ in range(frames_between):
        assert mouth.is_closing
        assert np.linalg.norm(mouth.next() - rest, axis=1).max() == pytest.approx(distance / 2)
    assert not mouth.is_closing
    np.testing.assert_array_equal(mouth.next(), rest)


def test_speech_that_goes_on_ends_the_closing() -> None:
    mouth = ClosingMouth(np.zeros((57, 2)), Fraction(25))
    mouth.start(mouth.rest + 0.2)
    mouth.stop()
    np.testing.assert_array_equal(mouth.next(), mouth.rest)
