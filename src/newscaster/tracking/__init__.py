"""Faces in frames: their positions and identities.

::

    tracker = FaceTracker(max_faces=2, fps=25)
    for frame in frames:                         # (H, W, 3) uint8 RGB
        for face in tracker.step(frame):
            face.identity, face.landmarks        # 0, (478, 3) in pixels

A :class:`FaceTracker` tracks the faces of one clip. A :class:`FaceDetector` finds faces in single frames, and
a :class:`FaceMesh` the landmarks in given ROIs, of many faces or frames at once. They run on the CPU, by
default on one thread, and share nothing but their networks. :func:`describe_faces` measures the identity of a
face: see ``descriptor``.
"""

from newscaster.tracking.descriptor import (
    MAX_DISTANCE,
    MAX_MEAN_DISTANCE,
    Describe,
    describe_faces,
    descriptor_distance,
    is_same_person,
    mean_descriptor,
)
from newscaster.tracking.detector import FULL_RANGE, SHORT_RANGE, Detections, FaceDetector
from newscaster.tracking.mesh import FaceMesh
from newscaster.tracking.roi import FaceRoi
from newscaster.tracking.tracker import FaceTracker, TrackedFace

__all__ = [
    "FULL_RANGE",
    "MAX_DISTANCE",
    "MAX_MEAN_DISTANCE",
    "SHORT_RANGE",
    "Describe",
    "Detections",
    "FaceDetector",
    "FaceMesh",
    "FaceRoi",
    "FaceTracker",
    "TrackedFace",
    "describe_faces",
    "descriptor_distance",
    "is_same_person",
    "mean_descriptor",
]
