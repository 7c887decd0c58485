from __future__ import annotations

import itertools

import numpy as np
import pytest

from making_mouths import mouth
from newscaster.face.references import (
    COUNT,
    ReferencePath,
    References,
    nearest_references,
    relative_distances,
    spread_mouths,
)


def shapes(openings: list[float] | np.ndarray) -> np.ndarray:
    return np.stack([mouth(opening, side=1) for opening in openings])


def test_chosen_mouths_cover_all_mouths() -> None:
    openings = np.concatenate([np.full(90, 0.1), np.linspace(0, 1, 10)])
    points = shapes(openings + 1e-4 * np.arange(100))
    chosen = spread_mouths(points, 8)
    assert len(chosen) == 8
    assert (np.diff(chosen) > 0).all()
    farthest = max(np.abs(openings[chosen] - opening).min() for opening in openings)
    assert farthest < 0.12, "no mouth is far from a chosen one, though most frames are alike"


def test_frames_without_a_face_are_not_chosen() -> None:
    points = shapes([0.1, 0.5, 0.9])
    points[1] = np.nan
    assert spread_mouths(points, 5).tolist() == [0, 2]


def test_the_nearest_come_first_and_the_last_is_repeated() -> None:
    points = shapes([0.0, 0.3, 0.35])
    assert nearest_references(mouth(0.32, side=1), points).tolist() == [1, 2, 0, 0]


def test_distances_are_relative_to_the_nearest_and_end() -> None:
    here = mouth(0.5, side=1)
    distances = relative_distances(here, shapes([0.5, 0.51, 0.9, 0.0]))
    assert distances[0] == 0
    assert distances[1] == pytest.approx(0, abs=0.5), "within the error of landmarks all are alike"
    assert distances.max() == 4
    assert np.isfinite(distances).all()


def test_points_must_fit_the_crops() -> None:
    with pytest.raises(ValueError, match="2 crops"):
        References([np.zeros((8, 8, 3), np.uint8)] * 2, np.zeros((3, 57, 2), np.float32))
    points = np.zeros((2, 57, 2), np.float32)
    with pytest.raises(ValueError, match="angles"):
        References([np.zeros((8, 8, 3), np.uint8)] * 2, points, np.zeros((3, 3), np.float32))


