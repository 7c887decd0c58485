"""The face mesh: 478 landmarks of the face in each of some regions.

MediaPipe's mesh network with attention (Google, Apache-2.0; Grishchenko et al. 2020, Attention Mesh). The
packaged file is made by tools/convert_face_models.py. Where a face is to be looked for is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from newscaster.face.topology import LANDMARKS
from newscaster.tracking.models import face_session
from newscaster.tracking.roi import FaceRoi
from newscaster.tracking.sampling import ImageArray, SquareSampler

Landmarks = npt.NDArray[np.float32]
"""(478, 3): x and y in pixels of the frame, z in the scale of x, less the farther away."""

CROP_SIDE = 192
_BATCH = 16
"""Crops that run at once; more gain no time."""


class FaceMesh:
    """Finds landmarks; for one thread at a time.

    What is found in a region does not depend on the other regions of the call, nor on `threads`.

    Args:
        threads: of one operator.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._session = face_session("face_mesh.onnx", threads)
        self._sampler = SquareSampler(CROP_SIDE)
        self._crops = np.empty((1, 3, CROP_SIDE, CROP_SIDE), np.float32)

    def find(
        self, faces: Sequence[tuple[ImageArray, FaceRoi]]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Landmarks of one face in each region.

        Args:
            faces: frames (H, W, 3) uint8 RGB, of any sizes, each with a region of it.

        Returns:
            Landmarks (n, 478, 3) in pixels of the frames, and how likely each region shows a face (n,).
        """
        landmarks = np.empty((len(faces), LANDMARKS, 3), np.float32)
        presence = np.empty(len(faces))
        for start in range(0, len(faces), _BATCH):
            part = faces[start : start + _BATCH]
            if len(self._crops) < len(part):
                self._crops = np.empty((len(part), 3, CROP_SIDE, CROP_SIDE), np.float32)
            for crop, (frame, roi) in zip(self._crops, part, strict=False):
                self._sampler.cut(frame, roi.matrix(CROP_SIDE), crop)
            outputs = self._session.run(frames=self._crops[: len(part)])
            for row, (_, roi) in enumerate(part):
                landmarks[start + row] = roi.place(outputs["landmarks"][row], CROP_SIDE)
            flags = np.clip(outputs["flag"].astype(np.float64), -100, 100)
            presence[start : start + len(part)] = 1 / (1 + np.exp(-flags))
        return landmarks, presence
