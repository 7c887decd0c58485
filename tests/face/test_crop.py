from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from faces import face_points, poses_of, rotation, talking
from newscaster.face.crop import (
    SIDES,
    FaceCrop,
    as_image,
    cut_crop,
    cut_small,
    lower_face_mask,
    paste,
    place,
    reduced,
    shrink_factor,
)
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import SurfaceWarp, resample, sampling_grid
from newscaster.face.topology import MOUTH


def made_up(height: int = 90, width: int = 120) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [120 + 80 * np.sin(x / 9 + k) * np.cos(y / 11 - k) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def rotated(
    degrees: float, scale: float, centre: tuple[float, float], side: int, *, bent: bool = False
) -> SurfaceWarp:
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    shift = np.full(2, side / 2) - linear @ np.array(centre)
    bend = np.array([0.5, -0.2]) / side if bent else np.zeros(2)
    return SurfaceWarp(np.column_stack([linear, shift]), bend, side / 2)


def moved(right: float, down: float) -> SurfaceWarp:
    return SurfaceWarp.of(Similarity.of(scale=1.0, shift=(right, down)))


@pytest.mark.parametrize(
    ("eyes", "side"),
    [(30, 128), (65, 128), (83, 128), (90, 256), (160, 256), (170, 512), (334, 512), (336, 768), (900, 768)],
)
def test_side_follows_the_face(eyes: float, side: int) -> None:
    crop = FaceCrop.for_face(eyes)
    assert crop.side == side
    assert 1.7 <= crop.extent <= 2.2
    if side < SIDES[-1]:
        assert crop.pixels_per_unit >= 0.9 * eyes


def test_crop_refuses_odd_sizes() -> None:
    with pytest.raises(ValueError, match="side"):
        FaceCrop(100, 2.0)
    with pytest.raises(ValueError, match="extent"):
        FaceCrop(128, 9.0)


def test_transforms_put_the_same_part_of_the_head_into_the_square() -> None:
    head, crop = Head(face_points()), FaceCrop(128, 2.0)
    poses = poses_of(
        [rotation(yaw=y, roll=r) for y, r in [(0, 0), (12, 20), (-12, -30)]], scale=75, shift=(200, 80)
    )
    points = crop.transforms(head, poses).apply(poses.project(head.points[list(MOUTH)]))
    lips = points[:, :40].mean(axis=1)
    np.testing.assert_allclose(lips, np.broadcast_to(lips[0], lips.shape), atol=2.5)
    linear = crop.transforms(head, poses).matrix[:, :, :2]
    np.testing.assert_allclose(np.linalg.norm(linear, axis=2) * 75, crop.pixels_per_unit)


def test_crop_by_whole_pixels_is_exact() -> None:
    image = made_up()
    cut = cut_crop(image, moved(-20.0, -10.0), 64)
    np.testing.assert_array_equal(cut, image[10:74, 20:84])


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize(("degrees", "scale", "factor"), [(0, 1.0, 2), (7, 0.45, 4), (-20, 1.3, 1)])
def test_a_small_crop_is_the_mean_of_the_large_one(
    degrees: float, scale: float, factor: int, bent: bool
) -> None:
    y, x = np.mgrid[:180, :240]
    waves = [128 + 60 * np.sin(x / a) * np.cos(y / b) for a, b in ((17, 13), (23, 11), (14, 19))]
    image = np.stack(waves, axis=-1).astype(np.uint8)
    transform = rotated(degrees, scale, (120.3, 90.7), 64, bent=bent)
    assert shrink_factor(transform, side=64, small_side=32) == factor
    shrunken = reduced_image(image, factor)
    small = cut_small(shrunken, transform, side=64, small_side=32, factor=factor)
    difference = np.abs(small.astype(int) - reduced(cut_crop(image, transform, 64), 32))
    assert difference[2:-2, 2:-2].mean() < 1
    assert difference[2:-2, 2:-2].max() <= 8


def reduced_image(image: np.ndarray, factor: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).reduce(factor))


def test_large_masks_are_placed_as_small_ones() -> None:
    y, x = np.mgrid[:256, :256] + 0.5
    mask = np.clip(255 - 6 * (np.hypot(x - 128, y - 150) - 50), 0, 255).astype(np.uint8)
    transform = rotated(9, 1.1, (150.3, 145.7), 256, bent=True)
    placed = place(mask, transform, size=(320, 300))
    assert placed is not None
    grid = sampling_grid(placed.onto_crop, placed.box.size)
    exact = resample(
        as_image(mask[placed.used.rows, placed.used.columns]), grid, placed.box.size, smooth=False
    )
    difference = np.abs(placed.soft.astype(int) - exact)
    assert difference.mean() < 0.5
    assert difference.max() <= 8
    assert not placed.soft[_far_from(exact)].any()


