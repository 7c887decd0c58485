from __future__ import annotations

import numpy as np
import pytest

from faces import face_points, poses_of, rotation, seen
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head, Poses

ANGLES = [(0, 0, 0), (20, 0, 0), (-15, 10, 5), (5, -12, -20), (25, 15, 10), (-30, -5, 30)]


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    return rotation(yaw=yaw, pitch=pitch, roll=roll)


def test_poses_recover_known_rotations() -> None:
    points = face_points()
    turns = [turned(*angles) for angles in ANGLES]
    landmarks = np.stack([seen(points, turn, scale=70, shift=(150, 110)) for turn in turns])
    found = Head(points).poses(landmarks[:, :, :2])  # no depths are needed
    wanted = poses_of(turns, scale=70, shift=(150, 110))
    np.testing.assert_allclose(found.matrix, wanted.matrix, atol=0.05 * 70)
    np.testing.assert_allclose(found.scale, 70, rtol=0.01)
    np.testing.assert_allclose(found.angles, wanted.angles, atol=1.5)


def test_angles_have_their_names() -> None:
    poses = poses_of([turned(20, 0, 0), turned(0, 10, 0), turned(0, 0, -25)])
    np.testing.assert_allclose(poses.angles, [[20, 0, 0], [0, 10, 0], [0, 0, -25]], atol=1e-6)


def test_fit_finds_the_shape_up_to_its_pitch() -> None:
    points = face_points()
    landmarks = np.stack([seen(points, turned(*a)) for a in ANGLES])
    head = Head.fit(landmarks)
    np.testing.assert_allclose(head.points[33], [-0.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(head.points[263], [0.5, 0, 0], atol=1e-9)
    between = np.linalg.norm(head.points[:, None] - head.points[None], axis=-1)
    wanted = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(between, wanted, atol=1e-6)


def test_unprojecting_removes_yaw_and_pitch() -> None:
    points, head = face_points(), Head(face_points())
    landmarks = np.stack([seen(points, turned(*a)) for a in ANGLES])
    flat = head.poses(landmarks).unproject(landmarks[:, :, :2], points[:, 2])
    np.testing.assert_allclose(flat, np.broadcast_to(points[:, :2], flat.shape), atol=0.02)


def test_project_and_unproject_are_inverse() -> None:
    points = face_points()
    poses = poses_of([turned(*a) for a in ANGLES])
    back = poses.unproject(poses.project(points), points[:, 2])
    np.testing.assert_allclose(back, np.broadcast_to(points[:, :2], back.shape), atol=1e-9)


def test_upright_keeps_its_centre_and_removes_roll_and_scale() -> None:
    poses = poses_of([turned(*a) for a in ANGLES])
    centre, to = np.array([0.0, 0.9, -0.2]), Similarity.of(scale=65.0, shift=(64.0, 5.5))
    upright = poses.upright(centre, to=to)
    landed = upright.apply(poses.project(centre[None]))
    np.testing.assert_allclose(landed, np.broadcast_to(to.apply(centre[None, :2]), landed.shape), atol=1e-9)
    rolled = poses_of([turned(0, 0, r) for r in (-40, 0, 25)]).upright(centre, to=to)
    eyes = rolled.apply(poses_of([turned(0, 0, r) for r in (-40, 0, 25)]).project(face_points()[[33, 263]]))
    np.testing.assert_allclose(eyes[:, 0, 1], eyes[:, 1, 1], atol=1e-9)
    np.testing.assert_allclose(eyes[:, 1, 0] - eyes[:, 0, 0], 65.0, atol=1e-9)


def test_frames_without_a_face_have_no_pose() -> None:
    landmarks = np.stack([seen(face_points(), turned(0, 0, 0))] * 12)
    landmarks[4:6] = np.nan
    present = np.isfinite(landmarks[:, 0, 0])
    for sigma in (0.0, 1.5):
        poses = Head(face_points()).poses(landmarks, present, sigma_frames=sigma)
        np.testing.assert_array_equal(np.isfinite(poses.shift[:, 0]), present)
        np.testing.assert_array_equal(np.isfinite(poses.matrix).all(axis=(1, 2)), present)


def test_smoothed_poses_are_steadier() -> None:
    rng = np.random.default_rng(0)
    still = np.stack([seen(face_points(), turned(5, 0, 0))] * 100)
    still[..., :2] += rng.normal(0, 0.5, still[..., :2].shape)
    head = Head(face_points())
    rough, calm = (head.poses(still, sigma_frames=s).shift.std(axis=0) for s in (0.0, 1.5))
    assert (calm < 0.6 * rough).all()


def test_head_is_stored_and_comes_back() -> None:
    head = Head(face_points())
    np.testing.assert_allclose(Head.from_arrays(head.to_arrays()).points, head.points, atol=1e-6)
    with pytest.raises(KeyError):
        Head.from_arrays({})


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="478"):
        Head(np.zeros((468, 3)))
    with pytest.raises(ValueError, match="poses"):
        Poses(np.zeros((2, 2, 3)), np.zeros((3, 2)))
