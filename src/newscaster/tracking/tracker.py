"""Tracking of the faces in a clip, frame by frame.

The rules are those of MediaPipe's graph ``face_landmark_front_cpu``: a face's landmarks in one frame give the
region in which it is looked for in the next, and while fewer faces are tracked than are wanted, the detector
looks for more. What is added are identities: see ``identity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from newscaster.errors import InputError
from newscaster.tracking.descriptor import MAX_DISTANCE, Describe
from newscaster.tracking.detector import Detections, FaceDetector
from newscaster.tracking.identity import Face, Identities
from newscaster.tracking.mesh import FaceMesh, Landmarks
from newscaster.tracking.roi import FaceRoi, overlap
from newscaster.tracking.sampling import ImageArray

_MIN_PRESENCE = 0.5
_SAME_CROP = 0.5
"""A region that overlaps a tracked one by more is the same face's."""


class Detector(Protocol):
    def detect(self, frame: ImageArray) -> Detections: ...


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame."""

    identity: int
    """Whose: the same number through the clip, from 0 in the order of appearance."""
    landmarks: Landmarks
    """(478, 3) in pixels of the frame."""
    presence: float
    """How likely it is a face, 0.5 to 1."""


class _Numbers:
    """Identities that end with the region."""

    def __init__(self) -> None:
        self._count = 0

    def assign(self, frame: ImageArray, faces: Sequence[Face]) -> dict[int, Face]:
        assigned = {}
        for face in faces:
            if not face.sources:
                face.sources.append(self._count)
                self._count += 1
            assigned[face.sources[0]] = face
        return assigned


class FaceTracker:
    """Follows faces through the frames of one clip; for one thread at a time.

    What is found does not depend on the number of threads.

    Args:
        max_faces: how many are followed at once.
        fps: of the frames.
        search_every: frames between searches while fewer than `max_faces` are tracked. In the second after a
            face was lost, every frame is searched.
        detector, mesh: what finds faces, and their landmarks; by default new ones.
        identify: whether identities hold when faces are lost or cross. Otherwise a face that is found again
            is a new one, at once, as in MediaPipe.
        describe: measures whose a face is, to hold identities by; by default the colours of faces do.
        max_distance: between descriptors of one person.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        max_faces: int = 1,
        *,
        fps: float = 25.0,
        search_every: int = 1,
        detector: Detector | None = None,
        mesh: FaceMesh | None = None,
        identify: bool = True,
        describe: Describe | None = None,
        max_distance: float = MAX_DISTANCE,
    ) -> None:
        for name, number in (("max_faces", max_faces), ("search_every", search_every)):
            if number < 1:
                raise InputError(f"{name} is {number}; expected 1 or more")
        if not fps > 0:
            raise InputError(f"fps is {fps}; expected more than 0")
        self._max_faces, self._search_every, self._fps = max_faces, search_every, fps
        self._detector = FaceDetector() if detector is None else detector
        self._mesh = FaceMesh() if mesh is None else mesh
        self._identify, self._describe, self._max_distance = identify, describe, max_distance
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another clip."""
        self._identities: Identities | _Numbers = _Numbers()
        if self._identify:
            self._identities = Identities(
                fps=self._fps, describe=self._describe, max_distance=self._max_distance
            )
        self._rois: dict[int, FaceRoi] = {}
        self._since_search, self._since_loss = 0, 0

    def step(self, frame: ImageArray) -> list[TrackedFace]:
        """The faces in the next frame (H, W, 3) uint8 RGB, by identity."""
        rois: list[tuple[int | None, FaceRoi]] = list(self._rois.items())
        if self._is_search_due():
            rois += [(None, roi) for roi in self._search(frame)]
        landmarks, presence = self._mesh.find([(frame, roi) for _, roi in rois])
        faces = [
            Face(points, float(score), [] if source is None else [source])
            for (source, _), points, score in zip(rois, landmarks, presence, strict=True)
            if score > _MIN_PRESENCE
        ]
        assigned = self._identities.assign(frame, faces)
        self._since_loss = 0 if self._rois.keys() - assigned.keys() else self._since_loss + 1
        self._rois = {i: FaceRoi.of_face(face.box, face.landmarks) for i, face in assigned.items()}
        return [TrackedFace(i, face.landmarks, face.presence) for i, face in sorted(assigned.items())]

    def _is_search_due(self) -> bool:
        self._since_search += 1
        if len(self._rois) >= self._max_faces:
            return False
        recent = self._since_loss <= self._fps
        if self._rois and not recent and self._since_search < self._search_every:
            return False
        self._since_search = 0
        return True

    def _search(self, frame: ImageArray) -> list[FaceRoi]:
        """Regions of detected faces that are not tracked, at most as many as are wanted in all."""
        tracked = [roi.box for roi in self._rois.values()]
        found: list[FaceRoi] = []
        for roi in self._detector.detect(frame).rois()[: self._max_faces]:
            others = [*tracked, *(one.box for one in found)]
            if all(overlap(roi.box, other) <= _SAME_CROP for other in others):
                found.append(roi)
        return found
