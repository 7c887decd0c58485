"""Sightings of faces into people: the same face again, after a cut or at another place, is the same person.

::

    frame 1   A   B         A and B are seen together: two people, whatever their descriptors say (a mirror,
    frame 2   A             a screen). A face without a descriptor belongs to whoever is seen at its place.
    frame 3     C           C never meets A, and has A's descriptor: A, after a cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import eye_distance
from newscaster.prepare.people import SAME_PLACE, Person, distances
from newscaster.prepare.sightings import Sighting
from newscaster.tracking.descriptor import (
    MAX_DISTANCE,
    MAX_MEAN_DISTANCE,
    MEAN_FRAMES,
    descriptor_distance,
    mean_descriptor,
)

Floats = npt.NDArray[np.float32]

MIN_PRESENCE = 0.2
"""Of the frames with faces; who is seen in fewer passes by, or is no face."""
MIN_SIZE = 0.3
"""Of the largest face that moves; smaller ones are people in the background."""
_MAX_DISTANCE_IN_PLACE = 0.6
"""Of descriptors, for a face where the person was just seen: turned heads and motion blur are usual there."""
_MIN_STILL_FRAMES = 4
MAX_STILL = 0.004
"""Outer-eye distances by which the landmarks of a photo waver, shift, turn and size of the face taken out:
0.0008 to 0.0011 were measured, and 0.0105 to 0.06 of people, the calmest of them a news anchor over 15 s."""


class _Group:
    """Sightings of one person so far."""

    def __init__(self, number: int, sighting: Sighting) -> None:
        self.frames = [number]
        self.sightings = [sighting]

    def add(self, number: int, sighting: Sighting) -> None:
        self.frames.append(number)
        self.sightings.append(sighting)

    @property
    def described(self) -> int:
        return sum(s.is_described for s in self.sightings)

    @property
    def descriptor(self) -> Floats:
        return mean_descriptor(np.stack([s.descriptor for s in self.sightings]))

    def cost(self, sighting: Sighting) -> float:
        """Of taking a face for this person's; infinite if it is not: descriptors first, then the place."""
        boxes = np.stack([s.box for s in self.sightings])
        gap = float(distances(boxes, sighting.box).min())
        apart = float(descriptor_distance(self.descriptor, sighting.descriptor))
        if np.isfinite(apart):
            limit = _MAX_DISTANCE_IN_PLACE if gap < SAME_PLACE else MAX_DISTANCE
            return apart + 0.1 * min(gap, 1.0) if apart <= limit else float("inf")
        return 1.0 + gap if gap < SAME_PLACE else float("inf")


def group_sightings(frames: Iterable[Sequence[Sighting]]) -> tuple[Person, ...]:
    """The people seen in these frames, from left to right, those at one place in the order of time."""
    groups: list[_Group] = []
    with_faces = 0
    for number, sightings in enumerate(frames):
        with_faces += len(sightings) > 0
        _assign(groups, number, sightings)
    _merge(groups)
    often = [g for g in groups if len(g.frames) >= MIN_PRESENCE * with_faces] or groups
    moving = [g for g in often if not is_still([s.landmarks for s in g.sightings])] or often
    persons = [_person(group, with_faces) for group in moving]
    largest = max((person.size for person in persons), default=0.0)
    return in_order([person for person in persons if person.size >= MIN_SIZE * largest])


def _assign(groups: list[_Group], number: int, sightings: Sequence[Sighting]) -> None:
    """Give each face of a frame to the person that it fits best, one face to each; others are new."""
    pairs = sorted(
        (group.cost(sighting), g, i) for g, group in enumerate(groups) for i, sighting in enumerate(sightings)
    )
    free, placed = set(range(len(groups))), set[int]()
    for cost, g, i in pairs:
        if np.isfinite(cost) and g in free and i not in placed:
            groups[g].add(number, sightings[i])
            free.remove(g)
            placed.add(i)
    groups += [_Group(number, s) for i, s in enumerate(sightings) if i not in placed]


def _merge(groups: list[_Group]) -> None:
    """Join groups that agree and are never seen in one frame, the closest first."""
    while True:
        pairs = []
        for b, other in enumerate(groups):
            for a, one in enumerate(groups[:b]):
                apart = float(descriptor_distance(one.descriptor, other.descriptor))
                limit = max_distance(one.described, other.described)
                if apart <= limit and not set(one.frames) & set(other.frames):
                    pairs.append((apart, a, b))
        if not pairs:
            return
        _, a, b = min(pairs)
        for number, sighting in zip(groups[b].frames, groups[b].sightings, strict=True):
            groups[a].add(number, sighting)
        del groups[b]


def max_distance(*described: int) -> float:
    """Of one person's descriptors that are means of so many frames each."""
    return MAX_MEAN_DISTANCE if min(described) >= MEAN_FRAMES else MAX_DISTANCE


def _person(group: _Group, with_faces: int) -> Person:
    return Person(
        np.stack([s.box for s in group.sightings]),
        seconds=tuple(sorted(s.second for s in group.sightings)),
        presence=len(group.frames) / max(1, with_faces),
        descriptor=group.descriptor if group.described else None,
        described=group.described,
    )


def in_order(persons: Sequence[Person]) -> tuple[Person, ...]:
    """From left to right; people at one place in the order in which they are first seen."""
    left = sorted(persons, key=lambda person: person.centre_x)
    places: list[list[Person]] = []
    for person in left:
        near = places and abs(person.centre_x - places[-1][0].centre_x) < 0.5 * person.size
        if near:
            places[-1].append(person)
        else:
            places.append([person])
    first = lambda person: person.seconds[:1]  # noqa: E731
    return tuple(person for place in places for person in sorted(place, key=first))


def is_still(landmarks: Sequence[npt.NDArray[np.float32] | None]) -> bool:
    """Whether landmarks (478, 3) of some frames are those of a photo: nothing in the face ever moves."""
    shapes = [_normalised(points) for points in landmarks if points is not None]
    if len(shapes) < _MIN_STILL_FRAMES:
        return False
    return stillness(shapes) < MAX_STILL


def stillness(shapes: Sequence[npt.NDArray[np.complex128]]) -> float:
    """Root mean square deviation of normalised landmarks from their mean, in outer-eye distances."""
    stacked = np.stack(shapes)
    return float(np.sqrt((np.abs(stacked - stacked.mean(axis=0)) ** 2).mean()))


def _normalised(points: npt.NDArray[np.float32]) -> npt.NDArray[np.complex128]:
    """Landmarks (478,) as complex numbers, eyes brought to one place: similarities are taken out."""
    plane = points[:468, 0] + 1j * points[:468, 1]
    left, right = plane[33], plane[263]
    if float(eye_distance(points)) < 1e-6:
        return np.zeros_like(plane)
    return np.asarray((plane - plane.mean()) / (right - left))
