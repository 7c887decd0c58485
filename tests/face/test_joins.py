from __future__ import annotations

import numpy as np
import pytest

from making_moments import FPS, moments, round_way, some_blinks
from newscaster.face.joins import find_joins
from newscaster.face.moments import UNSEEN, Moments


def test_joins_are_those_of_a_search_through_all_pairs() -> None:
    rng = np.random.default_rng(3)
    stage = moments(round_way(140, 60.0) + rng.normal(0, 0.002, (140, 2)))
    forward = [
        (int(s), int(t), c)
        for s, b, t, a, c in zip(*vars(find_joins(stage)).values(), strict=True)
        if (b, a) == (1, 1)
    ]
    costs = {}
    for i in range(140):
        for j in range(140):
            if i + 1 < 140 and j > 0:
                pairs = [(i + 1, j, 2), (i, j - 1, 2)]
                pairs += [(i - 1, j - 2, 1)] if i > 0 and j > 1 else []
                pairs += [(i + 2, j + 1, 1)] if i + 2 < 140 and j + 1 < 140 else []
                each = [w * stage.change(np.array([a]), np.array([b]))[0] for a, b, w in pairs]
                costs[i, j] = sum(each) / sum(w for *_, w in pairs)
    assert forward
    for source, place, change in forward:
        assert change == pytest.approx(costs[source, place], rel=1e-3)
        near = [costs.get((source + k, place + k), np.inf) for k in range(-3, 4) if k]
        assert change <= min(near) * 1.001
    least = min(cost for (i, j), cost in costs.items() if abs(i - j) >= 20)
    assert min(change for *_, change in forward) == pytest.approx(least, rel=1e-3)


def test_pictures_that_differ_keep_moments_apart() -> None:
    stage = moments(round_way(300))
    pictures = np.full((300, 2, 48, 48), 100, np.uint8)
    pictures += np.random.default_rng(0).integers(0, 3, pictures.shape, np.uint8)
    alike = Moments(stage.head, stage.eyes, stage.blinks, stage.stretch, FPS, pictures)
    lit = pictures.copy()
    lit[150:] += 40
    other = Moments(stage.head, stage.eyes, stage.blinks, stage.stretch, FPS, lit)

    def across(one: Moments) -> int:
        joins = find_joins(one)
        return int(((joins.source < 149) & (joins.target > 150)).sum())

    assert across(alike) > 0
    assert across(other) == 0


def test_no_join_is_in_a_blink() -> None:
    stage = moments(round_way(400), blinks=some_blinks(400))
    joins = find_joins(stage)
    seen = joins.change <= UNSEEN
    assert seen.sum() > 20
    assert not stage.blinks[joins.source[seen]].any()
    assert not stage.blinks[joins.target[seen]].any()


def test_turns_on_the_spot_are_where_the_head_is_slow() -> None:
    time = np.arange(300) / FPS
    speed = 0.02 * (1.02 + np.sin(2 * np.pi * time / 4))
    way = np.stack([np.cumsum(speed), np.zeros(300)], axis=1)
    joins = find_joins(moments(way))
    turns = (joins.source - joins.target == joins.before) & (np.abs(joins.source - 150) < 120)
    assert turns.any()
    assert speed[joins.source[turns]].max() < np.median(speed)
