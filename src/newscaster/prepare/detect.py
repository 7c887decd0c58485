"""Faces in a picture, and the landmarks of faces, as the other modules of ``prepare`` ask for them.

Who is who is left to ``people`` and ``tracking``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from newscaster.tracking import SHORT_RANGE, FaceDetector, FaceTracker, Landmarks

ImageArray = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]
"""(..., 4): left, top, right and bottom of faces in pixels."""

__all__ = ["Boxes", "ImageArray", "Landmarks", "Mesh", "detect_faces"]


def detect_faces(image: ImageArray) -> Boxes:
    """Boxes (n, 4) of the faces in a picture (H, W, 3), the likeliest first.

    The detector for faces up to 5 m away is asked first, that for close ones if it finds none.
    """
    return FaceDetector().detect(image).boxes


class Mesh:
    """Landmarks of up to ``most_faces`` faces, followed from picture to picture."""

    def __init__(self, most_faces: int) -> None:
        self._tracker = FaceTracker(most_faces, detector=FaceDetector((SHORT_RANGE,)), identify=False)

    def reset(self) -> None:
        """Forget the faces of the last picture."""
        self._tracker.reset()

    def find(self, image: ImageArray, window: tuple[int, int, int, int]) -> list[Landmarks]:
        """Landmarks (478, 3), in pixels of the picture (H, W, 3), of the faces in a window of it.

        ``window`` is left, top, right, bottom. Depths have the scale of x.
        """
        left, top, right, bottom = window
        faces = self._tracker.step(image[top:bottom, left:right])
        return [face.landmarks + np.array([left, top, 0], np.float32) for face in faces]
