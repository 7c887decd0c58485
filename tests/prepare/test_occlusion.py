"""Frames whose mouth is not free, on drawn crops: a talking mouth, and occluders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from faces import face_points, poses_of, rotation, talking
from newscaster.face.crop import FaceCrop, Mask
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
from newscaster.prepare.occlusion import (
    FADE_SECONDS,
    Usual,
    blend_weights,
    cut_off,
    faded,
    hidden_mouths,
    small_components,
    turned_away,
)

HEAD, CROP, FPS, SIDE = Head(face_points()), FaceCrop(128, 2.0), 25, 128


def mask() -> Mask:
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[40:120, 20:108] = True
    return Mask(hidden, np.where(hidden, 255, 0).astype(np.uint8))


def crop(frame: int, obstacle: str | None = None) -> np.ndarray:
    """Skin, lips that open and close, a shadow that wanders, grain; and an obstacle."""
    canvas = Image.new("RGB", (SIDE, SIDE), (205, 160, 140))
    draw = ImageDraw.Draw(canvas)
    gap = 7 * (1 + np.sin(frame * 0.9))
    sway = 3 * np.sin(frame * 0.05)
    draw.ellipse([10 + sway, 10, 118 + sway, 126], fill=(215, 170, 150))
    draw.ellipse([40 + sway, 66 - gap, 88 + sway, 84 + gap], fill=(170, 80, 80))
    draw.ellipse([46 + sway, 73 - gap / 1.5, 82 + sway, 77 + gap / 1.5], fill=(60, 25, 25))
    canvas = canvas.filter(ImageFilter.GaussianBlur(2))
    draw = ImageDraw.Draw(canvas)
    if obstacle == "microphone":
        draw.ellipse([46, 62, 86, 102], fill=(25, 25, 28))
        draw.rectangle([58, 90, 74, 128], fill=(30, 30, 33))
    if obstacle == "hand":
        draw.ellipse([30, 55, 100, 100], fill=(200, 150, 130))
    light = 1 + 0.02 * np.sin(frame * 0.11)
    noise = np.random.default_rng(frame).normal(0, 2.5, (SIDE, SIDE, 3))
    return np.clip(np.asarray(canvas) * light + noise, 0, 255).astype(np.uint8)


def make_clip(
    folder: Path,
    frames: int,
    *,
    obstacle: str = "microphone",
    hidden: range = range(0),
    transform: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    first: int = 0,
) -> Clip:
    record = ClipRecord("/f.mp4", 1, 1, 0, None, Fraction(FPS), (320, 240), None, 0, 1)
    landmarks = talking(frames) if landmarks is None else landmarks
    present = np.isfinite(landmarks).all(axis=(1, 2))
    speech = np.zeros(frames * 640, np.float32)
    record = write_track(
        folder, record, landmarks=landmarks.astype(np.float32), present=present, speech=speech
    )
    with writing_crops(folder, frames=frames, side=SIDE) as crops:
        for i in np.flatnonzero(present):
            crops[i] = crop(first + int(i), obstacle if i in hidden else None)
    moved = np.array([[1.0, 0, -100], [0, 1.0, -60]]) if transform is None else transform
    transforms = SurfaceWarp.of(Similarity(np.tile(moved, (frames, 1, 1))))
    return Clip(folder, write_transforms(folder, record, transforms, "x"))


@pytest.mark.slow
@pytest.mark.parametrize("obstacle", ["microphone", "hand"])
def test_what_comes_before_the_mouth_is_found_and_nothing_else(tmp_path: Path, obstacle: str) -> None:
    hidden = range(120, 150)
    clips = [
        make_clip(tmp_path / "a", 300, obstacle=obstacle, hidden=hidden),
        make_clip(tmp_path / "b", 200, first=1000),
    ]
    found = blend_weights(clips, [small_components(clip) for clip in clips], HEAD, mask())
    assert (found[1] == 1).all()
    blend_weight = found[0]
    assert (blend_weight[120:150] == 0).all()
    reach = round(FADE_SECONDS * FPS) + 3
    assert (blend_weight[: 120 - reach] == 1).all()
    assert (blend_weight[150 + reach :] == 1).all()


def test_without_the_first_look_the_obstacle_would_be_learnt(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a", 300, hidden=range(120, 150))
    small = small_components(clip)
    usual = Usual.of([small], mask())
    assert usual.oddness(small)[120:150].min() > 2.2
    cut = Usual.of([small[:120], small[120:150], small[150:]], mask())  # as if each were a clip of its own
    assert cut.oddness(small)[120:150].max() < 2.2


def test_a_slip_of_one_frame_is_no_obstacle() -> None:
    odd = np.full(50, 0.5)
    odd[10] = 3.0
    odd[20:24] = [1.6, 3.0, 2.0, 1.4]
    odd[40] = 9.0
    assert np.flatnonzero(hidden_mouths(odd, FPS)).tolist() == [20, 21, 22, 40]


def test_a_head_turned_away_or_as_never_seen() -> None:
    seen = poses_of([rotation(yaw=y, pitch=p) for y in (-10, 0, 10) for p in (-4, 4)]).angles
    stands = [rotation(yaw=y) for y in (0.0, 15.0, 25.0, 40.0)] + [rotation(pitch=25.0), rotation(roll=50.0)]
    assert turned_away(poses_of(stands), seen).tolist() == [False, False, True, True, True, True]


def test_a_mouth_cut_off_by_the_frames_edge(tmp_path: Path) -> None:
    inside = make_clip(tmp_path / "a", 3)
    beyond = make_clip(tmp_path / "b", 3, transform=np.array([[1.0, 0, -100], [0, 1.0, -140]]))
    assert not cut_off(inside, mask()).any()
    assert cut_off(beyond, mask()).all()


def test_the_new_mouth_fades_out_and_in() -> None:
    bad = np.zeros(60, bool)
    bad[30:33] = True
    blend_weight = faded(bad, FPS)
    assert (blend_weight[28:35] == 0).all()
    assert blend_weight[23] == blend_weight[39] == 1
    assert (np.diff(blend_weight[23:29]) < 0).all()
    assert (np.diff(blend_weight[34:40]) > 0).all()
    assert np.abs(np.diff(blend_weight)).max() < 0.4
    assert (faded(np.zeros(5, bool), FPS) == 1).all()


def test_frames_without_a_face_have_no_weight(tmp_path: Path) -> None:
    landmarks = talking(60)
    landmarks[20:23] = np.nan
    clip = make_clip(tmp_path / "a", 60, landmarks=landmarks)
    (blend_weight,) = blend_weights([clip], [small_components(clip)], HEAD, mask())
    assert (blend_weight[20:23] == 0).all()
    assert (np.delete(blend_weight, range(20, 23)) == 1).all()


def test_training_skips_them(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a", 30)
    assert clip.usable.all()  # no blend weights were written
    blend_weight = np.ones(30, np.float32)
    blend_weight[10:14] = [0.5, 0, 0, 0.5]
    write_blend_weights(clip.folder, blend_weight)
    clip = Clip(clip.folder, clip.record)
    assert np.flatnonzero(~clip.usable).tolist() == [10, 11, 12, 13]
    points = clip.learnable_points()
    assert np.flatnonzero(np.isnan(points).all(axis=(1, 2))).tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(points[:10], clip.mouth_points()[:10])
