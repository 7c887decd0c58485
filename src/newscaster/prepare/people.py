"""The people in footage: how many there are, where, and which one is meant.

Works on the faces detected in pictures sampled from a file. It does not know people by their looks, only by
where they are: boxes that lie near each other in different pictures are one person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError
from newscaster.prepare.detect import Boxes

SAME_PLACE = 0.75
"""Two boxes may be one person's if their centres are less than this many box sides apart."""
_SEEN_SHARE = 0.2
"""Of the pictures with faces; who is seen in fewer passes by, or is no face."""
_SIZE_SHARE = 0.3
"""Of the largest face; smaller ones are pictures on the wall and people in the background."""


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in the footage."""

    boxes: Boxes
    """Where the face was seen, (n, 4)."""

    @property
    def size(self) -> float:
        """Median side of the face's box in pixels."""
        return float(np.median(_sizes(self.boxes)))

    @property
    def centre_x(self) -> float:
        return float(np.median((self.boxes[:, 0] + self.boxes[:, 2]) / 2))

    def distance(self, box: npt.NDArray[np.float64]) -> float:
        """How far a box (4,) is from the nearest of this person's, in box sides."""
        return float(distances(self.boxes, box).min())


@dataclass(frozen=True)
class People:
    """Who is in a file, from left to right, and who of them is meant."""

    persons: tuple[Person, ...]
    chosen: int

    @property
    def person(self) -> Person:
        return self.persons[self.chosen]

    def is_meant(self, box: npt.NDArray[np.float64]) -> bool:
        """Whether the face in this box is taken for the person meant: nobody else was seen nearer to it."""
        if len(self.persons) == 1:
            return True
        gaps = [person.distance(box) for person in self.persons]
        return gaps[self.chosen] <= min(gaps)


def group_faces(pictures: Iterable[Boxes]) -> tuple[Person, ...]:
    """The people whose faces were seen in these pictures, from left to right; each picture's are (n, 4)
    boxes.

    >>> [person.centre_x for person in group_faces([np.array([[60.0, 0, 80, 20], [0, 0, 20, 20]])])]
    [10.0, 70.0]
    """
    groups: list[list[npt.NDArray[np.float64]]] = []
    with_faces = 0
    for boxes in pictures:
        with_faces += len(boxes) > 0
        free = list(range(len(groups)))
        pairs = sorted(
            (float(distances(np.array(groups[g]), box).min()), g, i)
            for i, box in enumerate(boxes)
            for g in free
        )
        placed: set[int] = set()
        for gap, g, i in pairs:
            if gap < SAME_PLACE and g in free and i not in placed:
                groups[g].append(boxes[i])
                free.remove(g)
                placed.add(i)
        groups += [[box] for i, box in enumerate(boxes) if i not in placed]
    if not groups:
        return ()
    often = [group for group in groups if len(group) >= _SEEN_SHARE * with_faces]
    persons = [Person(np.array(group)) for group in often or groups]
    largest = max(person.size for person in persons)
    return tuple(sorted((p for p in persons if p.size >= _SIZE_SHARE * largest), key=lambda p: p.centre_x))


def choose_person(persons: Sequence[Person], face: int | None, path: Path) -> People:
    """The person that ``face`` asks for (0 is the leftmost); the largest where it is None.

    Raises:
        FootageError: there is nobody, or not so many.
    """
    if not persons:
        raise FootageError(
            f"no face was found in '{path}'. Give footage that shows one person's face from the front, at "
            f"least a tenth of the picture high and well lit"
        )
    if face is None:
        return People(tuple(persons), max(range(len(persons)), key=lambda i: persons[i].size))
    if not 0 <= face < len(persons):
        count = "1 face was" if len(persons) == 1 else f"{len(persons)} faces were"
        accepted = "0" if len(persons) == 1 else f"0 (leftmost) to {len(persons) - 1}"
        raise FootageError(
            f"face={face} was asked for, but {count} found in '{path}'; accepted here: {accepted}. "
            f"Leave it out to take the largest"
        )
    return People(tuple(persons), face)


def several_warning(people: People, path: Path) -> str:
    """What to tell the user where a choice was made."""
    return (
        f"'{path}' shows {len(people.persons)} faces; the largest is taken, number {people.chosen} from the "
        f"left. To take another, prepare with face=0 (leftmost) to face={len(people.persons) - 1}"
    )


def box_of(landmarks: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """The box (4,) around landmarks (L, >=2)."""
    points = np.ascontiguousarray(landmarks[:, :2].T)
    return np.asarray(np.concatenate([points.min(axis=1), points.max(axis=1)]), np.float64)


def overlap(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Area shared by two boxes (4,) over the area of both together, 0 to 1."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    both = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / both if both > 0 else 0.0


def distances(boxes: Boxes, box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each of (n, 4) boxes is from a box (4,), centre to centre, in sides of the larger one."""
    apart = (boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]) / 2
    side = np.maximum(_sizes(boxes), _sizes(box[None]))
    return np.asarray(np.hypot(apart[:, 0], apart[:, 1]) / np.maximum(side, 1e-6))


def _sizes(boxes: Boxes) -> npt.NDArray[np.float64]:
    return np.asarray(np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 0)))
