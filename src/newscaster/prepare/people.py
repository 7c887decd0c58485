"""The people in a file of footage, and which of them is selected.

Works on faces in sampled frames of one file. ``grouping`` groups them into people; ``persons`` selects a
person over several files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.tracking.descriptor import MAX_DISTANCE, descriptor_distance
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, Box

FACE_ADVICE = (
    "Give footage that shows one person's face from the front, well lit, at least a tenth of the frame high"
)
"""Next step if no face was found."""
SAME_PLACE = 0.75
"""Maximum distance of the centres of one person's boxes, in box sides."""
_REFLECTION_FRACTION = 0.7
"""Minimum weight of a mirror image relative to the face itself; with less, it is a photo, or rarely
visible."""
MIN_SPEAKING = 0.05
"""Lower bound of :attr:`Person.speaking` in weights: a face with a still mouth may still be selected."""


@dataclass(frozen=True, eq=False)
class Person:
    """A person in the footage."""

    boxes: Box
    """Boxes (n, 4) of the face in the sampled frames."""
    seconds: tuple[float, ...] = ()
    """Times of these frames in the file, in the order of `boxes`."""
    presence: float = 1.0
    """Fraction of the sampled frames with faces that show this person."""
    descriptor: ArrayF32 | None = None
    """(128,) mean over the frames in which it could be measured, else None. Never written to disk."""
    described: int = 0
    """Number of those frames."""
    speaking: float = 1.0
    """Correlation of the mouth with the audio, 0 to 1; measured only in files that show several people."""

    @property
    def size(self) -> float:
        """Median side of the face's box in pixels."""
        return float(np.median(_sizes(self.boxes)))

    @property
    def weight(self) -> float:
        """Evidence that the file is about this person.

        Presence is squared, so that a person who is always present outweighs a guest who speaks a third of
        the time.
        """
        return self.presence**2 * max(self.speaking, MIN_SPEAKING)

    @property
    def centre_x(self) -> float:
        return float(np.median((self.boxes[:, 0] + self.boxes[:, 2]) / 2))

    def distance(self, box: ArrayF64) -> float:
        """Return the distance of a box (4,) from this person's nearest box, in box sides."""
        return float(distances(self.boxes, box).min())


@dataclass(frozen=True)
class People:
    """The people in a file, from left to right, and the number of the selected one."""

    persons: tuple[Person, ...]
    chosen: int

    @property
    def person(self) -> Person:
        return self.persons[self.chosen]

    def is_meant(self, box: ArrayF64) -> bool:
        """Return whether a face in this box counts as the selected person: no other person was closer."""
        if len(self.persons) == 1:
            return True
        gaps = [person.distance(box) for person in self.persons]
        return gaps[self.chosen] <= min(gaps)


def choose_person(persons: Sequence[Person], face: int | None, path: Path) -> People:
    """Select the person with the number ``face`` (0 is the leftmost); None selects the largest weight.

    Raises:
        FootageError: there is no face, or none has this number.
    """
    if not persons:
        raise FootageError(f"no face was found in '{path}'. {FACE_ADVICE}")
    if face is None:
        return People(tuple(persons), heaviest(persons, range(len(persons))))
    if not 0 <= face < len(persons):
        count = "1 face was" if len(persons) == 1 else f"{len(persons)} faces were"
        accepted = "0" if len(persons) == 1 else f"0 (leftmost) to {len(persons) - 1}"
        raise FootageError(
            f"face={face} was requested, but {count} found in '{path}'; accepted here: {accepted}. "
            f"Omit it to follow the person who is visible and speaks most"
        )
    return People(tuple(persons), face)


def heaviest(persons: Sequence[Person], numbers: Iterable[int]) -> int:
    """Return the number of the person with the largest weight; of one person and a mirror image, the
    larger.
    """
    best = max(numbers, key=lambda i: persons[i].weight)
    reflections = [i for i in numbers if _is_reflection(persons[i], persons[best])]
    return max([best, *reflections], key=lambda i: persons[i].size)


def _is_reflection(person: Person, best: Person) -> bool:
    if person.descriptor is None or best.descriptor is None:
        return False
    distance = float(descriptor_distance(person.descriptor, best.descriptor))
    return distance <= MAX_DISTANCE and person.weight >= _REFLECTION_FRACTION * best.weight


def several_warning(people: People, path: Path) -> str:
    """Return the warning for a file with several people."""
    return (
        f"'{path}' shows {len(people.persons)} faces; face={people.chosen} (0 is the leftmost) is followed, "
        f"which is visible most and moves most with the audio. To follow another, select it with face=0 to "
        f"face={len(people.persons) - 1}"
    )


def box_of(landmarks: ArrayFloat) -> ArrayF64:
    """Return the box (4,) around landmarks (L, >=2)."""
    points = np.ascontiguousarray(landmarks[:, :2].T)
    return np.asarray(np.concatenate([points.min(axis=1), points.max(axis=1)]), np.float64)


def overlap(a: ArrayF64, b: ArrayF64) -> float:
    """Return the intersection over union of two boxes (4,), 0 to 1."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    intersection = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - intersection
    return intersection / union if union > 0 else 0.0


def distances(boxes: Box, box: ArrayF64) -> ArrayF64:
    """Return the distances of boxes (n, 4) from a box (4,), centre to centre, in sides of the larger one."""
    offset = (boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]) / 2
    side = np.maximum(_sizes(boxes), _sizes(box[None]))
    return np.asarray(np.hypot(offset[:, 0], offset[:, 1]) / np.maximum(side, 1e-6))


def _sizes(boxes: Box) -> ArrayF64:
    return np.asarray(np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 0)))
