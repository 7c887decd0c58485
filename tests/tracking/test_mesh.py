from __future__ import annotations

import math

import numpy as np
import pytest

from newscaster.tracking import FaceDetector, FaceMesh, FaceRoi
from synthetic_faces import anchor_frames, person


@pytest.fixture(scope="module")
def roi() -> FaceRoi:
    return FaceDetector().detect(anchor_frames()[0]).rois()[0]


def test_batches_and_threads_change_nothing(roi: FaceRoi) -> None:
    frames = anchor_frames()
    faces = [(frame, FaceRoi(roi.x + i, roi.y, roi.side, 0.01 * i)) for i, frame in enumerate(frames)]
    faces += faces[:7]  # more than run at once
    together, presence = FaceMesh().find(faces)
    alone = FaceMesh(threads=2)
    for row, face in enumerate(faces):
        landmarks, present = alone.find([face])
        np.testing.assert_array_equal(landmarks[0], together[row])
        assert present[0] == presence[row]


def test_landmarks_turn_and_grow_with_the_frame(roi: FaceRoi) -> None:
    frame = anchor_frames()[0]
    landmarks, _ = FaceMesh().find([(frame, roi)])
    height = frame.shape[0]
    turned = np.ascontiguousarray(np.rot90(frame, axes=(1, 0)).repeat(2, axis=0).repeat(2, axis=1))
    x, y = 2 * (height - roi.y), 2 * roi.x
    other, _ = FaceMesh().find([(turned, FaceRoi(x, y, 2 * roi.side, roi.angle + math.pi / 2))])
    expected = np.stack(
        [2 * (height - landmarks[0, :, 1]), 2 * landmarks[0, :, 0], 2 * landmarks[0, :, 2]], 1
    )
    eyes = np.linalg.norm(expected[33, :2] - expected[263, :2])
    assert np.abs(other[0] - expected).max() < 0.03 * eyes


def test_the_roi_of_landmarks_surrounds_them(roi: FaceRoi) -> None:
    landmarks, _ = FaceMesh().find([(anchor_frames()[0], roi)])
    again = FaceRoi.of_landmarks(landmarks[0])
    box = again.box
    assert (landmarks[0, :, :2] > box[:2]).all()
    assert (landmarks[0, :, :2] < box[2:]).all()
    assert abs(again.side - roi.side) < 0.2 * roi.side


def test_no_face_is_not_taken_for_one(roi: FaceRoi) -> None:
    grey = np.full_like(anchor_frames()[0], 90)
    _, presence = FaceMesh().find([(grey, roi), (person(anchor_frames()[0], mirrored=True), roi)])
    assert presence[0] < 0.5
    landmarks, presence = FaceMesh().find([])
    assert (landmarks.shape, presence.shape) == ((0, 478, 3), (0,))
