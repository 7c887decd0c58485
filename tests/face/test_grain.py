from __future__ import annotations

import numpy as np
import pytest

from newscaster.face.grain import STRONGEST, Grain, grain_between

GREY = np.full((64, 64, 3), 120, np.uint8)


def test_grain_has_its_strength_in_brightness_alone() -> None:
    added = Grain(1.5, side=64).add(GREY, 3).astype(int) - GREY
    assert added.std() == pytest.approx(1.5, rel=0.08)
    assert abs(added.mean()) < 0.1
    assert (added == added[..., :1]).all()


def test_it_is_the_same_for_the_same_frame_and_another_for_the_next() -> None:
    grain = Grain(2.0, side=64)
    one, again, other = (grain.add(GREY, number).astype(float)[..., 0] - 120 for number in (7, 7, 8))
    assert (one == again).all()
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1


def test_neighbours_are_alike_and_those_further_off_are_not() -> None:
    noise = Grain(4.0, side=128).add(np.full((128, 128, 3), 120, np.uint8), 0).astype(float)[..., 0] - 120
    for axis in (0, 1):
        moved = np.moveaxis(noise, axis, 0)
        assert np.corrcoef(moved[1:].ravel(), moved[:-1].ravel())[0, 1] == pytest.approx(0.56, abs=0.06)
        assert abs(np.corrcoef(moved[3:].ravel(), moved[:-3].ravel())[0, 1]) < 0.08


def test_no_grain_keeps_a_crop_and_strong_grain_stays_within_bytes() -> None:
    assert Grain(0.0, side=64).add(GREY, 1) is GREY
    dark = Grain(STRONGEST, side=64).add(np.zeros_like(GREY), 1)
    assert 0 < dark.max() < 30


def test_what_is_missing_is_found() -> None:
    rng = np.random.default_rng(0)
    motion = rng.normal(0, 1.0, size=(40, 3, 500))
    real = motion + rng.normal(0, 1.2, size=motion.shape)
    # Nine tenths of the flicker are aimed at: 0.81 (1 + 1.44) - 1 is what is left to add.
    assert grain_between(motion, real) == pytest.approx(0.99, rel=0.1)
    assert grain_between(real, motion) == 0
    assert grain_between(motion, motion + rng.normal(0, 30, size=motion.shape)) == STRONGEST
