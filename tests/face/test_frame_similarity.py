from __future__ import annotations

import numpy as np
import pytest

from faces import face_points, talking
from making_moments import round_way, similarity
from newscaster.face.crop import Mask
from newscaster.face.frame_similarity import THUMBNAIL_SIDE, FrameSimilarity, head_window, thumbnail
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import SurfaceWarp

HEAD = Head(face_points())


def of(landmarks: np.ndarray) -> FrameSimilarity:
    return FrameSimilarity.of(landmarks, HEAD.poses(landmarks), HEAD, fps=25.0)


def test_a_blink_is_found_and_a_talking_mouth_is_not_seen() -> None:
    landmarks = talking(100, moving=0.0)
    for lid, other in ((159, 145), (386, 374)):
        landmarks[40:44, lid] = landmarks[40:44, other]
    found = of(landmarks)
    assert np.flatnonzero(found.blinks).tolist() == list(range(38, 46))
    still, before = np.array([5, 10, 15]), np.array([80, 85, 90])
    assert found.change(still, before).max() < 0.5


def test_a_moved_head_is_measured_in_usual_steps() -> None:
    target = similarity(round_way(200))
    step = np.linalg.norm(np.diff(round_way(200), axis=0), axis=1)[0]
    assert target.usual[0] == pytest.approx(step)
    far = np.linalg.norm(round_way(200)[3] - round_way(200)[30]) / step
    assert target.change(np.array([3]), np.array([30]))[0] == pytest.approx(far)
    assert target.changes_of_face()[3, 30] == pytest.approx(far, rel=1e-3)
    part = target.changes_of_face(slice(0, 10), slice(25, 40))
    assert part.shape == (10, 15)
    assert part[3, 5] == pytest.approx(far, rel=1e-3)


def test_segments_have_bounds() -> None:
    target = similarity(round_way(30), segment=np.repeat([0, 1], [12, 18]))
    assert target.bounds == [(0, 12), (12, 30)]


def test_thumbnails_leave_the_mouth_out() -> None:
    hidden = np.zeros((128, 128), bool)
    hidden[40:120, 20:108] = True
    mask = Mask(hidden, hidden.astype(np.uint8))
    image = np.full((240, 320, 3), 90, np.uint8)
    image[:, 160:] = 0
    transform = SurfaceWarp.of(
        Similarity.of(scale=1.0, shift=(-100.0, -60.0))
    )  # the crop starts at (100, 60)
    small = thumbnail(image, transform, mask, (80, 40, 280, 240))
    assert small.shape == (2, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    assert (small[0, :15, :20] == 90).all()
    assert (small[0, :15, 26:] == 1).all()  # black is not what is left out
    across, down = 320 / THUMBNAIL_SIDE, 240 / THUMBNAIL_SIDE
    left, right = int(120 / across), int(np.ceil(208 / across))
    top, bottom = int(100 / down), int(np.ceil(180 / down))
    assert (small[0, top:bottom, left:right] == 0).all()
    assert (small[0] == 0).sum() <= (right - left + 2) * (bottom - top + 2)
    assert (small[1] == 0).mean() > (small[0] == 0).mean()


def test_the_heads_window_has_every_face_and_stays_in_the_frame() -> None:
    near, far = talking(10), talking(10, shift=(250.0, 120.0))
    left, top, right, bottom = head_window([near, far], (320, 240))
    assert (left, top) >= (0, 0)
    assert right == 320
    assert bottom <= 240
    assert left < near[..., 0].min()
