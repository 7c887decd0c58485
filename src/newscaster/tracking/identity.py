"""Identities of faces that persist through a clip, also when faces cross, leave and come back.

A single face keeps the identity of the ROI in which it was found. That is not enough in three cases, in which
identities are in *doubt*: faces touch or hide each other; a face changes suddenly; a face appears while
another is lost. Then the appearance decides: descriptors, if the tracker has a function that measures them,
and otherwise the colours at the landmarks, which are comparable within a clip.

Appearance is learnt only from faces that are not in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import eye_distance
from newscaster.tracking.descriptor import Describe
from newscaster.tracking.roi import box_of, overlap
from newscaster.types import ArrayF32, ArrayF64, Box, ImageU8, Landmarks

SAME_FACE = 0.4
"""Two sets of landmarks belong to one face if their mean distance is smaller, in distances of the eyes."""
_TOUCHING = 0.75
"""Faces are in doubt while their centres are closer than this, in sums of the sides of their boxes."""
_DOUBT_SECONDS = 0.4
"""Duration of the doubt after faces have separated."""
_MAX_COLOR_DISTANCE = 0.16
"""Between colours of one person, of 1; see `_color_distance`."""
_COLOR_JUMP = 0.10
"""From a frame to the average of earlier ones. A larger change is another face or an occlusion."""
_OTHER_PERSON = 1.2
"""Cost from which on a tracked face belongs to another person; see `Identities._cost`."""
_OTHER_FRAMES = 3
"""Successive frames that must agree before a tracked face gets another identity."""
_MARGIN = 0.15
"""Cost advantage of one lost identity over the others for a new face to get it at once."""
_STRANGER_FRAMES = 5
"""Frames after which a new face that is not clearly one of the lost gets an identity."""
_SAME_STRANGER = 0.3
"""Overlap of the boxes of such a face in two frames."""
_CONTINUITY = 0.25
"""Cost advantage of the identity of the ROI over another one."""
_DESCRIBE_SECONDS = 1.0
"""Between descriptors of a face that is not in doubt."""
_MIN_DESCRIPTIONS = 3
_KEPT_DESCRIPTIONS = 8
_MAX_LOST = 8
"""Candidates among the lost identities for a face; the last seen first."""


@dataclass(eq=False)
class Face:
    """A face that was found in the current frame."""

    landmarks: Landmarks
    presence: float
    sources: list[int] = field(default_factory=list)
    """The identities in whose ROIs it was found; empty for a new one."""
    colors: ArrayF32 = field(init=False)
    is_touching: bool = False
    """Whether another face is so close that one may hide parts of the other."""
    descriptor: ArrayF32 | None = None
    """NaN if it cannot be measured; None if not measured yet."""

    def __post_init__(self) -> None:
        self.box: Box = box_of(self.landmarks)


@dataclass(eq=False)
class _Person:
    """The state of an identity."""

    face: Face
    seen: int
    """The last frame that showed it."""
    velocity: ArrayF64
    """Velocity of the centre of its box, in pixels per frame."""
    colors: ArrayF32
    descriptors: list[ArrayF32] = field(default_factory=list)
    described: int = -(10**9)
    doubt_until: int = -1
    other: tuple[int | None, int] = (None, 0)
    """The identity that this face seems to have instead (None: a new one), and the number of such frames."""


class Identities:
    """Identities, 0, 1, ..., of the faces of one clip, assigned frame by frame.

    Args:
        fps: frames per second.
        describe: measures descriptors.
        max_distance: largest distance between descriptors of two frames of one person.
    """

    def __init__(self, *, fps: float, describe: Describe | None, max_distance: float) -> None:
        self._describe, self._max_distance = describe, max_distance
        self._doubt_frames = max(1, round(_DOUBT_SECONDS * fps))
        self._describe_frames = max(1, round(_DESCRIBE_SECONDS * fps))
        self._persons: dict[int, _Person] = {}
        self._strangers: list[tuple[Box, int]] = []
        """Boxes of unassigned faces in the last frame, and their numbers of frames: see `_has_waited`."""
        self._new_strangers: list[tuple[Box, int]] = []
        self._now = -1

    def assign(self, frame: ImageU8, faces: Sequence[Face]) -> dict[int, Face]:
        """Return the faces of the next frame by identity; duplicates of one face are merged."""
        self._now += 1
        self._strangers, self._new_strangers = self._new_strangers, []
        merged = _merge(faces)
        for face in merged:
            face.colors = _colors(frame, face.landmarks)
        self._update_doubt(merged)
        assigned: dict[int, Face] = {}
        open_faces = []
        for face in merged:
            if len(face.sources) == 1 and not self._in_doubt(face.sources[0]):
                assigned[face.sources[0]] = face
            else:
                open_faces.append(face)
        if open_faces:
            assigned |= self._decide(frame, open_faces, taken=set(assigned))
        self._learn(frame, assigned)
        return assigned

    def _in_doubt(self, identity: int) -> bool:
        return self._persons[identity].doubt_until >= self._now

    def _update_doubt(self, faces: Sequence[Face]) -> None:
        for i, face in enumerate(faces):
            involved: list[int] = []
            for other in faces[:i]:
                if _are_touching(face.box, other.box):
                    face.is_touching = other.is_touching = True
                    involved += face.sources + other.sources
            if len(face.sources) > 1:
                involved += face.sources
            for source in face.sources:
                if _color_distance(face.colors, self._persons[source].colors) > _COLOR_JUMP:
                    involved.append(source)
            for source in involved:
                self._doubt(source)

    def _decide(self, frame: ImageU8, faces: list[Face], *, taken: set[int]) -> dict[int, Face]:
        """Return the identities of faces that are in doubt or new: those with the least total cost."""
        lost = [i for i in self._persons if i not in taken and not any(i in face.sources for face in faces)]
        lost.sort(key=lambda i: -self._persons[i].seen)
        known = [source for face in faces for source in face.sources] + lost[:_MAX_LOST]
        if known:
            self._measure(frame, faces)
        costs = [[self._cost(face, identity) for identity in known] for face in faces]
        chosen = _least(costs, [_OTHER_PERSON if face.sources else 1.0 for face in faces])
        assigned: dict[int, Face] = {}
        settled: list[tuple[Face, int | None]] = []
        for face, choice in zip(faces, chosen, strict=True):
            settled.append((face, self._settled(face, None if choice is None else known[choice])))
        for face, identity in settled:
            if identity is not None and identity not in assigned:
                if face.sources or self._is_sure(face, identity, lost) or self._has_waited(face):
                    assigned[identity] = face
                    if not face.sources:
                        self._doubt(identity)
            elif not lost or (self._has_waited(face) and not face.is_touching):
                assigned[self._add(face)] = face
        self._doubt_holders(faces, taken)
        return assigned

    def _doubt(self, identity: int) -> None:
        self._persons[identity].doubt_until = self._now + self._doubt_frames

    def _doubt_holders(self, faces: Sequence[Face], taken: set[int]) -> None:
        """Doubt the identities that a face in doubt seems to have: the next frame decides."""
        for face in faces:
            for identity in taken:
                distance = self._distance(face, self._persons[identity])
                if distance is not None and distance <= self._max_distance:
                    self._doubt(identity)

    def _is_sure(self, face: Face, identity: int, lost: Sequence[int]) -> bool:
        """Return whether a new face is clearly one of the lost, and not another of them."""
        person = self._persons[identity]
        if person.descriptors and self._distance(face, person) is None:
            return False
        cost = self._cost(face, identity)
        return all(self._cost(face, other) - cost > _MARGIN for other in lost if other != identity)

    def _has_waited(self, face: Face) -> bool:
        """Return whether a new face has waited long enough for an identity.

        At first it may be one of the lost, half hidden or outside: it stays unassigned until it is clear.
        """
        before = [frames for box, frames in self._strangers if overlap(box, face.box) > _SAME_STRANGER]
        frames = max(before, default=0) + 1
        self._new_strangers.append((face.box, frames))
        return frames > _STRANGER_FRAMES

    def _settled(self, face: Face, identity: int | None) -> int | None:
        """Filter a choice: a face keeps the identity of its ROI until several frames choose another."""
        if len(face.sources) != 1:
            return identity
        person = self._persons[face.sources[0]]
        if identity == face.sources[0] or (identity is None and face.is_touching):
            person.other = (None, 0)
            return face.sources[0]
        other, frames = person.other
        frames = frames + 1 if other == identity else 1
        person.other = (identity, frames)
        return identity if frames >= _OTHER_FRAMES else face.sources[0]

    def _cost(self, face: Face, identity: int) -> float:
        """Return the cost of a face for a person: at 1, another person is equally likely."""
        person = self._persons[identity]
        cost = _color_distance(face.colors, person.colors) / _MAX_COLOR_DISTANCE
        if (distance := self._distance(face, person)) is not None:
            cost = distance / self._max_distance
        side = float((face.box[2:] - face.box[:2]).max())
        gone = self._now - person.seen
        expected = _center(person.face.box) + person.velocity * min(gone, self._doubt_frames)
        offset = float(np.hypot(*(_center(face.box) - expected))) / side
        cost += 0.1 * min(offset / (1 + 0.1 * gone), 2.0)
        return cost if identity in face.sources else cost + (_CONTINUITY if face.sources else 0.0)

    def _distance(self, face: Face, person: _Person) -> float | None:
        if face.descriptor is None or not np.isfinite(face.descriptor).all() or not person.descriptors:
            return None
        return float(np.linalg.norm(np.mean(person.descriptors, axis=0) - face.descriptor))

    def _measure(self, frame: ImageU8, faces: Sequence[Face]) -> None:
        unmeasured = [face for face in faces if face.descriptor is None]
        if self._describe is None or not unmeasured:
            return
        landmarks = np.stack([face.landmarks for face in unmeasured])
        descriptors = self._describe([frame] * len(unmeasured), landmarks)
        for face, descriptor in zip(unmeasured, descriptors, strict=True):
            face.descriptor = descriptor

    def _add(self, face: Face) -> int:
        identity = len(self._persons)
        self._persons[identity] = _Person(face, self._now, np.zeros(2), face.colors.copy())
        return identity

    def _learn(self, frame: ImageU8, assigned: dict[int, Face]) -> None:
        """Update the state of the assigned faces; their appearance only if they are not in doubt."""
        due = []
        for identity, face in assigned.items():
            person = self._persons[identity]
            moved = (_center(face.box) - _center(person.face.box)) / max(1, self._now - person.seen)
            person.velocity = 0.7 * person.velocity + 0.3 * moved
            person.face, person.seen = face, self._now
            if self._in_doubt(identity):
                continue
            person.colors += np.float32(0.1) * (face.colors - person.colors)
            wait = self._describe_frames if len(person.descriptors) >= _MIN_DESCRIPTIONS else 2
            if self._now - person.described >= wait:
                due.append(identity)
        self._measure(frame, [assigned[identity] for identity in due])
        for identity in due:
            person, descriptor = self._persons[identity], assigned[identity].descriptor
            person.described = self._now
            if descriptor is not None and np.isfinite(descriptor).all():
                person.descriptors = [*person.descriptors[-_KEPT_DESCRIPTIONS + 1 :], descriptor]


def _merge(faces: Sequence[Face]) -> list[Face]:
    """Merge duplicates: a face that was found in two ROIs has both as sources."""
    merged: list[Face] = []
    for face in sorted(faces, key=lambda face: not face.sources):
        for other in merged:
            if _are_same(face.landmarks, other.landmarks):
                other.sources += [source for source in face.sources if source not in other.sources]
                break
        else:
            merged.append(face)
    return merged


def _are_same(a: Landmarks, b: Landmarks) -> bool:
    distance = np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean()
    return bool(distance < SAME_FACE * min(float(eye_distance(a)), float(eye_distance(b))))


def _are_touching(a: Box, b: Box) -> bool:
    distance = np.abs(_center(a) - _center(b))
    return bool((distance < _TOUCHING * ((a[2:] - a[:2]) + (b[2:] - b[:2]))).all())


def _center(box: Box) -> ArrayF64:
    return (box[:2] + box[2:]) / 2


def _colors(frame: ImageU8, landmarks: npt.NDArray[Any]) -> ArrayF32:
    """Return the colours (96, 3), 0 to 1, at every fifth landmark."""
    last = np.array([frame.shape[1] - 1, frame.shape[0] - 1], np.float32)
    x, y = np.clip(np.rint(landmarks[::5, :2]), 0, last).astype(np.intp).T
    return np.asarray(frame[y, x] / np.float32(255), np.float32)


def _color_distance(a: ArrayF32, b: ArrayF32) -> float:
    """Return the mean difference of colours."""
    return float(np.abs(a - b).mean())


def _least(costs: list[list[float]], alone: list[float]) -> list[int | None]:
    """Return the column of each row with the least total cost, no column twice; None at the cost `alone`."""

    def best(row: int, free: frozenset[int]) -> tuple[float, list[int | None]]:
        if row == len(costs):
            return 0.0, []
        choices: list[tuple[float, list[int | None]]] = []
        for column in (None, *sorted(free)):
            own = alone[row] if column is None else costs[row][column]
            if column is not None and own > alone[row]:
                continue
            rest, columns = best(row + 1, free if column is None else free - {column})
            choices.append((own + rest, [column, *columns]))
        return min(choices, key=lambda choice: choice[0])

    return best(0, frozenset(range(len(costs[0]) if costs else 0)))[1]
