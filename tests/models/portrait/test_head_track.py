from __future__ import annotations

import numpy as np
import pytest

from faces import face_points, rotation
from newscaster.errors import FootageError
from newscaster.face.full_face_map import EYES
from newscaster.face.head_pose import Head
from newscaster.face.measures import eyes_open
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.models.portrait.head_track import resting_track

FPS = 25.0
SCALE = 60.0


def eyes(points: np.ndarray, closed: float) -> None:
    """Lids as rings around the corners, in place."""
    for ring in EYES:
        outer, inner = points[ring[0]], points[ring[8]]
        turn = np.arange(16) * np.pi / 8
        along = (1 - np.cos(turn)) / 2
        points[list(ring)] = outer + along[:, None] * (inner - outer)
        points[list(ring), 1] -= 0.06 * np.sin(turn) * (1 - closed)


def footage(count: int = 4, frames: int = 75, *, blinks: bool = True) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    clips = []
    for _ in range(count):
        clip = []
        base = rng.normal(size=3)
        for frame in range(frames):
            t = frame / FPS
            points = face_points(0.1 * max(0.0, np.sin(2 * np.pi * 3 * t)))
            away = abs(frame - 40)
            eyes(points, max(0.0, 1 - away / 4) if blinks else 0.0)
            turn = rotation(yaw=base[0] + 2 * np.sin(2 * t), pitch=base[1] + np.cos(3 * t), roll=base[2])
            clip.append(points @ turn.T * SCALE + [160 + 3 * np.sin(t), 120, 0])
        clips.append(np.array(clip, np.float32))
    return clips


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.fit(np.concatenate(footage()))


def test_the_end_matches_the_start_and_nothing_jumps(head: Head) -> None:
    track = resting_track(footage(), head, fps=FPS, seconds=8, seed=2)
    assert track.landmarks.shape == (200, 478, 3)
    still = eyes_open(track.landmarks) > 0.9 * np.median(eyes_open(track.landmarks))
    round_trip = np.concatenate([track.landmarks, track.landmarks[:1]])[..., :2]
    steps = np.abs(np.diff(round_trip, axis=0)).max(axis=(1, 2))
    assert steps[-1] < 0.02 * SCALE
    assert steps[still].max() < 0.02 * SCALE


def test_lips_rest_and_eyes_blink(head: Head) -> None:
    track = resting_track(footage(), head, fps=FPS, seconds=8, seed=2)
    gap = opening(mouth_shapes(track.landmarks, head))
    assert gap.max() < 0.05
    assert gap.std() < 0.005
    fraction = eyes_open(track.landmarks) / np.median(eyes_open(track.landmarks))
    shut = np.flatnonzero((fraction[1:] < 0.5) & (fraction[:-1] >= 0.5))
    assert len(shut) == 2
    assert fraction.min() < 0.2


def test_the_head_moves_as_in_the_footage(head: Head) -> None:
    clips = footage()
    track = resting_track(clips, head, fps=FPS, seconds=12, seed=0)
    angles = track.poses.angles.std(axis=0)
    seen = np.mean([head.poses(clip).angles.std(axis=0) for clip in clips], axis=0)
    assert 0.4 * seen[0] < angles[0] < 1.8 * seen[0]
    assert angles[2] < 0.3  # the head does not tilt in this footage
    usual = np.mean([head.poses(clip).planes.mean(axis=0) for clip in clips], axis=0)
    assert np.abs(track.home - usual).max() < 0.1 * SCALE


def test_one_seed_one_track(head: Head) -> None:
    tracks = [resting_track(footage(), head, fps=FPS, seconds=4, seed=s).landmarks for s in (1, 1, 2)]
    assert np.array_equal(tracks[0], tracks[1])
    assert not np.allclose(tracks[0], tracks[2])


def test_footage_without_blinks_gives_a_track_with_blinks(head: Head) -> None:
    track = resting_track(footage(blinks=False), head, fps=FPS, seconds=8, seed=2)
    fraction = eyes_open(track.landmarks) / np.median(eyes_open(track.landmarks))
    assert fraction.min() < 0.3


def test_footage_without_a_face(head: Head) -> None:
    with pytest.raises(FootageError, match="no clip shows the face for half a second"):
        resting_track([np.full((50, 478, 3), np.nan, np.float32)], head, fps=FPS)
