from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from faces import face_points, rotation, seen
from footage import somebody
from newscaster.errors import FootageError
from newscaster.prepare.grouping import group_sightings, is_still
from newscaster.prepare.people import Person, choose_person, overlap, several_warning
from newscaster.prepare.sightings import Sighting, sightings_in

CLIP = Path("/footage/talk.mp4")
MISSING = np.full(128, np.nan, np.float32)


def box(x: float, y: float, size: float) -> list[float]:
    return [x - size / 2, y - size / 2, x + size / 2, y + size / 2]


def sighting(place: Sequence[float], who: int | None, *, second: float = 0.0, turn: float = 0.0) -> Sighting:
    """A face at a place (4,): of a person by number, with a little noise, or one that cannot be described."""
    noise = 0.01 * np.random.default_rng(int(10 * second)).standard_normal(128).astype(np.float32)
    landmarks = seen(face_points(), rotation(yaw=turn), scale=40, shift=(place[0], place[1])).astype(
        np.float32
    )
    return Sighting(second, np.array(place), landmarks, MISSING if who is None else somebody(who) + noise)


def film(*frames: dict[int, list[float]]) -> tuple[Person, ...]:
    """The people of frames, each of which shows persons by number at places; every face moves."""
    return group_sightings(
        [
            [sighting(place, who, second=second, turn=4.0 * (second % 3)) for who, place in frame.items()]
            for second, frame in enumerate(frames)
        ]
    )


def test_one_person_who_moves_is_one_person() -> None:
    (person,) = film(*[{1: box(100 + 40 * i, 100, 60)} for i in range(8)])
    assert person.size == pytest.approx(60)
    assert person.presence == 1.0
    assert person.seconds == tuple(range(8))
    assert person.described == 8
    assert person.descriptor is not None
    assert np.abs(person.descriptor - somebody(1)).max() < 0.02


def test_the_same_face_elsewhere_after_a_cut_is_the_same_person() -> None:
    persons = film(*[{1: box(100, 100, 60)}] * 4, *[{1: box(700, 300, 150)}] * 4)
    assert [person.presence for person in persons] == [1.0]


def test_another_face_at_the_same_place_is_another_person() -> None:
    persons = film(*[{1: box(100, 100, 60)}] * 4, *[{2: box(100, 100, 60)}] * 4)
    assert [person.seconds for person in persons] == [(0, 1, 2, 3), (4, 5, 6, 7)]


def test_a_face_without_a_descriptor_belongs_to_whoever_is_seen_there() -> None:
    frames = [[sighting(box(100, 100, 60), 1, second=0.0)], [sighting(box(102, 100, 60), None, second=1.0)]]
    (person,) = group_sightings(frames)
    assert (len(person.boxes), person.described) == (2, 1)
    (unknown,) = group_sightings([[sighting(box(100, 100, 60), None)]])
    assert unknown.descriptor is None


def test_a_mirror_shows_a_second_face_of_the_same_person() -> None:
    frames = [
        [sighting(box(100, 100, 90), 1, second=float(i)), sighting(box(400, 100, 60), 1, second=float(i))]
        for i in range(3)
    ]
    persons = group_sightings(frames)
    assert len(persons) == 2
    assert choose_person(persons, None, CLIP).chosen == 0  # the larger of the two


def test_people_are_counted_from_the_left() -> None:
    persons = film(
        *[{1: box(300, 90, 50), 2: box(100, 100, 80)}, {1: box(305, 92, 52), 2: box(102, 99, 80)}] * 3
    )
    assert [round(p.centre_x) for p in persons] == [101, 302]
    people = choose_person(persons, 0, CLIP)
    assert people.is_meant(np.array(box(110, 100, 70)))
    assert not people.is_meant(np.array(box(290, 100, 70)))
    assert choose_person(persons, 1, CLIP).is_meant(np.array(box(290, 100, 70)))


def test_a_larger_photo_does_not_hide_the_speaker() -> None:
    frames = [
        [sighting(box(600, 100, 300), 2), sighting(box(100, 100, 60), 1, second=float(i), turn=4.0 * i)]
        for i in range(6)
    ]
    (person,) = group_sightings(frames)
    assert person.size == pytest.approx(60)


