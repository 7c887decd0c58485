"""Tracking of the faces in a clip, frame by frame.

The rules are those of MediaPipe's graph ``face_landmark_front_cpu``: the landmarks of a face in one frame
define its ROI in the next. The detector runs while fewer faces than requested are tracked. In addition, faces
have identities: see ``identity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from newscaster.errors import InputError
from newscaster.tracking.descriptor import MAX_DISTANCE, Describe
from newscaster.tracking.detector import Detections, FaceDetector
from newscaster.tracking.identity import Face, Identities
from newscaster.tracking.mesh import FaceMesh
from newscaster.tracking.roi import FaceRoi, overlap
from newscaster.types import ImageU8, Landmarks

_MIN_PRESENCE = 0.5
_SAME_ROI = 0.5
"""An ROI that overlaps a tracked one by more belongs to the same face."""


class Detector(Protocol):
    def detect(self, frame: ImageU8) -> Detections: ...


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in a frame."""

    identity: int
    """Number of the person: constant in the clip, from 0 in the order of appearance."""
    landmarks: Landmarks
    """(478, 3) in pixels of the frame."""
    presence: float
    """Probability of a face, 0.5 to 1."""


class _Numbers:
    """Identities that end with the ROI."""

    def __init__(self) -> None:
        self._count = 0

    def assign(self, frame: ImageU8, faces: Sequence[Face]) -> dict[int, Face]:
        assigned = {}
        for face in faces:
            if not face.sources:
                face.sources.append(self._count)
                self._count += 1
            assigned[face.sources[0]] = face
        return assigned


class FaceTracker:
    """A tracker of the faces of one clip, for one thread at a time.

    The result does not depend on the number of threads.

    Args:
        max_faces: largest number of faces that are tracked at once.
        fps: frames per second.
        search_every: frames between searches while fewer than `max_faces` are tracked. In the second after a
            face was lost, every frame is searched.
        detector, mesh: finders of faces and of their landmarks; by default new ones.
        identify: whether identities survive when faces are lost or cross. Otherwise a face that is found
            again gets a new identity at once, as in MediaPipe.
        describe: measures the descriptors that identities rest on; by default, the colours of faces serve.
        max_distance: largest distance between descriptors of one person.

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
        """Clear the state: the next frame is the first of another clip."""
        self._identities: Identities | _Numbers = _Numbers()
        if self._identify:
            self._identities = Identities(
                fps=self._fps, describe=self._describe, max_distance=self._max_distance
            )
        self._rois: dict[int, FaceRoi] = {}
        self._since_search, self._since_loss = 0, 0

    def step(self, frame: ImageU8) -> list[TrackedFace]:
        """Return the faces in the next frame (H, W, 3) uint8 RGB, by identity."""
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

    def _search(self, frame: ImageU8) -> list[FaceRoi]:
        """Return ROIs of detected faces that are not tracked, at most `max_faces`."""
        tracked = [roi.box for roi in self._rois.values()]
        new_rois: list[FaceRoi] = []
        for roi in self._detector.detect(frame).rois()[: self._max_faces]:
            others = [*tracked, *(new_roi.box for new_roi in new_rois)]
            if all(overlap(roi.box, other) <= _SAME_ROI for other in others):
                new_rois.append(roi)
        return new_rois
