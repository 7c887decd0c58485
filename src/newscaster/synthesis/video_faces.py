"""The faces in a video that is to be dubbed, and frames on which a user can point at one of them.

The numbers are those of `DubOptions.face`. Looks at the same sampled frames as the tracking does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import FootageError
from newscaster.prepare.clips import Footage, read_footage
from newscaster.prepare.people import Person, choose_person
from newscaster.prepare.persons import choose_known
from newscaster.prepare.work import people_in
from newscaster.types import ArrayF32, ArrayF64, Box, ImageU8

_MARGIN = 0.25
"""Of the box, on each side of a face's image."""


@dataclass(frozen=True, eq=False)
class VideoFace:
    """A face in a video."""

    number: int
    """From the left, from 0: see `DubOptions.face`."""
    is_person: bool
    """Whether it is the anchor's person."""
    frame: int
    """Number of the frame of :class:`VideoFaces` that shows it."""
    image: ImageU8
    """(h, w, 3): the face and a margin, cut from that frame."""


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """A frame of a video, and the faces in it."""

    seconds: float
    """Its time in the video."""
    image: ImageU8
    """(H, W, 3)."""
    boxes: dict[int, Box]
    """By number of the face: left, top, right and bottom (4,) from 0 to 1, relative to the frame."""


@dataclass(frozen=True, eq=False)
class VideoFaces:
    """The faces in a video, from left to right, and the fewest frames that show all of them."""

    faces: tuple[VideoFace, ...]
    frames: tuple[FaceFrame, ...]


def find_faces(video: Path, person: ArrayF32) -> VideoFaces:
    """Find the faces in a video.

    Args:
        video: any video file.
        person: face descriptor (128,) of the anchor's person, see :func:`anchor_descriptor`.

    Raises:
        MediaError: the file is missing, damaged or not a video.
        FootageError: it has no video stream.
    """
    footage = read_footage(video)
    persons = people_in(footage)
    known = choose_known(persons, person)
    frames = [_frame(footage, persons, second) for second in _seconds_with_all(persons)]
    faces = []
    for number in range(len(persons)):
        at = next(index for index, frame in enumerate(frames) if number in frame.boxes)
        image = _cut(frames[at].image, frames[at].boxes[number])
        faces.append(VideoFace(number, number == known, at, image))
    return VideoFaces(tuple(faces), tuple(frames))


def choose_face(persons: Sequence[Person], face: int | None, person: ArrayF32, video: Path, name: str) -> int:
    """Return the number of the face to rewrite.

    Args:
        persons: the people in the video, see :func:`newscaster.prepare.work.people_in`.
        face: number of a face; None: the anchor's person.
        person: face descriptor (128,) of the anchor's person.
        video: path for messages.
        name: name of the anchor, for messages.

    Raises:
        FootageError: there is no face, none with this number, or none of the person.
    """
    if face is not None or not persons:
        return choose_person(persons, face, video).chosen
    known = choose_known(persons, person)
    if known is None:
        count = "1 other person is" if len(persons) == 1 else f"{len(persons)} other people are"
        raise FootageError(
            f"'{video}' does not show the person of '{name}'; {count} visible. Give a video of that person, "
            "or select the face"
        )
    return known


def _seconds_with_all(persons: Sequence[Person]) -> list[float]:
    """Return the times of the fewest frames that show all people, those with most people first."""
    missing = set(range(len(persons)))
    seconds = []
    while missing:
        shown = {
            second: {number for number in missing if second in persons[number].seconds}
            for number in missing
            for second in persons[number].seconds
        }
        best = max(shown, key=lambda second: (len(shown[second]), -second))
        seconds.append(best)
        missing -= shown[best]
    return seconds


def _frame(footage: Footage, persons: Sequence[Person], second: float) -> FaceFrame:
    index = round(second)
    image = next(media.read_frames(footage.path, fps=Fraction(1), start_frame=index, stop_frame=index + 1))
    height, width = image.shape[:2]
    scale = np.array([width, height, width, height], np.float64)
    boxes = {
        number: np.clip(person.boxes[person.seconds.index(second)] / scale, 0, 1)
        for number, person in enumerate(persons)
        if second in person.seconds
    }
    return FaceFrame(float(second), image, boxes)


def _cut(image: ImageU8, box: ArrayF64) -> ImageU8:
    """Return a square part of a frame around a face, as far as the frame reaches."""
    height, width = image.shape[:2]
    left, top, right, bottom = box * [width, height, width, height]
    half = (0.5 + _MARGIN) * max(right - left, bottom - top, 2.0)
    x, y = (left + right) / 2, (top + bottom) / 2
    columns = slice(max(0, round(x - half)), min(width, round(x + half)))
    rows = slice(max(0, round(y - half)), min(height, round(y + half)))
    return np.ascontiguousarray(image[rows, columns])
