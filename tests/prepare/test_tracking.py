from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from faces import face_points, seen
from newscaster.prepare.people import People, Person, box_of
from newscaster.prepare.tracking import FaceTracker

Landmarks = npt.NDArray[np.float32]
HEIGHT, WIDTH = 400, 900


def face(x: float, y: float = 200.0, scale: float = 40.0) -> Landmarks:
    return seen(face_points(), np.eye(3), scale=scale, shift=(x, y)).astype(np.float32)


class Film:
    """Frames that are just numbers, and detectors that know what is in each."""

    def __init__(self, *frames: list[Landmarks]) -> None:
        self.faces = frames
        self.windows: list[tuple[int, int, int, int]] = []
        self.resets = self.searches = 0

    def frames(self) -> list[npt.NDArray[np.uint8]]:
        return [np.full((HEIGHT, WIDTH, 3), i, np.uint8) for i in range(len(self.faces))]

    def detect(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        self.searches += 1
        return np.array([box_of(f) for f in self.faces[frame[0, 0, 0]]]).reshape(-1, 4)

    def mesh(self, max_faces: int) -> Film:
        self.max_faces = max_faces
        return self

    def reset(self) -> None:
        self.resets += 1

    def find(self, frame: npt.NDArray[np.uint8], window: tuple[int, int, int, int]) -> list[Landmarks]:
        self.windows.append(window)
        left, top, right, bottom = window
        inside = []
        for points in self.faces[frame[0, 0, 0]]:
            box = box_of(points)
            if left <= box[0] and top <= box[1] and box[2] <= right and box[3] <= bottom:
                inside.append(points)
        return inside[: self.max_faces]

    def track(self, *places: float, chosen: int = 0) -> tuple[Landmarks, npt.NDArray[np.bool_]]:
        persons = tuple(Person(box_of(face(x))[None]) for x in places)
        make: Callable[[int], Film] = self.mesh
        tracker = FaceTracker(People(persons, chosen), fps=25.0, detect=self.detect, make_mesh=make)  # type: ignore[arg-type]
        return tracker.follow(self.frames())


def test_a_face_is_followed_and_its_window_stands_still() -> None:
    film = Film(*[[face(200 + i)] for i in range(20)])
    landmarks, present = film.track(200)
    assert present.all()
    np.testing.assert_array_equal(landmarks[7], face(207))
    assert len(set(film.windows)) == 1
    assert film.searches == 0


def test_the_window_follows_a_face_that_walks() -> None:
    film = Film(*[[face(100 + 4 * i)] for i in range(180)])
    _, present = film.track(100)
    assert present.all()
    assert 3 < len(set(film.windows)) < 30


def test_frames_without_a_face_hold_nothing() -> None:
    film = Film(*[[face(200)]] * 5, *[[]] * 12, *[[face(205)]] * 5)
    landmarks, present = film.track(200)
    assert present.tolist() == [True] * 5 + [False] * 12 + [True] * 5
    assert np.isnan(landmarks[~present]).all()
    assert film.searches < 8


def test_a_jump_is_marked_and_the_track_goes_on_there() -> None:
    film = Film(*[[face(200)]] * 5, *[[face(700)]] * 9)
    landmarks, present = film.track(200)
    assert present[:5].all()
    assert not present[5]
    assert present[-3:].all()
    np.testing.assert_array_equal(landmarks[-1], face(700))


def test_a_face_that_was_away_for_long_may_come_back_anywhere() -> None:
    film = Film(*[[face(200)]] * 3, *[[]] * 40, *[[face(700)]] * 6)
    _, present = film.track(200)
    assert present[-1]


def test_another_person_is_not_taken_for_the_one_who_leaves() -> None:
    both = [face(200), face(700, scale=60)]
    film = Film(*[both] * 5, *[both[1:]] * 8, *[both] * 8)
    landmarks, present = film.track(200, 700)
    assert present.tolist()[:13] == [True] * 5 + [False] * 8
    assert present[-1]
    assert np.nanmax(landmarks[:, 33, 0]) < 400
    assert film.max_faces > 1


def test_the_person_asked_for_is_followed() -> None:
    both = [face(200), face(700)]
    landmarks, present = Film(*[both] * 5).track(200, 700, chosen=1)
    assert present.all()
    assert landmarks[:, 33, 0].min() > 600


def test_a_large_face_is_searched_in_the_whole_frame() -> None:
    film = Film(*[[face(450, 150, scale=150)]] * 4)
    film.track(450)
    assert film.windows[-1] == (0, 0, WIDTH, HEIGHT)


def test_nobody_at_all() -> None:
    landmarks, present = Film(*[[]] * 12).track(200)
    assert landmarks.shape == (12, 478, 3)
    assert not present.any()


def test_no_frames() -> None:
    landmarks, present = Film().track(200)
    assert landmarks.shape == (0, 478, 3)
    assert present.shape == (0,)


def test_a_face_that_is_not_where_it_was_first_seen_is_searched_for() -> None:
    film = Film(*[[face(700)]] * 4)
    _, present = film.track(150)
    assert present.all()
    assert film.searches == 1
