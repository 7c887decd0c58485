"""Face ROIs: the rotated squares that are the input of the mesh network.

The rules are those of MediaPipe's graphs ``face_detection_front_detection_to_roi`` and
``face_landmark_landmarks_to_roi``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.topology import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from newscaster.tracking.sampling import square_matrix
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, Box

_MARGIN = 1.5
"""Side of the ROI as a multiple of the longer side of the face's box."""


@dataclass(frozen=True, slots=True)
class FaceRoi:
    """A square in a frame, in pixels."""

    x: float
    y: float
    """Its centre."""
    side: float
    angle: float
    """Angle of the line from the image's left eye to its right, clockwise on the screen, in radians."""

    def matrix(self, side: int) -> ArrayF64:
        """Return the sampling matrix of the ROI, resampled to `side`."""
        return square_matrix((self.x, self.y), self.side, self.angle, side)

    def place(self, points: ArrayF32, side: int) -> ArrayF32:
        """Map points (P, 3) of the ROI, resampled to `side`, to pixels of the frame; z has the scale of x."""
        scale = self.side / side
        cos, sin = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        half = side / 2
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, scale]], np.float32)
        start = np.array([self.x - half * (cos - sin), self.y - half * (sin + cos), 0], np.float32)
        return np.asarray(points @ turn + start)

    @property
    def box(self) -> Box:
        """The square without its rotation."""
        half = self.side / 2
        return np.array([self.x - half, self.y - half, self.x + half, self.y + half])

    @classmethod
    def around(cls, box: Box, left_eye: npt.NDArray[Any], right_eye: npt.NDArray[Any]) -> FaceRoi:
        """Return the ROI of a face with this box and these eyes (2,), named by their side of the image."""
        left, top, right, bottom = box.tolist()
        angle = math.atan2(float(right_eye[1] - left_eye[1]), float(right_eye[0] - left_eye[0]))
        side = _MARGIN * max(right - left, bottom - top)
        return cls((left + right) / 2, (top + bottom) / 2, side, angle)

    @classmethod
    def of_landmarks(cls, landmarks: ArrayFloat) -> FaceRoi:
        """Return the ROI of a face in the next frame, from its landmarks (478, >=2) in this one."""
        return cls.of_face(box_of(landmarks), landmarks)

    @classmethod
    def of_face(cls, box: Box, landmarks: ArrayFloat) -> FaceRoi:
        """As :meth:`of_landmarks`, with the known box of the landmarks."""
        return cls.around(box, landmarks[LEFT_EYE_OUTER], landmarks[RIGHT_EYE_OUTER])


def box_of(landmarks: ArrayFloat) -> Box:
    """Return the bounding box of landmarks (P, >=2)."""
    points = np.ascontiguousarray(landmarks[:, :2].T)
    return np.concatenate([points.min(axis=1), points.max(axis=1)], dtype=np.float64)


def overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return float(intersection / union)
