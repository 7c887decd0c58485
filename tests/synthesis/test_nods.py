"""Orders of a target whose nods meet stressed syllables."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.synthesis.nods import NodOrder, calm_frames

FRAMES, FPS = 600, 25.0
NODS = np.array([60, 130, 215, 300, 350, 470, 540])


def order(calm: np.ndarray | None = None, nods: np.ndarray = NODS) -> NodOrder:
    return NodOrder(nods, np.ones(FRAMES, np.bool_) if calm is None else calm, FPS)


def shown(stresses: np.ndarray, count: int = 1500, start: int = 0, **options: np.ndarray) -> np.ndarray:
    return np.array(list(islice(order(**options).frames(stresses, start=start), count)))


def times_of_nods(frames: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(frames, NODS) & (np.diff(frames, prepend=-1) != 0)) / FPS


def test_nods_meet_stresses() -> None:
    stresses = np.cumsum(np.random.default_rng(0).uniform(0.35, 1.1, 100))
    off = np.abs(times_of_nods(shown(stresses))[:, None] - stresses).min(axis=1)
    assert np.mean(off <= 0.03) > 0.9
    plain = np.abs(times_of_nods(np.arange(1500) % FRAMES)[:, None] - stresses).min(axis=1)
    assert np.mean(plain <= 0.03) < 0.4


def test_single_frames_are_changed_far_apart_and_never_in_a_nod() -> None:
    frames = shown(np.arange(0.3, 60, 0.7), start=40)
    steps = np.diff(frames) % FRAMES
    assert set(steps.tolist()) == {0, 1, 2}
    changed = np.flatnonzero(steps != 1)
    assert np.diff(changed).min() >= 0.2 * FPS - 1
    distance = np.abs((frames[changed][:, None] - NODS + FRAMES // 2) % FRAMES - FRAMES // 2)
    assert distance.min() >= 0.3 * FPS - 2


def test_without_stresses_nods_or_calm_frames_the_loop_is_plain() -> None:
    loop = (np.arange(1500) + 7) % FRAMES
    often = np.arange(0.3, 60, 0.7)
    np.testing.assert_array_equal(shown(np.zeros(0), start=7), loop)
    np.testing.assert_array_equal(shown(often, start=7, nods=np.zeros(0, np.int64)), loop)
    np.testing.assert_array_equal(shown(often, start=7, calm=np.zeros(FRAMES, np.bool_)), loop)
    np.testing.assert_array_equal(shown(np.array([500.0]), start=7), loop)  # far away


@pytest.mark.parametrize("moving", ["head", "eyes", "blinks"])
def test_frames_in_motion_are_not_calm(moving: str) -> None:
    points = {"head": np.zeros((40, 5, 2)), "eyes": np.zeros((40, 4, 2))}
    blinks = np.zeros(40, np.bool_)
    if moving == "blinks":
        blinks[20] = True
    else:
        points[moving][20:, :, 1] = 0.02
    similarity = FrameSimilarity(**points, blinks=blinks, segment=np.zeros(40, np.int64), fps=FPS)
    calm = calm_frames(similarity)
    assert not calm[20]
    assert calm[5:18].all()
    assert calm[23:37].all()
