from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster import Anchor
from newscaster.errors import FootageError
from newscaster.prepare.people import Person
from newscaster.synthesis import video_faces
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.video_faces import choose_face, find_faces
from newscaster.types import ArrayF32
from person_videos import write_person_video


@pytest.fixture(scope="module")
def bundled() -> Anchor:
    return newscaster.open("grid-s1")


@pytest.fixture(scope="module")
def person(bundled: Anchor) -> ArrayF32:
    return anchor_descriptor(bundled.target)


def test_the_faces_are_numbered_from_the_left_and_lie_in_their_boxes(
    bundled: Anchor, person: ArrayF32, tmp_path: Path
) -> None:
    """The video starts without a face, so that the frame that shows them is not the first one."""
    video = write_person_video(tmp_path / "two.mp4", bundled, frames=30, empty=25, twice=True)
    found = find_faces(video, person)
    assert [face.number for face in found.faces] == [0, 1]
    assert [face.is_person for face in found.faces].count(True) == 1
    (frame,) = found.frames
    assert frame.seconds == 1
    height, width = frame.image.shape[:2]
    assert width == 2 * bundled.size[0]
    left, right = frame.boxes[0], frame.boxes[1]
    assert left[2] < 0.5 < right[0]
    assert (left[2] - left[0]) < 0.9 * (right[2] - right[0])
    for face in found.faces:
        box = frame.boxes[face.number] * [width, height, width, height]
        column = round((box[0] + box[2]) / 2) - max(0, round((box[0] + box[2]) / 2 - face.image.shape[1] / 2))
        middle = frame.image[round((box[1] + box[3]) / 2), round((box[0] + box[2]) / 2)].astype(int)
        rows = np.abs(face.image[:, column].astype(int) - middle).sum(axis=1)
        assert rows.min() < 40  # the image shows the middle of the box


def test_a_video_without_a_face_has_none(bundled: Anchor, person: ArrayF32, tmp_path: Path) -> None:
    video = write_person_video(tmp_path / "empty.mp4", bundled, frames=1, empty=30)
    found = find_faces(video, person)
    assert found.faces == found.frames == ()


def seen_at(*seconds: float) -> Person:
    return Person(np.tile([10.0, 10.0, 50.0, 50.0], (len(seconds), 1)), seconds=tuple(seconds))


@pytest.mark.parametrize(
    ("persons", "expected"),
    [
        ([], []),
        ([seen_at(2, 3)], [2]),
        ([seen_at(0, 1), seen_at(1, 2), seen_at(1, 5)], [1]),
        ([seen_at(0), seen_at(4), seen_at(4, 5)], [4, 0]),
    ],
)
def test_the_fewest_frames_that_show_all(persons: list[Person], expected: list[float]) -> None:
    assert video_faces._seconds_with_all(persons) == expected


def test_the_face_that_is_chosen(person: ArrayF32) -> None:
    other = Person(np.ones((1, 4)), seconds=(0.0,), descriptor=-person, described=4)
    own = Person(np.ones((1, 4)), seconds=(0.0,), descriptor=person, described=4)
    video = Path("x.mp4")
    assert choose_face([other, own], None, person, video, "Ada") == 1
    assert choose_face([other, own], 0, person, video, "Ada") == 0
    with pytest.raises(FootageError, match=r"'x\.mp4' does not show the person of 'Ada'; 1 other person is"):
        choose_face([other], None, person, video, "Ada")
    with pytest.raises(FootageError, match="face=2 was requested, but 2 faces were found"):
        choose_face([other, own], 2, person, video, "Ada")
    with pytest.raises(FootageError, match="no face was found"):
        choose_face([], None, person, video, "Ada")