def _far_from(values: np.ndarray) -> np.ndarray:
    """Return the pixels without a value other than 0 within two pixels."""
    near = Image.fromarray((values > 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(5))
    return np.asarray(near) == 0


def test_crop_outside_the_frame_is_black() -> None:
    cut = cut_crop(made_up(), moved(200.0, 0.0), 64)
    assert not cut.any()


def test_crop_accepts_non_contiguous_frames() -> None:
    image, transform = made_up(), rotated(10, 0.9, (60, 45), 64)
    wide = np.zeros((90, 140, 3), np.uint8)
    wide[:, :120] = image
    np.testing.assert_array_equal(cut_crop(wide[:, :120], transform, 64), cut_crop(image, transform, 64))


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (7, 1.1), (-20, 0.9)])
def test_pasting_a_crop_back_changes_nothing_to_speak_of(degrees: float, scale: float, bent: bool) -> None:
    image, transform = made_up(), rotated(degrees, scale, (60.3, 45.7), 64, bent=bent)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    out = image.copy()
    paste(out, cut_crop(image, transform, 64), mask, transform)
    assert np.abs(out.astype(int) - image).max() <= 6
    assert np.abs(out.astype(int) - image).mean() < 0.5


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 13.0, -28.0])
def test_nothing_outside_the_mask_changes(degrees: float, bent: bool) -> None:
    image, transform = made_up(), rotated(degrees, 0.8, (60.3, 45.7), 64, bent=bent)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 24:44] = 255
    out = image.copy()
    paste(out, np.full((64, 64, 3), 255, np.uint8), mask, transform)
    corners = np.array([[24, 20], [44, 20], [44, 40], [24, 40]], np.float64)
    y, x = np.mgrid[:90, :120]
    inside = transform.apply(np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1)).reshape(90, 120, 2)
    near = ((inside > corners.min(axis=0) - 1) & (inside < corners.max(axis=0) + 1)).all(axis=-1)
    np.testing.assert_array_equal(out[~near], image[~near])
    deep = ((inside > corners.min(axis=0) + 1) & (inside < corners.max(axis=0) - 1)).all(axis=-1)
    assert (out[deep] == 255).all()


@pytest.mark.parametrize("centre", [(2.0, 3.0), (118.0, 88.0), (-500.0, 0.0)])
def test_pasting_at_and_beyond_the_border(centre: tuple[float, float]) -> None:
    image, transform = made_up(), rotated(5, 1.0, centre, 64, bent=True)
    out = image.copy()
    paste(out, np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 255, np.uint8), transform)
    assert out.shape == image.shape


def test_an_empty_mask_pastes_nothing() -> None:
    image = made_up()
    out = image.copy()
    paste(out, np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8), rotated(0, 1, (50, 40), 64))
    np.testing.assert_array_equal(out, image)


def test_mask_covers_all_mouths_and_fades_inside_the_hidden_part() -> None:
    head, crop = Head(face_points()), FaceCrop(128, 2.0)
    landmarks = talking(40)
    transforms = crop.transforms(head, head.poses(landmarks))
    points = transforms.apply(landmarks[:, list(MOUTH), :2])
    mask = lower_face_mask(points, crop)
    assert mask.hidden.shape == mask.soft.shape == (128, 128)
    assert not mask.soft[~mask.hidden].any()
    below_the_ears = np.delete(points, [40, 41, 55, 56], axis=1)
    for x, y in np.floor(below_the_ears.reshape(-1, 2)).astype(int):
        assert not (0 <= x < 128 and 0 <= y < 128) or mask.hidden[y, x]
    lips = points[:, :40].reshape(-1, 2).astype(int)
    assert (mask.soft[lips[:, 1], lips[:, 0]] == 255).all()
    eyes = transforms.apply(landmarks[:, [33, 263, 6], :2]).reshape(-1, 2).astype(int)
    inside = ((eyes >= 0) & (eyes < 128)).all(axis=1)
    assert not mask.hidden[eyes[inside, 1], eyes[inside, 0]].any()
    edge = mask.soft[mask.hidden & (mask.soft < 255)]
    assert len(np.unique(edge)) > 5
