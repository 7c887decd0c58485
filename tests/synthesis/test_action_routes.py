"""The cheapest cut from one part of a target to another."""

from __future__ import annotations

import numpy as np
import pytest

from making_moments import FPS, drift, round_way, similarity
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.transitions import find_transitions
from newscaster.synthesis.action_routes import Places, Route, Steps


def within(frames: int, start: int, stop: int) -> np.ndarray:
    inside = np.zeros(frames, bool)
    inside[start:stop] = True
    return inside


def route(target: FrameSimilarity, domain: np.ndarray, goals: np.ndarray, *, loops: bool = False) -> Route:
    steps = Steps(target, None if loops else find_transitions(target), loops=loops)
    places = Places(domain, (1,) if loops else (1, -1))
    return Route.between(steps, places, Places(goals, (1,)), face=target.changes_of_face())


def way(found: Route, state: tuple[int, int], most: int = 200) -> list[tuple[int, int]]:
    states = [state]
    while len(states) < most:
        state, arrived = found.next(state)
        states.append(state)
        if arrived:
            return states
    raise AssertionError("it never arrives")


def test_footage_that_goes_on_into_the_goal_is_played_on() -> None:
    target = similarity(drift(200))
    found = route(target, within(200, 0, 100), within(200, 100, 110))
    assert way(found, (90, 1)) == [(frame, 1) for frame in range(90, 101)]


def test_it_waits_for_a_cut_that_does_not_show() -> None:
    """A head that goes round: the goal is two rounds later, at another angle than the start."""
    target = similarity(round_way(600))
    found = route(target, within(600, 0, 300), within(600, 430, 437))
    states = way(found, (0, 1))
    assert len(states) < 1.6 * FPS  # the same angle comes after 30 frames
    (last, before), (goal, _) = states[-2:]
    assert 430 <= goal < 437
    assert target.change(np.array([last + before]), np.array([goal]))[0] <= UNSEEN


def test_a_goal_like_nothing_else_is_cut_to_in_time() -> None:
    path = np.concatenate([round_way(300), round_way(60) + 3.0])
    target = similarity(path, segment=np.repeat([0, 1], [300, 60]))
    found = route(target, within(360, 0, 300), within(360, 300, 307))
    assert len(way(found, (10, 1))) <= 4 * FPS + 2


def test_a_loop_arrives_across_its_seam() -> None:
    target = similarity(round_way(100))
    found = route(target, np.ones(100, bool), within(100, 5, 10), loops=True)
    states = way(found, (98, 1))
    assert [frame for frame, _ in states] == [98, 99, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("direction", [1, -1])
def test_the_end_of_the_footage_is_left_by_a_cut(direction: int) -> None:
    target = similarity(drift(120))
    found = route(target, within(120, 0, 50), within(120, 80, 90))
    (state, arrived) = found.next((49 if direction > 0 else 0, direction))
    assert arrived or state[0] < 50
