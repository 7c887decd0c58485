from __future__ import annotations

import numpy as np
import pytest

from making_moments import FPS, round_way, similarity, some_blinks
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.transitions import find_transitions


@pytest.mark.slow
def test_transitions_equal_an_exhaustive_search() -> None:
    rng = np.random.default_rng(3)
    target = similarity(round_way(140, 60.0) + rng.normal(0, 0.002, (140, 2)))
    forward = [
        (int(s), int(t), c)
        for s, b, t, a, c in zip(*vars(find_transitions(target)).values(), strict=True)
        if (b, a) == (1, 1)
    ]
    costs = {}
    for i in range(140):
        for j in range(140):
            if i + 1 < 140 and j > 0:
                pairs = [(i + 1, j, 2), (i, j - 1, 2)]
                pairs += [(i - 1, j - 2, 1)] if i > 0 and j > 1 else []
                pairs += [(i + 2, j + 1, 1)] if i + 2 < 140 and j + 1 < 140 else []
                each = [w * target.change(np.array([a]), np.array([b]))[0] for a, b, w in pairs]
                costs[i, j] = sum(each) / sum(w for *_, w in pairs)
    assert forward
    for source, place, change in forward:
        assert change == pytest.approx(costs[source, place], rel=1e-3)
        near = [costs.get((source + k, place + k), np.inf) for k in range(-3, 4) if k]
        assert change <= min(near) * 1.001
    least = min(cost for (i, j), cost in costs.items() if abs(i - j) >= 20)
    assert min(change for *_, change in forward) == pytest.approx(least, rel=1e-3)


def test_different_images_prevent_transitions() -> None:
    target = similarity(round_way(300))
    images = np.full((300, 2, 48, 48), 100, np.uint8)
    images += np.random.default_rng(0).integers(0, 3, images.shape, np.uint8)
    alike = FrameSimilarity(target.head, target.eyes, target.blinks, target.segment, FPS, images)
    lit = images.copy()
    lit[150:] += 40
    other = FrameSimilarity(target.head, target.eyes, target.blinks, target.segment, FPS, lit)

    def across(one: FrameSimilarity) -> int:
        transitions = find_transitions(one)
        return int(((transitions.source < 149) & (transitions.target > 150)).sum())

    assert across(alike) > 0
    assert across(other) == 0


def test_no_join_is_in_a_blink() -> None:
    target = similarity(round_way(400), blinks=some_blinks(400))
    transitions = find_transitions(target)
    seen = transitions.change <= UNSEEN
    assert seen.sum() > 20
    assert not target.blinks[transitions.source[seen]].any()
    assert not target.blinks[transitions.target[seen]].any()


def test_turns_on_the_spot_are_where_the_head_is_slow() -> None:
    time = np.arange(300) / FPS
    speed = 0.02 * (1.02 + np.sin(2 * np.pi * time / 4))
    way = np.stack([np.cumsum(speed), np.zeros(300)], axis=1)
    transitions = find_transitions(similarity(way))
    turns = (transitions.source - transitions.target == transitions.before) & (
        np.abs(transitions.source - 150) < 120
    )
    assert turns.any()
    assert speed[transitions.source[turns]].max() < np.median(speed)
