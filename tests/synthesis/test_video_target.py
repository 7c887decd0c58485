"""A given video as a target: which frames cut the mouth off, and where mouths lie."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.face.crop import FaceCrop, Mask
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import place_mouth
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import JAW, JAW_LINE, RING, STABLE
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.video_target import VideoTarget, _cut_off
from tiny_anchor import head, tiny_face

SIDE, FRAMES = 64, 700
TRACK = VideoTrack(
    path=Path("a.mp4"),
    sha256="0" * 64,
    fps=Fraction(25),
    size=(320, 240),
    landmarks=np.zeros((FRAMES, 478, 3), np.float32),
    present=np.ones(FRAMES, np.bool_),
    covered=np.zeros(FRAMES, np.bool_),
    face=0,
)


def person() -> Head:
    """A head whose pose can be measured."""
    points = head().points.copy()
    stable = [number for number in STABLE if not points[number].any()]
    points[stable] = np.random.default_rng(5).uniform(-0.4, 0.4, (len(stable), 3))
    return Head(points)


@pytest.mark.parametrize("bent", [0.0, 0.002])
def test_mouths_that_the_edge_cuts_off_are_found_as_if_every_pixel_was_looked_at(bent: float) -> None:
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    hidden = np.hypot((columns - 30) / 24, (rows - 36) / 20) < 1
    turns = rng.uniform(-0.6, 0.6, FRAMES)
    matrix = np.empty((FRAMES, 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = np.cos(turns)
    matrix[:, 0, 1], matrix[:, 1, 0] = -np.sin(turns), np.sin(turns)
    centre = np.stack([rng.uniform(-20, 340, FRAMES), rng.uniform(-20, 260, FRAMES)], axis=1)
    matrix[:, :, 2] = SIDE / 2 - np.einsum("fij,fj->fi", matrix[:, :, :2], centre)
    warps = SurfaceWarp(matrix, np.tile([bent, bent / 2], (FRAMES, 1)), SIDE / 2)
    found = _cut_off(warps, Mask(hidden, np.where(hidden, 255, 0).astype(np.uint8)), TRACK)
    y, x = np.nonzero(hidden[::4, ::4])
    places = warps.back((np.stack([x, y], axis=1) * 4.0 + 2.0)[None])
    outside = ((places < 0) | (places >= TRACK.size)).any(axis=-1).mean(axis=1)
    assert np.array_equal(found, outside > 0.02)
    assert 0.1 < found.mean() < 0.9


def test_the_jaw_meets_that_of_the_frame_and_follows_speech_at_the_chin() -> None:
    """Above the mask the frame's own jaw goes on, wherever the new mouth has its."""
    frames, size, wider = 12, (320, 240), 6.0
    crop = FaceCrop(128, 1.8)
    face = tiny_face(frames=frames, size=size, crop=crop, scale=60.0, person=person())
    landmarks = face.landmarks.copy()
    middle = landmarks[:, list(JAW), 0].mean(axis=1, keepdims=True)
    landmarks[:, list(JAW), 0] += wider * np.sign(landmarks[:, list(JAW), 0] - middle)
    landmarks[6] = np.nan
    track = VideoTrack(
        path=Path("a.mp4"),
        sha256="0" * 64,
        fps=Fraction(25),
        size=size,
        landmarks=landmarks,
        present=np.isfinite(landmarks).all(axis=(1, 2)),
        covered=np.zeros(frames, np.bool_),
        face=0,
        cuts=(4,),
    )
    target = VideoTarget.of(track, face, crop)
    indices = np.array([2, 6, 8])
    shapes = face.basis.reconstruct(np.array([[1.0], [1.0], [-1.0]]) * np.eye(face.basis.size)[:1])
    placed = target.place(shapes, indices)
    alone = place_mouth(shapes, face.head, target.poses[indices])
    assert np.array_equal(placed[:, : 2 * RING], alone[:, : 2 * RING]), "lips follow speech alone"
    assert np.array_equal(placed[1], alone[1]), "no face is seen there"
    seen = landmarks[indices][:, list(JAW), :2]
    jaw, chin = placed[:, JAW_LINE], len(JAW) // 2
    for row in (0, 2):
        moved = np.abs(jaw[row] - alone[row, JAW_LINE]).max(axis=1)
        assert np.abs(jaw[row, [0, -1]] - seen[row, [0, -1]]).max() < 1.5
        assert moved[[0, -1]].min() > 0.8 * wider
        assert moved[chin] < 1e-6 < moved[chin - 1] < moved[chin // 2]


def test_the_reason_is_that_of_each_frame() -> None:
    frames, size, crop = 50, (320, 240), FaceCrop(128, 1.8)
    face = tiny_face(frames=frames, size=size, crop=crop, scale=60.0, person=person())
    covered = np.isin(np.arange(frames), (20, 21))
    track = VideoTrack(
        path=Path("a.mp4"),
        sha256="0" * 64,
        fps=Fraction(25),
        size=size,
        landmarks=face.landmarks,
        present=np.ones(frames, np.bool_),
        covered=covered,
        face=0,
    )
    target = VideoTarget.of(track, face, crop)
    reasons = target.reasons()
    assert (reasons[covered] == "something is before the mouth").all()
    beside = reasons == "beside frames that keep theirs"
    assert beside[[19, 22]].all()
    assert (beside | covered | (reasons == "")).all(), "no part was given"
    part = target.within(0.0, 1.6)
    assert (part.weights[:10] == 1).all()
    assert part.weights[39] > 0
    assert (part.reasons()[40:] == "outside the part").all()
    assert np.array_equal(part.reasons()[:40], reasons[:40])
    later = target.within(1.2, 2.0)
    assert (later.reasons()[:20] == "outside the part").all()
    assert later.weights[-1] == 1
    assert 0 < later.weights[30] < later.weights[31] < 1