@pytest.mark.parametrize("angles", [None, np.zeros((30, 3))])
def test_pieces_of_any_size_give_the_same_path(angles: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    references, mouths = shapes(rng.uniform(0, 1, 30)), shapes(rng.uniform(0, 1, 50))

    def path(sizes: list[int]) -> np.ndarray:
        operator, parts, first = ReferencePath(references, angles), [], 0
        for size in sizes:
            parts.append(operator.push(mouths[first : first + size]))
            first += size
        return np.concatenate([*parts, operator.flush()])

    whole = path([50])
    assert whole.shape == (50, COUNT)
    assert (path([1] * 50) == whole).all()
    assert (path([7, 0, 30, 13]) == whole).all()
    assert all(len(set(numbers)) == COUNT for numbers in whole.tolist())


def test_the_first_reference_does_not_flicker() -> None:
    references = shapes([0.0, 0.4, 0.5, 1.0])
    tremor = 0.45 + 0.01 * np.array([1, -1] * 20)
    path = ReferencePath(references)
    first = np.concatenate([path.push(shapes(tremor)), path.flush()])[:, 0]
    nearest = [nearest_references(shape, references)[0] for shape in shapes(tremor)]
    assert len(set(nearest)) == 2, "the nearest one changes from frame to frame"
    assert len(set(first.tolist())) == 1


def test_other_references_of_footage_stay_while_they_are_near() -> None:
    rng = np.random.default_rng(1)
    references, wanted = shapes(rng.uniform(0.4, 0.6, 40)), 0.5 + 0.01 * rng.standard_normal(60)
    changes = {}
    for name, angles in (("photograph", None), ("footage", np.zeros((40, 3)))):
        path = ReferencePath(references, angles)
        numbers = np.concatenate([path.push(shapes(wanted)), path.flush()])
        changes[name] = np.mean([set(a) != set(b) for a, b in itertools.pairwise(numbers.tolist())])
        assert all(len(set(row)) == COUNT for row in numbers.tolist())
        if angles is not None:
            ranks = [
                nearest_references(mouth, references, 40).tolist().index(number)
                for mouth, row in zip(shapes(wanted), numbers.tolist(), strict=True)
                for number in row[1:]
            ]
            assert 4 <= max(ranks) <= 7, "kept as long as that, and no longer"
            order = [nearest_references(mouth, references, 40).tolist() for mouth in shapes(wanted)]
            assert all(
                sorted(row[1:], key=near.index) == row[1:]
                for near, row in zip(order, numbers.tolist(), strict=True)
            )
    assert changes["footage"] < 0.9 * changes["photograph"]


def test_the_path_follows_the_mouth() -> None:
    references = shapes(np.linspace(0, 1, 21))
    openings = np.concatenate([np.zeros(15), np.linspace(0, 1, 15), np.ones(15)])
    path = ReferencePath(references)
    first = np.concatenate([path.push(shapes(openings)), path.flush()])[:, 0]
    assert np.abs(first / 20 - openings).max() < 0.2
    assert first[0] == 0
    assert first[-1] == 20


def test_lips_that_meet_are_copied_from_lips_that_meet() -> None:
    open_alike, closed_else = mouth(0.25, side=1), mouth(0.0, side=1)
    closed_else[:, 0] += 0.03
    references = np.stack([open_alike, closed_else, mouth(1.0, side=1)])
    closed = mouth(0.0, side=1)
    assert nearest_references(closed, references)[0] == 0, "its points are nearer"
    path = ReferencePath(references)
    assert np.concatenate([path.push(closed[None]), path.flush()])[0, 0] == 1


def test_a_head_that_is_turned_alike_is_preferred() -> None:
    references = shapes([0.5, 0.51, 0.52, 0.53, 0.54])
    angles = np.array([[20.0, 0, 0], [20, 0, 0], [0, 0, 0], [20, 0, 0], [20, 0, 0]])
    mouths = 0.5 + np.zeros(20)

    def first(*turned: np.ndarray) -> list[int]:
        path = ReferencePath(references, angles)
        chosen = [path.push(shapes(mouths), *turned), path.flush()]
        return sorted(set(np.concatenate(chosen)[:, 0].tolist()))

    assert first() == [0], "the nearest mouth"
    assert first(np.zeros((20, 3))) == [2]
    assert first(np.full((20, 3), [20.0, 0, 0])) == [0]


def test_narrow_openings_of_footage_are_not_stretched_to_wide_ones() -> None:
    narrow_alike, wide_else = mouth(0.4, side=1), mouth(0.8, side=1)
    wide_else[:, 0] += 0.018
    references = np.stack([narrow_alike, wide_else, mouth(0.0, side=1)])
    angles = np.zeros((3, 3))

    def first(amount: float) -> int:
        path = ReferencePath(references, angles)
        chosen = [path.push(mouth(amount, side=1)[None], angles[:1]), path.flush()]
        return int(np.concatenate(chosen)[0, 0])

    assert nearest_references(mouth(0.65, side=1), references)[0] == 0, "its points are nearer"
    assert first(0.65) == 1
    assert first(0.45) == 0, "hardly stretched"
    assert first(0.05) == 2


def test_a_live_path_decides_at_once() -> None:
    path = ReferencePath(shapes([0.0, 0.5, 1.0]), look_ahead=0)
    assert [path.push(shapes([opening]))[0, 0] for opening in (0.0, 0.0, 1.0)] == [0, 0, 2]
    assert path.flush().shape == (0, COUNT)
