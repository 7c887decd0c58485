"""Blinks and saccades in a drawn eye, and in the bundled anchor's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from newscaster.still import HeadMotion, StillTarget, find_face
from newscaster.still.eyelids import EYES, Eyes
from newscaster.tracking import FaceMesh, FaceRoi
from synthetic_faces import anchor_frames

IOD = 200.0
SKIN, WHITE, IRIS = (200, 150, 120), (240, 240, 240), (30, 60, 40)


def drawn(opening: float = 24.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a photograph of two eyes on skin, and its landmarks; only those of the eyes are true."""
    landmarks = np.full((478, 3), 10.0, np.float32)
    image = np.full((240, 360, 3), SKIN, np.uint8)
    y, x = np.mgrid[:240, :360] + 0.5
    for eye, centre in zip(EYES, (110.0, 250.0), strict=True):
        along = np.linspace(-35, 35, 9)
        arc = opening / 2 * (1 - (along / 35) ** 2)
        landmarks[list(eye.upper), :2] = np.stack([centre + along, 120 - arc], axis=1)
        landmarks[list(eye.lower), :2] = np.stack([centre + along, 120 + arc], axis=1)
        landmarks[list(eye.brow), :2] = np.stack([centre + np.linspace(-35, 35, 5), np.full(5, 70)], axis=1)
        ring = np.array([(0, 0), (11, 0), (0, -11), (-11, 0), (0, 11)])
        landmarks[list(eye.iris), :2] = ring + np.array((centre, 120))
        inside = np.abs(y - 120) < opening / 2 * (1 - ((x - centre) / 35) ** 2)
        image[inside] = WHITE
        image[inside & (np.hypot(x - centre, y - 120) < 11)] = IRIS
    landmarks[[50, 280], :2] = [(110, 200), (250, 200)]
    return image, landmarks


def changed(image: np.ndarray, eyes: Eyes, closure: float, gaze: tuple[float, float] = (0, 0)) -> np.ndarray:
    out = image.copy()
    for patch in eyes.patches(closure, gaze):
        out[patch.box] = patch.pixels
    return out


def area(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=2) < 30).sum())


def test_open_eyes_change_nothing() -> None:
    image, landmarks = drawn()
    eyes = Eyes(image, landmarks, iod=IOD)
    assert eyes.can_blink
    assert list(eyes.patches(0.0, (0.0, 0.0))) == []
    assert eyes.move(landmarks, 0.0, (0.0, 0.0)) == pytest.approx(landmarks)


def test_lids_close_over_the_eye() -> None:
    image, landmarks = drawn()
    eyes = Eyes(image, landmarks, iod=IOD)
    frames = [changed(image, eyes, closure) for closure in (0, 0.25, 0.5, 0.75, 1)]
    seen = [area(frame, WHITE) + area(frame, IRIS) for frame in frames]
    assert (np.diff(seen) < 0).all()
    assert seen[-1] < 0.2 * seen[0]  # the strip of the lash line
    skin = frames[-1][110:118, 90:130]
    assert np.abs(skin.astype(int) - SKIN).max() < 12
    far = np.ones(image.shape[:2], bool)
    far[55:160, 70:145] = far[55:160, 210:285] = False
    for frame in frames:
        assert (frame[far] == image[far]).all()


@pytest.mark.parametrize("points", ["upper", "lower"])
def test_no_white_moves_with_a_lid_whose_landmarks_lie_in_the_eye(points: str) -> None:
    image, landmarks = drawn()
    for eye in EYES:
        line = list(getattr(eye, points))
        landmarks[line, 1] += 0.2 * (120 - landmarks[line, 1])  # up to 2.4 px nearer to the middle
    closed = changed(image, Eyes(image, landmarks, iod=IOD), 1.0)
    # The corners stay where they are. By the landmarks alone, 228 or 448 pixels would be left.
    assert area(closed, WHITE) + area(closed, IRIS) < 0.02 * area(image, WHITE)


