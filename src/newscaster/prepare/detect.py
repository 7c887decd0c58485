"""MediaPipe: faces in a picture, and the landmarks of faces. The one module that touches it.

Knows how it is called and what it returns. Who is who is left to ``people`` and ``tracking``.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import MissingExtraError
from newscaster.face.topology import LANDMARKS

ImageArray = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float64]
"""(..., 4): left, top, right and bottom of faces in pixels."""
Landmarks = npt.NDArray[np.float32]

_FULL_RANGE, _SHORT_RANGE = 1, 0
_MIN_CONFIDENCE = 0.5

# NormalizedLandmarkList, encoded: field 1 of 15 bytes each, in it the fields 1, 2 and 3, fixed 32 bits.
_LANDMARK_BYTES = 17
_TAG_PLACES = (0, 1, 2, 7, 12)
_TAGS = (0x0A, 15, 0x0D, 0x15, 0x1D)
_FLOAT_PLACES = (*range(3, 7), *range(8, 12), *range(13, 17))


def need_mediapipe() -> None:
    """Raise MissingExtraError unless MediaPipe is installed; it is not loaded."""
    if importlib.util.find_spec("mediapipe") is None:
        raise MissingExtraError(purpose="preparing footage", extra="train", package="mediapipe")


@cache
def _solutions() -> Any:
    with _without_matplotlib():
        import mediapipe
    return mediapipe.solutions


@contextmanager
def _without_matplotlib() -> Iterator[None]:
    """Keep MediaPipe from loading Matplotlib, which nothing here draws with.

    Matplotlib lists the machine's fonts when it is imported, and writes the list to the user's cache folder.
    """
    if "matplotlib" in sys.modules:
        yield
        return
    package, pyplot = ModuleType("matplotlib"), ModuleType("matplotlib.pyplot")
    package.pyplot = pyplot  # type: ignore[attr-defined]
    stand_ins = {module.__name__: module for module in (package, pyplot)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)


@cache
def _detector(model: int) -> Any:
    return _solutions().face_detection.FaceDetection(
        min_detection_confidence=_MIN_CONFIDENCE, model_selection=model
    )


@cache
def _mesh(most_faces: int) -> Any:
    return _solutions().face_mesh.FaceMesh(
        static_image_mode=False,
        refine_landmarks=True,
        max_num_faces=most_faces,
        min_detection_confidence=_MIN_CONFIDENCE,
        min_tracking_confidence=_MIN_CONFIDENCE,
    )


def detect_faces(image: ImageArray) -> Boxes:
    """Boxes (n, 4) of the faces in a picture (H, W, 3), the likeliest first.

    The model for faces up to 5 m away is asked first, that for close ones where it finds none.
    """
    height, width = image.shape[:2]
    for model in (_FULL_RANGE, _SHORT_RANGE):
        found = _detector(model).process(np.ascontiguousarray(image)).detections
        if found:
            relative = [d.location_data.relative_bounding_box for d in found]
            boxes = np.array([(b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in relative])
            return np.asarray(boxes * [width, height, width, height], np.float64)
    return np.zeros((0, 4))


class Mesh:
    """Landmarks of up to ``most_faces`` faces, followed from picture to picture."""

    def __init__(self, most_faces: int) -> None:
        self._mesh = _mesh(most_faces)
        self.reset()

    def reset(self) -> None:
        """Forget the faces of the last picture."""
        self._mesh.reset()

    def find(self, image: ImageArray, window: tuple[int, int, int, int]) -> list[Landmarks]:
        """Landmarks (478, 3), in pixels of the picture (H, W, 3), of the faces in a window of it.

        ``window`` is left, top, right, bottom. Depths have the scale of x.
        """
        left, top, right, bottom = window
        faces = self._mesh.process(np.ascontiguousarray(image[top:bottom, left:right])).multi_face_landmarks
        scale = np.array([right - left, bottom - top, right - left], np.float32)
        return [_points(face) * scale + np.array([left, top, 0], np.float32) for face in faces or ()]


def _points(face: Any) -> Landmarks:
    # Reading 1434 attributes one by one costs a tenth of what finding the face does. The encoding is
    # plain: each landmark is 17 bytes, x, y and z little-endian floats after a tag each.
    encoded = np.frombuffer(face.SerializeToString(), np.uint8)
    if len(encoded) == LANDMARKS * _LANDMARK_BYTES:
        rows = encoded.reshape(LANDMARKS, _LANDMARK_BYTES)
        if (rows[:, _TAG_PLACES] == _TAGS).all():
            return np.ascontiguousarray(rows[:, _FLOAT_PLACES]).view("<f4").astype(np.float32)
    points = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32)
    assert points.shape == (LANDMARKS, 3), f"the face mesh has {len(points)} points"
    return points
