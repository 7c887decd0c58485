from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faces import face_points, talking
from newscaster.errors import FootageError
from newscaster.face.crop import FaceCrop, Mask
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.dataset import Clip, ClipRecord
from newscaster.formats.dataset_writer import write_track, write_transforms, writing_crops
from newscaster.prepare.target import choose_segment, eyes_open, longest_seconds, speed_of

HEAD, CROP = Head(face_points()), FaceCrop(128, 2.0)
FPS = 25


def mask() -> Mask:
    hidden = np.zeros((128, 128), bool)
    hidden[40:120, 20:108] = True
    return Mask(hidden, np.where(hidden, 255, 0).astype(np.uint8))


def make_clip(
    folder: Path,
    landmarks: np.ndarray,
    *,
    present: np.ndarray | None = None,
    bright: np.ndarray | None = None,
    size: tuple[int, int] = (320, 240),
) -> Clip:
    """A clip on disk; `bright` (F,) lights the whole crop."""
    frames = len(landmarks)
    present = np.ones(frames, bool) if present is None else present
    record = ClipRecord("/f.mp4", 1, 1, 0, None, Fraction(FPS), size, None, 0, 1)
    speech = np.zeros(frames * 640, np.float32)
    record = write_track(
        folder, record, landmarks=landmarks.astype(np.float32), present=present, speech=speech
    )
    texture = np.random.default_rng(0).integers(60, 120, (128, 128, 3))
    with writing_crops(folder, frames=frames, side=128) as crops:
        for i in range(frames):
            crops[i] = texture if bright is None else np.clip(texture + bright[i], 0, 255)
    transforms = SurfaceWarp.of(Similarity(np.tile(np.eye(2, 3), (frames, 1, 1))))
    return Clip(folder, write_transforms(folder, record, transforms, "x"))


def test_the_calm_clip_is_taken(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / f"{m}", talking(150, moving=m)) for m in (4.0, 0.3, 2.0)]
    chosen = choose_segment(clips, HEAD, mask())
    assert chosen.clip is clips[1]
    assert chosen.frames > 100


def test_at_most_40_seconds_and_less_for_large_frames(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "a", talking(1200, moving=0.2))
    assert 30 * FPS < choose_segment([small], HEAD, mask()).frames <= 40 * FPS
    large = make_clip(tmp_path / "b", talking(500, moving=0.2), size=(3840, 2160))
    assert 9 * FPS < choose_segment([large], HEAD, mask()).frames <= 12 * FPS
    assert longest_seconds(make_clip(tmp_path / "c", talking(3), size=(1920, 1080))) == pytest.approx(
        17.8, abs=0.1
    )


def test_the_face_is_there_all_along(tmp_path: Path) -> None:
    landmarks, present = talking(300, moving=0.3), np.ones(300, bool)
    present[[60, 200]] = False
    landmarks[~present] = np.nan
    chosen = choose_segment([make_clip(tmp_path / "a", landmarks, present=present)], HEAD, mask())
    assert present[chosen.start : chosen.stop].all()
    assert chosen.start > 60
    assert chosen.stop <= 200


def test_something_before_the_mouth_is_avoided(tmp_path: Path) -> None:
    hand = np.where((np.arange(200) > 20) & (np.arange(200) < 190), 110, 0)
    hidden = make_clip(tmp_path / "hidden", talking(200, moving=0.2), bright=hand)
    free = [make_clip(tmp_path / f"free{i}", talking(200, moving=0.4)) for i in range(2)]
    assert choose_segment([hidden, *free], HEAD, mask()).clip in free


def test_a_blink_is_not_where_the_video_turns_round(tmp_path: Path) -> None:
    landmarks = talking(250, moving=0.2)
    for lid, other in ((159, 145), (386, 374)):
        landmarks[:8, lid] = landmarks[:8, other] = (landmarks[:8, lid] + landmarks[:8, other]) / 2
    opened = eyes_open(landmarks)
    assert opened[:8].max() < 0.5 * opened[8:].min()
    chosen = choose_segment([make_clip(tmp_path / "a", landmarks)], HEAD, mask())
    assert opened[chosen.start] > 0.2
    assert opened[chosen.stop - 1] > 0.2


def test_no_segment_is_long_enough(tmp_path: Path) -> None:
    present = np.arange(100) % 10 > 0
    landmarks = talking(100)
    landmarks[~present] = np.nan
    with pytest.raises(FootageError, match="1 s without a break"):
        choose_segment([make_clip(tmp_path / "a", landmarks, present=present)], HEAD, mask())


def test_speed_counts_moving_and_turning() -> None:
    still = HEAD.poses(np.stack([talking(1)[0]] * 10))
    np.testing.assert_allclose(speed_of(still, FPS), 0, atol=1e-6)
    shifted = np.stack([talking(1)[0] + [3.0 * i, 0, 0] for i in range(10)])
    np.testing.assert_allclose(speed_of(HEAD.poses(shifted), FPS), 3.0 / 60 * FPS, rtol=0.03)
