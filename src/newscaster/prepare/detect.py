"""Face detection and landmarks, in the form that the other modules of ``prepare`` need.

``people`` and ``tracking`` tell people apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from newscaster.tracking import SHORT_RANGE, FaceDetector, FaceTracker, Landmarks

ImageArray = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]
"""(..., 4): left, top, right and bottom of faces, in pixels."""

__all__ = ["Boxes", "ImageArray", "Landmarks", "Mesh", "detect_faces"]


def detect_faces(image: ImageArray) -> Boxes:
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

    def find(self, image: ImageArray, window: tuple[int, int, int, int]) -> list[Landmarks]:
        """Return landmarks (478, 3), in pixels of the image (H, W, 3), of the faces in a window.

        ``window`` is left, top, right, bottom. Depths have the scale of x.
        """
        left, top, right, bottom = window
        faces = self._tracker.step(image[top:bottom, left:right])
        return [face.landmarks + np.array([left, top, 0], np.float32) for face in faces]
