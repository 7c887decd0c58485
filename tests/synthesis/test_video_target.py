"""A given video as a target: which frames cut the mouth off."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.face.crop import Mask
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.video_target import _cut_off

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
