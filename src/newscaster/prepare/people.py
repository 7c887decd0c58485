"""The people in footage: how many there are, where, and which one is meant.

Works on the faces seen in frames sampled from a file. ``grouping`` makes people of them; the choice between
people over several files is left to ``persons``.
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
from newscaster.tracking.descriptor import MAX_DISTANCE, descriptor_distance

Floats = npt.NDArray[np.float32]

SAME_PLACE = 0.75
"""Two boxes may be one person's if their centres are less than this many box sides apart."""
_REFLECTION_FRACTION = 0.7
"""Of the weight of a face; the same face elsewhere with less is a photo, or seldom seen."""
MIN_SPEAKING = 0.05
"""Of :attr:`Person.speaking`, in weights: a face whose mouth does not move at all may still be meant."""


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in the footage."""

    boxes: Boxes
    """Where the face was seen, (n, 4)."""
    seconds: tuple[float, ...] = ()
    """When: times of the sampled frames in the file."""
    presence: float = 1.0
    """Share of the sampled frames with faces that show this person."""
    descriptor: Floats | None = None
    """(128,) mean over the frames in which it could be measured, else None. Never written to disk."""
    described: int = 0
    """In how many frames it could be."""
    speaking: float = 1.0
    """How closely the mouth follows the audio, 0 to 1; measured only in files that show several people."""

    @property
    def size(self) -> float:
        """Median side of the face's box in pixels."""
        return float(np.median(_sizes(self.boxes)))

    @property
    def weight(self) -> float:
        """How much suggests that the file is about this person.

        Squared, so that somebody who is there throughout outweighs a guest who speaks a third of the time.
        """
        return self.presence**2 * max(self.speaking, MIN_SPEAKING)

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


def choose_person(persons: Sequence[Person], face: int | None, path: Path) -> People:
    """The person that ``face`` asks for (0 is the leftmost); if it is None, whoever is seen and speaks most.

    Raises:
        FootageError: nobody is seen, or not so many people.
    """
    if not persons:
        raise FootageError(
            f"no face was found in '{path}'. Give footage that shows one person's face from the front, at "
            f"least a tenth of the picture high and well lit"
        )
    if face is None:
        return People(tuple(persons), heaviest(persons, range(len(persons))))
    if not 0 <= face < len(persons):
        count = "1 face was" if len(persons) == 1 else f"{len(persons)} faces were"
        accepted = "0" if len(persons) == 1 else f"0 (leftmost) to {len(persons) - 1}"
        raise FootageError(
            f"face={face} was asked for, but {count} found in '{path}'; accepted here: {accepted}. "
            f"Leave it out to follow who is seen and speaks most"
        )
    return People(tuple(persons), face)


def heaviest(persons: Sequence[Person], numbers: Iterable[int]) -> int:
    """Of some persons, the one with the greatest weight; if it is one person twice (a mirror), the larger."""
    best = max(numbers, key=lambda i: persons[i].weight)
    reflections = [i for i in numbers if _is_reflection(persons[i], persons[best])]
    return max([best, *reflections], key=lambda i: persons[i].size)


def _is_reflection(person: Person, best: Person) -> bool:
    if person.descriptor is None or best.descriptor is None:
        return False
    apart = float(descriptor_distance(person.descriptor, best.descriptor))
    return apart <= MAX_DISTANCE and person.weight >= _REFLECTION_FRACTION * best.weight


def several_warning(people: People, path: Path) -> str:
    """Text for the user if one of several people was chosen."""
    return (
        f"'{path}' shows {len(people.persons)} faces; face={people.chosen} (0 is the leftmost) is followed, "
        f"which is seen most and moves most with the audio. To follow another, name it with face=0 to "
        f"face={len(people.persons) - 1}"
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
