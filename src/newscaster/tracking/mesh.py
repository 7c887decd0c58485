"""The face mesh: 478 landmarks of one face in each ROI.

MediaPipe's mesh network with attention (Google, Apache-2.0; Grishchenko et al. 2020, Attention Mesh).
tools/convert_face_models.py makes the packaged file. The caller chooses the ROIs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from newscaster.face.topology import LANDMARKS
from newscaster.tracking.models import face_session
from newscaster.tracking.roi import FaceRoi
from newscaster.tracking.sampling import SquareSampler
from newscaster.types import ArrayF32, ArrayF64, ImageU8

CROP_SIDE = 192
_BATCH = 16
"""Crops that run at once; larger batches are not faster."""


class FaceMesh:
    """A landmark finder, for one thread at a time.

    The landmarks of an ROI depend neither on the other ROIs of the call nor on `threads`.

    Args:
        threads: threads of one operator.
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._session = face_session("face_mesh.onnx", threads)
        self._sampler = SquareSampler(CROP_SIDE)
        self._crops = np.empty((1, 3, CROP_SIDE, CROP_SIDE), np.float32)

    def find(self, faces: Sequence[tuple[ImageU8, FaceRoi]]) -> tuple[ArrayF32, ArrayF64]:
        """Find the landmarks of one face in each ROI.

        Args:
            faces: frames (H, W, 3) uint8 RGB, of any sizes, each with an ROI.

        Returns:
            Landmarks (n, 478, 3) in pixels of the frames, and the probability of a face in each ROI (n,).
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
