"""Tracking: ROIs, losses and identities. The faces are the bundled anchor's, in several colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from newscaster.errors import InputError
from newscaster.tracking import SHORT_RANGE, Detections, FaceDetector, FaceTracker, TrackedFace
from newscaster.tracking.identity import Face, Identities, _least
from synthetic_faces import anchor_frames, paste, person

Frame = npt.NDArray[np.uint8]
TINTS = ((1.0, 1.0, 1.0), (0.55, 0.7, 1.0), (1.0, 0.75, 0.5))
WIDTH, HEIGHT, FACE = 480, 270, 170


class Counted:
    """A detector that counts how often it was asked."""

    def __init__(self) -> None:
        self.detector, self.asked = FaceDetector((SHORT_RANGE,)), 0

    def detect(self, frame: Frame) -> Detections:
        self.asked += 1
        return self.detector.detect(frame)


def scene(frames: int, *paths: Callable[[float], float | None]) -> Iterator[Frame]:
    """People who move along columns, given for times 0 to 1; None: away. The last one is in front."""
    for index in range(frames):
        canvas = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for number, path in enumerate(paths):
            x = path(index / (frames - 1))
            if x is not None:
                face = person(anchor_frames()[index % 12], tint=TINTS[number], mirrored=number % 2 == 1)
                paste(canvas, face, round(x), height=FACE)
        yield canvas


def columns(faces: Sequence[TrackedFace]) -> dict[int, float]:
    return {face.identity: float(face.landmarks[:, 0].mean()) for face in faces}


def test_a_face_is_followed_without_searching_again() -> None:
    detector = Counted()
    tracker = FaceTracker(detector=detector)
    for index, frame in enumerate(scene(8, lambda t: 200 + 80 * t)):
        assert columns(tracker.step(frame)) == {0: pytest.approx(200 + 80 * index / 7, abs=25)}
    assert detector.asked == 1


def test_searches_while_more_faces_are_wanted() -> None:
    detector = Counted()
    tracker = FaceTracker(2, fps=2, search_every=5, detector=detector)
    for frame in scene(14, lambda t: 240):
        assert len(tracker.step(frame)) == 1
    # The first second, 2 frames, and the frame of it; then every fifth.
    assert 4 <= detector.asked <= 6


def test_what_is_found_does_not_depend_on_earlier_clips() -> None:
    frames = list(scene(4, lambda t: 200 + 60 * t))
    fresh, used = FaceTracker(), FaceTracker()
    for frame in scene(3, lambda t: 300):
        used.step(frame)
    used.reset()
    for frame in frames:
        (one,), (other,) = fresh.step(frame), used.step(frame)
        assert one.identity == other.identity == 0
        np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_windows_are_tracked_as_frames() -> None:
    (frame,) = list(scene(2, lambda t: 240))[:1]
    window = frame[:, 80:400]
    (one,), (other,) = FaceTracker().step(window), FaceTracker().step(np.ascontiguousarray(window))
    np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_two_who_cross_keep_their_identities() -> None:
    tracker = FaceTracker(2, fps=12)
    found = [columns(tracker.step(f)) for f in scene(36, lambda t: 100 + 280 * t, lambda t: 380 - 280 * t)]
    assert found[0].keys() == found[-1].keys() == {0, 1}
    left, right = sorted(found[0], key=lambda i: found[0][i])
    assert found[-1][left] > found[-1][right]
    assert set().union(*found) == {0, 1}


def test_who_leaves_and_comes_back_on_the_other_side_is_the_same() -> None:
    def path(t: float) -> float | None:
        return 100 if t < 0.3 else None if t < 0.6 else 400

    tracker = FaceTracker(2, fps=12)
    found = [columns(tracker.step(frame)) for frame in scene(30, path, lambda t: 250)]
    (gone,) = (i for i, x in found[0].items() if x < 150)
    assert found[15].keys() == {0, 1} - {gone}
    assert found[-1][gone] > 350


def test_somebody_else_who_comes_later_is_new() -> None:
    tracker = FaceTracker(1, fps=12)
    first = [columns(tracker.step(frame)) for frame in scene(8, lambda t: 120)]
    empty = [columns(tracker.step(frame)) for frame in scene(4, lambda t: None)]
    second = [columns(tracker.step(f)) for f in scene(12, lambda t: None, lambda t: 330)]
    third = [columns(tracker.step(frame)) for frame in scene(8, lambda t: 330)]
    assert first[-1].keys() == {0}
    assert empty[-1] == {}
    assert second[-1].keys() == {1}
    assert third[-1].keys() == {0}


def test_without_identities_who_comes_back_is_new_at_once() -> None:
    def path(t: float) -> float | None:
        return None if 0.4 < t < 0.6 else 240

    tracker = FaceTracker(1, identify=False)
    found = [columns(tracker.step(frame)) for frame in scene(11, path)]
    assert [list(faces) for faces in found] == [[0]] * 5 + [[]] + [[1]] * 5


def test_descriptors_decide_if_there_are_any() -> None:
    """Two with the same colours: only the descriptor tells them apart."""
    frame = np.zeros((10, 10, 3), np.uint8)

    def points(x: float) -> npt.NDArray[np.float32]:
        found = np.random.default_rng(0).uniform(0, 20, (478, 3)).astype(np.float32)
        found[33, :2], found[263, :2] = (5, 8), (15, 8)
        return found + np.array([x, 0, 0], np.float32)

    def describe(frames: Sequence[Frame], landmarks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.stack([np.float32([who, 0]) for who in now]) if now else np.empty((0, 2), np.float32)

    identities = Identities(fps=5, describe=describe, max_distance=0.5)
    for sources in ([], []), *(([0], [1]) for _ in range(5)):
        now = [0.0, 9.0]
        found = identities.assign(frame, [Face(points(0), 1, sources[0]), Face(points(100), 1, sources[1])])
        assert sorted(found) == [0, 1]
    now = []
    assert identities.assign(frame, []) == {}
    now = [9.0, 0.0]  # they come back, each in the other's place
    found = identities.assign(frame, [Face(points(0), 1), Face(points(100), 1)])
    assert found[0].landmarks[0, 0] > found[1].landmarks[0, 0]
    now = []
    assert identities.assign(frame, []) == {}
    now = [5.0]  # another person, who gets an identity once it is clear
    assert [list(identities.assign(frame, [Face(points(0), 1)])) for _ in range(6)] == [[]] * 5 + [[2]]
    now = [float("nan")]  # cannot be measured: colours and place decide
    identities.assign(frame, [])
    assert [list(identities.assign(frame, [Face(points(0), 1)])) for _ in range(6)] == [[]] * 5 + [[2]]


def test_least_cost() -> None:
    assert _least([[0.1, 0.2], [0.1, 0.9]], [1.0, 1.0]) == [1, 0]
    assert _least([[2.0], [0.5]], [1.0, 1.0]) == [None, 0]
    assert _least([[]], [1.0]) == [None]
    assert _least([], []) == []


@pytest.mark.parametrize(
    "wrong", [{"max_faces": 0}, {"search_every": 0}, {"fps": 0.0}, {"fps": float("nan")}]
)
def test_numbers_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        FaceTracker(**wrong)  # type: ignore[arg-type]