def test_landmarks_follow_the_lids_and_the_iris() -> None:
    image, landmarks = drawn()
    eyes = Eyes(image, landmarks, iod=IOD)
    upper, lower = EYES[0].upper[4], EYES[0].lower[4]
    gaps = [
        float(moved[lower, 1] - moved[upper, 1])
        for moved in (eyes.move(landmarks, closure, (0, 0)) for closure in (0, 0.5, 1))
    ]
    assert gaps == pytest.approx([24, 12, 0], abs=0.3)
    for index in (EYES[0].upper[0], EYES[0].lower[-1], 1):
        assert eyes.move(landmarks, 1.0, (0, 0))[index] == pytest.approx(landmarks[index], abs=1e-3)

    looking = changed(image, eyes, 0.0, (6.0, 0.0))
    before, after = (
        np.argwhere(np.abs(frame[:, :180].astype(int) - IRIS).max(axis=2) < 60).mean(axis=0)
        for frame in (image, looking)
    )
    shift = eyes.move(landmarks, 0.0, (6.0, 0.0))[468, :2] - landmarks[468, :2]
    assert shift == pytest.approx([IOD * 0.133 * np.sin(np.radians(6)), 0], abs=1e-6)
    assert (after - before)[::-1] == pytest.approx(shift, abs=0.6)


def test_closed_eyes_do_not_blink() -> None:
    image, landmarks = drawn(opening=6.0)
    eyes = Eyes(image, landmarks, iod=IOD)
    assert not eyes.can_blink
    assert (changed(image, eyes, 1.0) == image).all()


def test_a_rim_above_the_eye_does_not_move() -> None:
    image, landmarks = drawn()
    image[76:82] = (15, 15, 15)
    closed = changed(image, Eyes(image, landmarks, iod=IOD), 1.0)
    assert np.abs(closed[:82].astype(int) - image[:82]).max() <= 2
    assert area(closed[82:], (15, 15, 15)) == 0


def test_a_blink_of_the_bundled_anchor_is_seen_as_one() -> None:
    frame = anchor_frames(1)[0]
    image = np.asarray(Image.fromarray(frame).resize((720, 576), Image.Resampling.LANCZOS))
    landmarks = find_face(image, name="a.png")
    rest = HeadMotion.rest(2)
    motion = HeadMotion(rest.angles, rest.shift, rest.scale, rest.breath, rest.gaze, np.array([0.0, 1.0]))
    target = StillTarget(image, landmarks, motion)
    assert target.notes == []

    def opening(points: np.ndarray) -> float:
        pairs = [(159, 145), (386, 374)]
        return float(np.mean([np.linalg.norm(points[a, :2] - points[b, :2]) for a, b in pairs]))

    seen = FaceMesh().find([(target.frame(1), FaceRoi.of_landmarks(landmarks))])[0][0]
    assert opening(seen) < 0.6 * opening(landmarks)
    assert opening(target.landmarks[1]) < 0.3 * opening(landmarks)


def darkest_row(image: np.ndarray, column: int, rows: slice) -> int:
    """Return the darkest row of a column."""
    return int(image[rows, column].sum(axis=1).argmin()) + rows.start


@pytest.mark.parametrize("slope", [0.5, 1.0])
def test_a_lash_line_beyond_the_outer_corner_closes_with_the_lid(slope: float) -> None:
    image, landmarks = drawn()
    y, x = np.mgrid[:240, :360] + 0.5
    for outwards, corner in ((-1, 75.0), (1, 285.0)):
        beyond = outwards * (x - corner)
        image[(beyond > -1) & (beyond < 16) & (np.abs(y - 120 - slope * beyond) < 2)] = (70, 40, 30)
    eyes = Eyes(image, landmarks, iod=IOD)
    closed = changed(image, eyes, 1.0)
    for outwards, corner in ((-1, 75), (1, 285)):
        at = corner + 4 * outwards
        before, after = (darkest_row(frame, at, slice(105, 150)) for frame in (image, closed))
        assert after - before >= 0.3 * 12 * slope  # of the 12 pixels that are left to its end, the chord
        end = corner + 20 * outwards
        assert (closed[:, end] == image[:, end]).all()
    # Towards the nose nothing is traced.
    inner = changed(image, eyes, 1.0)[:, 147:213]
    assert (inner == image[:, 147:213]).all()


def test_plain_skin_beyond_the_corner_does_not_move() -> None:
    image, landmarks = drawn()
    closed = changed(image, Eyes(image, landmarks, iod=IOD), 1.0)
    beyond = np.r_[0:74, 146:214, 286:360]
    assert (closed[:, beyond] == image[:, beyond]).all()