def test_a_photo_is_still_and_a_face_is_not() -> None:
    photo = seen(face_points(), np.eye(3), scale=40, shift=(100, 100)).astype(np.float32)
    jitter = np.random.default_rng(0).normal(0, 0.03, (6, *photo.shape)).astype(np.float32)
    moved = [photo * (1 + 0.02 * i) + 5 * i + jitter[i] for i in range(6)]  # by a camera that moves
    assert is_still(moved)
    turning = [seen(face_points(0.02 * i), rotation(yaw=2 * i), scale=40, shift=(90, 90)) for i in range(6)]
    assert not is_still([points.astype(np.float32) for points in turning])
    assert not is_still(moved[:2])  # too few frames to say so


def test_passers_by_and_people_in_the_background_do_not_count() -> None:
    frames = [{1: box(100, 100, 80), 2: box(300, 40, 15)}] * 9 + [
        {1: box(100, 100, 80), 3: box(250, 100, 60)}
    ]
    assert len(film(*frames)) == 1


def test_the_visible_speaker_is_selected_and_the_warning_says_how_to_select_another() -> None:
    large = Person(np.array([box(300, 90, 150)] * 2), presence=1.0, speaking=0.05)
    guest = Person(np.array([box(200, 90, 150)] * 2), presence=0.4, speaking=0.5)
    speaker = Person(np.array([box(100, 100, 80)] * 4), presence=1.0, speaking=0.35)
    people = choose_person([speaker, guest, large], None, CLIP)
    assert people.chosen == 0
    text = several_warning(people, CLIP)
    assert str(CLIP) in text
    assert "3 faces" in text
    assert "face=2" in text


@pytest.mark.parametrize("face", [2, -1])
def test_a_face_that_is_not_there(face: int) -> None:
    persons = film({1: box(300, 90, 90), 2: box(100, 100, 80)})
    with pytest.raises(FootageError, match=rf"face={face} .*2 faces.*talk\.mp4.*0 \(leftmost\) to 1"):
        choose_person(persons, face, CLIP)


def test_nobody() -> None:
    assert group_sightings([[], []]) == ()
    with pytest.raises(FootageError, match=r"no face was found in '/footage/talk\.mp4'"):
        choose_person((), None, CLIP)


class OneMesh:
    """Finds one face, wherever it is asked to look."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points

    def reset(self) -> None: ...

    def find(self, image: np.ndarray, window: tuple[int, int, int, int]) -> list[np.ndarray]:
        return [self.points]


def test_landmarks_of_a_neighbour_are_not_taken_for_a_faces_own() -> None:
    points = seen(face_points(), np.eye(3), scale=40, shift=(100, 100)).astype(np.float32)
    own = np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])
    found = sightings_in(
        np.zeros((400, 900, 3), np.uint8),
        2.0,
        detect=lambda frame: np.stack([own, own + np.array([500, 0, 500, 0])]),
        make_mesh=lambda faces: OneMesh(points),  # type: ignore[return-value,arg-type]
        describe=lambda frames, landmarks: np.ones((len(frames), 128), np.float32),
    )
    assert [s.landmarks is not None for s in found] == [True, False]
    assert [s.is_described for s in found] == [True, False]


def test_all_faces_of_a_frame_are_searched_for() -> None:
    """A window that takes in the whole frame shows the neighbours, too."""
    asked: list[int] = []
    points = seen(face_points(), np.eye(3), scale=40, shift=(100, 100)).astype(np.float32)
    own = np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])
    sightings_in(
        np.zeros((200, 300, 3), np.uint8),
        0.0,
        detect=lambda frame: np.stack([own, own + 40, own + 80]),
        make_mesh=lambda faces: asked.append(faces) or OneMesh(points),  # type: ignore[return-value,arg-type,func-returns-value]
        describe=lambda frames, landmarks: np.ones((len(frames), 128), np.float32),
    )
    assert asked == [3, 3, 3]


def test_overlap() -> None:
    a = np.array([0.0, 0, 10, 10])
    assert overlap(a, a) == 1.0
    assert overlap(a, a + 10) == 0.0
    assert overlap(a, a + np.array([5, 0, 5, 0])) == pytest.approx(1 / 3)
