"""Orders of made-up targets: a head that goes round, one that only drifts, one that rests and blinks."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from making_moments import FPS, drift, round_way, similarity, some_blinks
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.geometry import runs
from newscaster.face.transitions import find_transitions
from newscaster.synthesis.playback_order import PlaybackOrder, _along


def shown(target: FrameSimilarity, frames: int, **options: int) -> np.ndarray:
    return np.fromiter(itertools.islice(PlaybackOrder.of(target).frames(**options), frames), np.int64, frames)


def directions(order: np.ndarray) -> np.ndarray:
    """(F,): the way in which each frame was played; 0 where it stood between two joins."""
    steps = np.diff(order)
    return np.where(np.abs(steps) == 1, steps, 0)


def test_every_step_is_the_next_frame_or_a_transition() -> None:
    target = similarity(round_way(600), blinks=some_blinks(600))
    transitions = find_transitions(target)
    taken = set(zip(transitions.source.tolist(), transitions.target.tolist(), strict=True))
    order = shown(target, 5000)
    steps = set(zip(order[:-1].tolist(), order[1:].tolist(), strict=True))
    cuts = [(a, b) for a, b in steps if abs(a - b) != 1]
    assert len(cuts) > 10
    assert set(cuts) <= taken
    assert len(np.unique(order)) > 550


def test_cuts_are_not_seen() -> None:
    target = similarity(round_way(600), blinks=some_blinks(600))
    order = shown(target, 5000)
    way = directions(order)
    for at in np.flatnonzero(np.abs(np.diff(order)) > 1):
        if way[at - 1] and 0 <= order[at] + way[at - 1] < 600:
            follows = np.array([order[at] + way[at - 1]])
            assert target.change(follows, order[at + 1 : at + 2])[0] <= 1.5 * UNSEEN


def test_an_order_is_a_function_of_target_start_and_seed() -> None:
    target = similarity(round_way(400), blinks=some_blinks(400))
    order = PlaybackOrder.of(target)
    first, second = order.frames(start=30, seed=1), order.frames(start=30, seed=1)
    ahead = list(itertools.islice(first, 700))
    assert ahead[0] == 30
    assert [next(second) for _ in range(700)] == ahead  # however it is asked for, and beside the other
    assert shown(target, 700, start=30, seed=1).tolist() == ahead
    assert shown(target, 700, start=30, seed=2).tolist() != ahead
    assert shown(target, 700, start=31, seed=1)[0] == 31


def test_without_transitions_it_goes_forth_and_back_and_turns_near_the_ends() -> None:
    frames = 200
    order = shown(similarity(drift(frames)), 3000)
    steps = np.diff(order)
    assert (np.abs(steps) == 1).all()
    turns = order[1:-1][steps[1:] != steps[:-1]]
    assert len(turns) >= 10
    assert ((turns <= 13) | (turns >= frames - 14)).all()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_tiny_targets(frames: int) -> None:
    order = shown(similarity(drift(frames)), 10)
    assert order.tolist() == [0] * 10 if frames == 1 else (np.abs(np.diff(order)) == 1).all()


@pytest.mark.parametrize("start", [0, 57, 199])
def test_any_frame_can_be_the_first(start: int) -> None:
    order = shown(similarity(drift(200)), 500, start=start)
    assert order[0] == start
    assert (np.abs(np.diff(order)) == 1).all()


def test_blinks_are_neither_reversed_nor_cut_where_the_head_rests() -> None:
    frames = 500
    way = 0.002 * np.random.default_rng(0).standard_normal((frames, 2))
    target = similarity(way, blinks=some_blinks(frames))
    order = shown(target, 7500)
    steps = np.append(np.diff(order), 1)
    parts = runs(target.blinks[order])
    assert len(parts) > 30
    backward = sum((steps[a:b] == -1).mean() > 0.5 for a, b in parts)
    assert backward <= 0.2 * len(parts)  # forth and back: half of them
    for a, b in parts[1:-1]:
        assert (np.abs(steps[a : b - 1]) == 1).all()


def test_what_was_just_shown_is_avoided() -> None:
    target = similarity(round_way(600), blinks=some_blinks(600))
    order = shown(target, 7500)
    seconds = 2 * int(FPS)
    last: dict[bytes, int] = {}
    soon = 0
    for i in range(len(order) - seconds):
        key = order[i : i + seconds].tobytes()
        soon += i - last.get(key, -(10**6)) <= 2 * 600
        last[key] = i
    assert soon < 0.75 * len(order)  # forth and back: all of it


def test_segments_are_left_through_transitions_only() -> None:
    segment = np.repeat([0, 1, 2], [150, 150, 100])
    way = np.concatenate([round_way(150), round_way(150), 5 + drift(100)])
    order = shown(similarity(way, segment=segment), 4000)
    assert set(segment[order]) == {0, 1}  # nothing meets the third
    across = np.flatnonzero(np.diff(segment[order]))
    assert len(across) > 10
    transitions = find_transitions(similarity(way, segment=segment))
    taken = set(zip(transitions.source.tolist(), transitions.target.tolist(), strict=True))
    assert {(int(order[i]), int(order[i + 1])) for i in across} <= taken
    assert 149 not in order[across][order[across + 1] == 150]


def test_memory_does_not_grow() -> None:
    frames = PlaybackOrder.of(similarity(round_way(300))).frames()
    next(itertools.islice(frames, 2000, None))
    tracemalloc.start()
    for _ in itertools.islice(frames, 200):
        pass
    before = tracemalloc.get_traced_memory()[0]
    for _ in itertools.islice(frames, 4000):
        pass
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


def test_values_along_a_segment() -> None:
    rng = np.random.default_rng(0)
    cost, places, worth, step = rng.random(30), np.array([4, 17, 29]), np.array([1.0, -3.0, 2.0]), 0.93
    for direction in (1, -1):
        found = _along(cost, places, worth, step, direction)
        for i in range(30):
            ahead = [
                (step ** abs(s - i)) * w
                - sum(step ** abs(k - i) * cost[k] for k in range(i, s + direction, direction))
                for s, w in zip(places, worth, strict=True)
                if (s - i) * direction >= 0
            ]
            assert found[i] == (pytest.approx(max(ahead)) if ahead else -np.inf)
