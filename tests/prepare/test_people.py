from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import FootageError
from newscaster.prepare.people import choose_person, group_faces, overlap, several_warning

CLIP = Path("/footage/talk.mp4")


def box(x: float, y: float, size: float) -> list[float]:
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows).reshape(-1, 4)


def test_one_person_who_moves_is_one_person() -> None:
    persons = group_faces([boxes(box(100 + 20 * i, 100, 60)) for i in range(8)])
    assert len(persons) == 1
    assert persons[0].size == pytest.approx(60)


def test_people_are_counted_from_the_left() -> None:
    pictures = [boxes(box(300, 90, 50), box(100, 100, 80)), boxes(box(102, 99, 80), box(305, 92, 52))] * 3
    persons = group_faces(pictures)
    assert [round(p.centre_x) for p in persons] == [101, 302]
    people = choose_person(persons, None, CLIP)
    assert people.chosen == 0
    assert people.is_meant(np.array(box(110, 100, 70)))
    assert not people.is_meant(np.array(box(290, 100, 70)))
    assert choose_person(persons, 1, CLIP).is_meant(np.array(box(290, 100, 70)))


def test_the_largest_is_taken_and_the_warning_says_how_to_take_another() -> None:
    people = choose_person(group_faces([boxes(box(300, 90, 90), box(100, 100, 80))] * 4), None, CLIP)
    assert people.chosen == 1
    text = several_warning(people, CLIP)
    assert str(CLIP) in text
    assert "2 faces" in text
    assert "face=0" in text


def test_passers_by_and_pictures_on_the_wall_do_not_count() -> None:
    pictures = [boxes(box(100, 100, 80), box(300, 40, 15))] * 9 + [
        boxes(box(100, 100, 80), box(250, 100, 60))
    ]
    assert len(group_faces(pictures)) == 1


@pytest.mark.parametrize("face", [2, -1])
def test_a_face_that_is_not_there(face: int) -> None:
    persons = group_faces([boxes(box(300, 90, 90), box(100, 100, 80))])
    with pytest.raises(FootageError, match=rf"face={face} .*2 faces.*talk\.mp4.*0 \(leftmost\) to 1"):
        choose_person(persons, face, CLIP)


def test_nobody() -> None:
    assert group_faces([boxes(), boxes()]) == ()
    with pytest.raises(FootageError, match=r"no face was found in '/footage/talk\.mp4'"):
        choose_person((), None, CLIP)


def test_overlap() -> None:
    a = np.array([0.0, 0, 10, 10])
    assert overlap(a, a) == 1.0
    assert overlap(a, a + 10) == 0.0
    assert overlap(a, a + np.array([5, 0, 5, 0])) == pytest.approx(1 / 3)
