from __future__ import annotations

import numpy as np
import pytest

from newscaster.tracking import FULL_RANGE, SHORT_RANGE, FaceDetector, FaceMesh
from newscaster.tracking.detector import _merge
from newscaster.tracking.roi import box_of
from synthetic_faces import anchor_frames, paste


@pytest.mark.parametrize("network", [FULL_RANGE, SHORT_RANGE], ids=["full range", "short range"])
def test_a_face_is_where_its_landmarks_are(network) -> None:  # type: ignore[no-untyped-def]
    frame = anchor_frames()[0]
    found = FaceDetector((network,)).detect(frame)
    assert len(found) == 1
    assert 0.6 < found.scores[0] <= 1
    landmarks, presence = FaceMesh().find([(frame, found.rois()[0])])
    assert presence[0] > 0.9
    box = box_of(landmarks[0])
    side = (box[2:] - box[:2]).max()
    assert np.abs((found.boxes[0][:2] + found.boxes[0][2:]) - (box[:2] + box[2:])).max() < 0.4 * side
    for keypoint, eye in ((0, (33, 133)), (1, (362, 263))):
        assert np.abs(found.keypoints[0, keypoint] - landmarks[0, eye, :2].mean(axis=0)).max() < 0.06 * side


def test_the_second_detector_is_asked_if_the_first_finds_nothing() -> None:
    canvas = np.full((720, 1280, 3), 90, np.uint8)
    paste(canvas, anchor_frames()[0], 640, height=200)
    near, far = (FaceDetector((network,)).detect(canvas) for network in (SHORT_RANGE, FULL_RANGE))
    assert (len(near), len(far)) == (0, 1)
    np.testing.assert_array_equal(FaceDetector((SHORT_RANGE, FULL_RANGE)).detect(canvas).boxes, far.boxes)


def test_no_face() -> None:
    found = FaceDetector().detect(np.full((288, 360, 3), 90, np.uint8))
    assert (found.boxes.shape, found.keypoints.shape, found.scores.shape) == ((0, 4), (0, 6, 2), (0,))
    assert found.rois() == []


def test_boxes_of_one_face_are_averaged_by_score_and_others_stay() -> None:
    def rows(left: float) -> np.ndarray:
        corners = np.array([[left, 0.0], [left + 1.0, 1.0]])
        return np.concatenate([corners, np.full((6, 2), left)])

    points, scores = _merge(np.stack([rows(0.0), rows(5.0), rows(0.2)]), np.array([0.6, 0.7, 0.9]))
    np.testing.assert_allclose(scores, [0.9, 0.7])
    np.testing.assert_allclose(points[:, 0, 0], [(0.9 * 0.2) / 1.5, 5.0])
    np.testing.assert_allclose(points[:, 7, 1], [(0.9 * 0.2) / 1.5, 5.0])
