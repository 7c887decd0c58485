"""Face detection and landmarks, in the form that the other modules of ``prepare`` need.

``people`` and ``tracking`` tell people apart.
"""

from __future__ import annotations

import numpy as np

from newscaster.tracking import SHORT_RANGE, FaceDetector, FaceTracker
from newscaster.types import Box, ImageU8, Landmarks

__all__ = ["Mesh", "detect_faces"]


def detect_faces(image: ImageU8) -> Box:
    """Return boxes (n, 4) of the faces in an image (H, W, 3), by descending confidence.

    The detector for faces up to 5 m away runs first. If it finds none, the detector for close faces runs.
    """
    return FaceDetector().detect(image).boxes


class Mesh:
    """Landmarks of up to ``max_faces`` faces, tracked from frame to frame."""

    def __init__(self, max_faces: int) -> None:
        self._tracker = FaceTracker(max_faces, detector=FaceDetector((SHORT_RANGE,)), identify=False)

    def reset(self) -> None:
        """Forget the faces of the previous frame."""
        self._tracker.reset()

    def find(self, image: ImageU8, window: tuple[int, int, int, int]) -> list[Landmarks]:
        """Return landmarks (478, 3), in pixels of the image (H, W, 3), of the faces in a window.

        ``window`` is left, top, right, bottom. Depths have the scale of x.
        """
        left, top, right, bottom = window
        faces = self._tracker.step(image[top:bottom, left:right])
        return [face.landmarks + np.array([left, top, 0], np.float32) for face in faces]
