"""Grouping of detected faces into people: after a cut or at another place, the same face is the same person.

::

    frame 1   A   B         A and B share a frame: two people, even with equal descriptors (a mirror, a
    frame 2   A             screen). A face without a descriptor belongs to the person at its place.
    frame 3     C           C never shares a frame with A, and has A's descriptor: A, after a cut.
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
from newscaster.types import ArrayF32

MIN_PRESENCE = 0.2
"""Minimum fraction of the frames with faces; others are passers-by, or no faces."""
MIN_SIZE = 0.3
"""Minimum size relative to the largest moving face; smaller ones are people in the background."""
_MAX_DISTANCE_IN_PLACE = 0.6
"""Maximum descriptor distance at a place where the person was seen: turned heads and motion blur are common
there."""
_MIN_STILL_FRAMES = 4
MAX_STILL = 0.004
"""Maximum jitter of the landmarks of a photo, in IOD, without shift, rotation and scale of the face.
Measured: 0.0008 to 0.0011 for photos and 0.0105 to 0.06 for people, the calmest of them a news anchor over 15
s."""


class _Group:
    """All sightings of one person so far."""

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
    def descriptor(self) -> ArrayF32:
        return mean_descriptor(np.stack([s.descriptor for s in self.sightings]))

    def cost(self, sighting: Sighting) -> float:
        """Return the cost of assigning a face to this person, by descriptor, else by place; inf if too
        far.
        """
        boxes = np.stack([s.box for s in self.sightings])
        gap = float(distances(boxes, sighting.box).min())
        distance = float(descriptor_distance(self.descriptor, sighting.descriptor))
        if np.isfinite(distance):
            limit = _MAX_DISTANCE_IN_PLACE if gap < SAME_PLACE else MAX_DISTANCE
            return distance + 0.1 * min(gap, 1.0) if distance <= limit else float("inf")
        return 1.0 + gap if gap < SAME_PLACE else float("inf")


def group_sightings(frames: Iterable[Sequence[Sighting]]) -> tuple[Person, ...]:
    """Return the people in these frames, from left to right; at one place, in order of appearance."""
    groups: list[_Group] = []
    with_faces = 0
    for number, sightings in enumerate(frames):
        with_faces += len(sightings) > 0
        _assign(groups, number, sightings)
    _merge(groups)
    frequent = [g for g in groups if len(g.frames) >= MIN_PRESENCE * with_faces] or groups
    moving = [g for g in frequent if not is_still([s.landmarks for s in g.sightings])] or frequent
    persons = [_person(group, with_faces) for group in moving]
    largest = max((person.size for person in persons), default=0.0)
    return in_order([person for person in persons if person.size >= MIN_SIZE * largest])


def _assign(groups: list[_Group], number: int, sightings: Sequence[Sighting]) -> None:
    """Assign each face of a frame to the person with the lowest cost, one face each; the rest are new."""
    pairs = sorted(
        (group.cost(sighting), g, i) for g, group in enumerate(groups) for i, sighting in enumerate(sightings)
    )
    free, assigned = set(range(len(groups))), set[int]()
    for cost, g, i in pairs:
        if np.isfinite(cost) and g in free and i not in assigned:
            groups[g].add(number, sightings[i])
            free.remove(g)
            assigned.add(i)
    groups += [_Group(number, s) for i, s in enumerate(sightings) if i not in assigned]


def _merge(groups: list[_Group]) -> None:
    """Merge groups with similar descriptors that never share a frame, the closest first."""
    while True:
        pairs = []
        for b, second in enumerate(groups):
            for a, first in enumerate(groups[:b]):
                distance = float(descriptor_distance(first.descriptor, second.descriptor))
                limit = max_distance(first.described, second.described)
                if distance <= limit and not set(first.frames) & set(second.frames):
                    pairs.append((distance, a, b))
        if not pairs:
            return
        _, a, b = min(pairs)
        for number, sighting in zip(groups[b].frames, groups[b].sightings, strict=True):
            groups[a].add(number, sighting)
        del groups[b]


def max_distance(*described: int) -> float:
    """Return the maximum distance of one person's descriptors, each the mean of so many frames."""
    return MAX_MEAN_DISTANCE if min(described) >= MEAN_FRAMES else MAX_DISTANCE


def _person(group: _Group, with_faces: int) -> Person:
    sightings = sorted(group.sightings, key=lambda s: s.second)  # merged groups are not in order
    return Person(
        np.stack([s.box for s in sightings]),
        seconds=tuple(s.second for s in sightings),
        presence=len(group.frames) / max(1, with_faces),
        descriptor=group.descriptor if group.described else None,
        described=group.described,
    )


def in_order(persons: Sequence[Person]) -> tuple[Person, ...]:
    """Sort people from left to right; people at one place in order of their first appearance."""
    from_left = sorted(persons, key=lambda person: person.centre_x)
    places: list[list[Person]] = []
    for person in from_left:
        near = places and abs(person.centre_x - places[-1][0].centre_x) < 0.5 * person.size
        if near:
            places[-1].append(person)
        else:
            places.append([person])
    first = lambda person: person.seconds[:1]  # noqa: E731
    return tuple(person for place in places for person in sorted(place, key=first))


def is_still(landmarks: Sequence[ArrayF32 | None]) -> bool:
    """Return whether landmarks (478, 3) of several frames are those of a photo: the face never moves."""
    shapes = [_normalised(points) for points in landmarks if points is not None]
    if len(shapes) < _MIN_STILL_FRAMES:
        return False
    return stillness(shapes) < MAX_STILL


def stillness(shapes: Sequence[npt.NDArray[np.complex128]]) -> float:
    """Return the root mean square distance of normalised landmarks from their mean, in IOD."""
    stacked = np.stack(shapes)
    return float(np.sqrt((np.abs(stacked - stacked.mean(axis=0)) ** 2).mean()))


def _normalised(points: ArrayF32) -> npt.NDArray[np.complex128]:
    """Return landmarks (468,) as complex numbers, with shift, rotation and scale removed."""
    plane = points[:468, 0] + 1j * points[:468, 1]
    left, right = plane[33], plane[263]
    if float(eye_distance(points)) < 1e-6:
        return np.zeros_like(plane)
    return np.asarray((plane - plane.mean()) / (right - left))
