from __future__ import annotations

import numpy as np
import pytest

from faces import face_points, rotation, seen, talking
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import (
    MouthBasis,
    closed_shape,
    is_moving,
    mouth_shapes,
    opening,
    place_mouth,
    with_level_lips,
)
from newscaster.face.topology import INNER_LIPS, INNER_RING, MOUTH, RING


def test_placing_undoes_measuring() -> None:
    landmarks = talking(30)
    head = Head(face_points())
    placed = place_mouth(mouth_shapes(landmarks, head), head, head.poses(landmarks))
    np.testing.assert_allclose(placed, landmarks[:, list(MOUTH), :2], atol=1e-3)


def test_shapes_are_free_of_the_pose() -> None:
    points = face_points(0.1)
    turns = [
        rotation(yaw=y, pitch=p, roll=r) for y, p, r in [(0, 0, 0), (18, 6, 10), (-20, -8, -15), (10, 12, 0)]
    ]
    landmarks = np.stack([seen(points, turn, scale=50 + 10 * i) for i, turn in enumerate(turns)])
    shapes = mouth_shapes(landmarks, Head(face_points()))
    # The opened jaw's depths are the closed one's: what is left of the pose is second order.
    assert np.abs(shapes - points[list(MOUTH), :2]).max() < 0.03


def gaps(shapes: np.ndarray) -> np.ndarray:
    """Vertical distances from the upper inner lip to the lower, (..., 9)."""
    inner = shapes[..., INNER_RING, 1]
    return inner[..., : RING // 2 : -1] - inner[..., 1 : RING // 2]


def test_closed_lips_meet_even_if_the_basis_cannot_close_them() -> None:
    basis = MouthBasis.fit(some_shapes(), size=3)
    shape = face_points(0.1)[list(MOUTH), :2]
    closed = closed_shape(shape, basis)
    assert gaps(shape).max() > 0.1
    assert gaps(closed).max() == pytest.approx(0, abs=1e-9)


def test_closed_lips_meet_when_the_head_tilts() -> None:
    """The lower lip of the open mouth lies deeper."""
    points = face_points(0.2)
    points[list(INNER_LIPS[RING // 2 + 1 :]), 2] += 0.1
    photo, tilted = (seen(points, rotation(pitch=pitch))[None] for pitch in (0, 15))
    head = Head.fit(photo)
    apart = []
    for fitted in (head, with_level_lips(head)):
        shape = mouth_shapes(photo, fitted)
        placed = place_mouth(shape, fitted, fitted.poses(photo))
        np.testing.assert_allclose(placed, photo[:, list(MOUTH), :2], atol=1e-6)
        closed = closed_shape(shape[0], MouthBasis.fit(some_shapes(), size=3))
        poses = fitted.poses(tilted)
        apart.append(np.abs(gaps(place_mouth(closed[None], fitted, poses))).max() / poses.scale[0])
    assert apart[0] > 0.015
    assert apart[1] == pytest.approx(0, abs=1e-9)


def test_a_mouth_moves_that_talks() -> None:
    talks = opening(mouth_shapes(talking(50), Head(face_points())))
    talks[7] = np.nan
    rests = np.random.default_rng(0).normal(0.02, 0.002, 50)
    rests[20] = 0.3  # one frame that was not found rightly
    assert is_moving(talks)
    assert not is_moving(rests)
    assert not is_moving(np.full(5, np.nan))


def test_opening_is_the_gap_between_the_lips() -> None:
    head = Head(face_points())
    gaps = [0.0, 0.05, 0.1, 0.2]
    landmarks = np.stack([seen(face_points(gap), np.eye(3)) for gap in gaps])
    found = opening(mouth_shapes(landmarks, head))
    np.testing.assert_allclose(np.diff(found), np.diff(gaps), rtol=0.1)


def test_shapes_of_absent_frames_are_nan() -> None:
    landmarks = talking(10)
    landmarks[3] = np.nan
    shapes = mouth_shapes(landmarks, Head(face_points()))
    assert np.isnan(shapes[3]).all()
    assert np.isfinite(np.delete(shapes, 3, axis=0)).all()


def some_shapes() -> np.ndarray:
    rng = np.random.default_rng(4)
    directions = rng.standard_normal((3, 57, 2))
    return face_points()[list(MOUTH), :2] + np.einsum(
        "fk,kpd->fpd", rng.standard_normal((200, 3)) * 0.02, directions
    )


def test_basis_round_trip() -> None:
    shapes = some_shapes()
    basis = MouthBasis.fit(shapes, size=3)
    np.testing.assert_allclose(basis.reconstruct(basis.project(shapes)), shapes, atol=1e-8)
    flat = basis.components.reshape(3, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(basis.project(shapes).std(axis=0), 1.0, rtol=1e-6)
    assert (np.diff(basis.stds) <= 0).all()


def test_basis_with_another_mean_keeps_its_directions() -> None:
    shapes = some_shapes()
    basis = MouthBasis.fit(shapes, size=3)
    other = basis.with_mean(basis.mean + 0.1)
    np.testing.assert_allclose(other.project(shapes + 0.1), basis.project(shapes), atol=1e-9)


def test_basis_is_stored_and_comes_back() -> None:
    basis = MouthBasis.fit(some_shapes(), size=5)
    back = MouthBasis.from_arrays(basis.to_arrays())
    assert back.size == 5
    np.testing.assert_allclose(back.components, basis.components, atol=1e-6)
    with pytest.raises(ValueError, match="components"):
        MouthBasis(basis.mean, basis.components[:4], basis.stds)
