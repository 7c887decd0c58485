from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faces import face_points, rotation, seen, talking
from footage import HEIGHT, WIDTH
from newscaster.face.crop import Mask
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.dataset import Clip, ClipRecord
from newscaster.formats.dataset_writer import (
    write_blend_weights,
    write_track,
    write_transforms,
    writing_crops,
)
from newscaster.media import write_video
from newscaster.prepare.segments import choose_segments

HEAD, FPS, FRAMES = Head(face_points()), 25, 75


def mask() -> Mask:
    hidden = np.zeros((128, 128), bool)
    hidden[40:120, 20:108] = True
    return Mask(hidden, np.where(hidden, 255, 0).astype(np.uint8))


def resting(phase: float, *, at: tuple[float, float] = (160.0, 120.0), frames: int = FRAMES) -> np.ndarray:
    """A head that circles slowly: clips of all phases meet."""
    time = np.arange(frames) / FPS
    points = face_points(0.05)
    found = [
        seen(points, rotation(yaw=2 * np.sin(2 * t + phase)), shift=(at[0] + np.sin(2 * t + phase), at[1]))
        for t in time
    ]
    return np.array(found, np.float32)


def make_clip(folder: Path, landmarks: np.ndarray, *, light: int = 0) -> Clip:
    frames = len(landmarks)
    texture = np.random.default_rng(0).integers(60, 120, (HEIGHT, WIDTH, 3))
    image = np.clip(texture + light, 0, 255).astype(np.uint8)
    written = write_video(
        folder.with_suffix(".mp4"), (image for _ in range(frames)), fps=Fraction(FPS), audio=None
    )
    assert written == frames
    record = ClipRecord(
        str(folder.with_suffix(".mp4")), 1, 1, 0, None, Fraction(FPS), (WIDTH, HEIGHT), None, 0, 1
    )
    record = write_track(
        folder,
        record,
        landmarks=landmarks,
        present=np.ones(frames, bool),
        speech=np.zeros(frames * 640, np.float32),
    )
    with writing_crops(folder, frames=frames, side=128) as crops:
        crops[:] = image[60:188, 100:228]
    moved = SurfaceWarp.of(Similarity(np.tile(np.array([[1.0, 0, -100], [0, 1.0, -60]]), (frames, 1, 1))))
    return Clip(folder, write_transforms(folder, record, moved, "x"))


@pytest.mark.slow
def test_short_clips_with_transitions_make_one_target(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"a{i}", resting(0.7 * i)) for i in range(5)]
    clips += [make_clip(tmp_path / "elsewhere", resting(0.0, at=(100.0, 90.0)))]
    clips += [make_clip(tmp_path / "dark", resting(1.0), light=-40)]
    chosen = choose_segments(clips, HEAD, mask())
    assert sorted(s.clip.name for s in chosen) == ["a0", "a1", "a2", "a3", "a4"]
    assert sum(s.frames for s in chosen) > 4 * 60


def test_a_long_segment_is_used_alone(tmp_path: Path) -> None:
    long = make_clip(tmp_path / "long", resting(0.0, frames=650))
    short = [make_clip(tmp_path / f"a{i}", resting(0.7 * i)) for i in range(3)]
    (chosen,) = choose_segments([*short, long], HEAD, mask())
    assert chosen.clip is long


def test_clips_that_nowhere_meet_stay_apart(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"a{i}", resting(0.0, at=(100.0 + 20 * i, 100.0))) for i in range(4)]
    assert len(choose_segments(clips, HEAD, mask())) == 1


@pytest.mark.parametrize("hidden", [True, False])
def test_frames_whose_mouth_is_not_free_are_avoided(tmp_path: Path, hidden: bool) -> None:
    clip = make_clip(tmp_path / "a", talking(300, moving=0.3))
    blend_weight = np.ones(300, np.float32)
    blend_weight[100:130] = 0 if hidden else 1
    write_blend_weights(clip.folder, blend_weight)
    (chosen,) = choose_segments([Clip(clip.folder, clip.record)], HEAD, mask())
    assert (chosen.start >= 130) is hidden
    assert (chosen.frames > 250) is not hidden
