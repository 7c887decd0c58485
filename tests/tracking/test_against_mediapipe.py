"""The tracker finds what MediaPipe finds; needs mediapipe 0.10.21 (requirements/compare.txt)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from newscaster.tracking import FULL_RANGE, SHORT_RANGE, FaceDetector, FaceMesh, FaceTracker
from synthetic_faces import Frame, anchor_frames, paste

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def solutions() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mediapipe = pytest.importorskip("mediapipe", reason="mediapipe 0.10.21 is not installed")
        return mediapipe.solutions


def frames() -> list[Frame]:
    """The face, as large as it is, small in a wide frame, and at its border."""
    whole = list(anchor_frames())
    for center, height in ((300, 180), (90, 300)):
        canvas = np.full((360, 640, 3), 90, np.uint8)
        paste(canvas, whole[0], center, height=height)
        whole.append(canvas)
    return whole


def points(face: Any, frame: Frame) -> npt.NDArray[np.float64]:
    height, width = frame.shape[:2]
    return np.array([(p.x * width, p.y * height, p.z * width) for p in face.landmark])


def distance(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Mean of landmarks, in distances of the outer eye corners."""
    return float(np.linalg.norm(one - other, axis=1).mean() / np.linalg.norm(one[33] - one[263]))


@pytest.mark.parametrize(("selection", "network"), [(0, SHORT_RANGE), (1, FULL_RANGE)], ids=["short", "full"])
def test_detections(solutions: Any, selection: int, network: Any) -> None:
    reference = solutions.face_detection.FaceDetection(model_selection=selection)
    detector, compared = FaceDetector((network,)), 0
    for frame in frames():
        theirs, ours = reference.process(frame).detections or [], detector.detect(frame)
        assert len(theirs) == len(ours)
        for detection, box, score in zip(theirs, ours.boxes, ours.scores, strict=True):
            relative = detection.location_data.relative_bounding_box
            size = frame.shape[1], frame.shape[0]
            corner = np.array([relative.xmin, relative.ymin]) * size
            assert np.abs(box[:2] - corner).max() < 1e-5 * frame.shape[1]
            assert score == pytest.approx(detection.score[0], abs=1e-4)
            compared += 1
    assert compared >= 12


def test_landmarks_of_single_frames(solutions: Any) -> None:
    reference = solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)
    detector, mesh = FaceDetector((SHORT_RANGE,)), FaceMesh()
    distances = []
    for frame in frames():
        theirs = reference.process(frame).multi_face_landmarks or []
        ours, _ = mesh.find([(frame, roi) for roi in detector.detect(frame).rois()[:1]])
        assert len(theirs) == len(ours)
        distances += [distance(points(a, frame), b) for a, b in zip(theirs, ours, strict=True)]
    assert len(distances) >= 12
    assert max(distances) < 1e-4


def test_tracking(solutions: Any) -> None:
    reference = solutions.face_mesh.FaceMesh(refine_landmarks=True)
    tracker = FaceTracker(detector=FaceDetector((SHORT_RANGE,)))
    distances = []
    for frame in anchor_frames():
        (theirs,) = reference.process(frame).multi_face_landmarks
        (ours,) = tracker.step(frame)
        distances.append(distance(points(theirs, frame)[:, :2], ours.landmarks[:, :2]))
    assert np.mean(distances) < 3e-4
    assert max(distances) < 3e-3
