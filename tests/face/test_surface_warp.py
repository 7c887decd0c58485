"""Surface warps: the inverse, against an explicitly rotated head and a per-pixel lookup of images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from faces import face_points, poses_of, rotation
from newscaster.face.crop import FaceCrop, cut_crop
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import Surface, SurfaceWarp, resample, sampling_grid, warped

SURFACE = Surface(-0.5, 0.3, 1.2)
CROP = FaceCrop(128, 2.0, SURFACE)
TURNS = [(0.0, 0.0, 0.0), (18.0, 0.0, 5.0), (-15.0, 8.0, -12.0), (4.0, -10.0, 25.0)]


def poses(turns: list[tuple[float, float, float]] = TURNS):
    turned = [rotation(yaw=yaw, pitch=pitch, roll=roll) for yaw, pitch, roll in turns]
    return poses_of(turned, scale=70, shift=(160, 90))


def bent(number: int = 1) -> SurfaceWarp:
    return CROP.transforms(Head(face_points()), poses())[number]


def grid(side: int = 128, step: int = 8) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(0, side + 1, step), np.arange(0, side + 1, step)), -1).reshape(
        -1, 2
    )


def test_a_point_of_the_surface_is_where_the_head_says() -> None:
    head, stood = Head(face_points()), poses()
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 7), np.linspace(0.4, 1.4, 6))
    depth = SURFACE.near + SURFACE.down * y + SURFACE.across * x**2
    seen = stood.project(np.stack([x, y, depth], axis=-1).reshape(-1, 3))
    found = CROP.transforms(head, stood).apply(seen)
    wanted = CROP.from_head.apply(np.stack([x, y], axis=-1).reshape(-1, 2))
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=1e-6)


def test_there_and_back() -> None:
    transforms = CROP.transforms(Head(face_points()), poses())
    points = np.broadcast_to(grid().astype(float), (len(transforms), len(grid()), 2))
    np.testing.assert_allclose(transforms.apply(transforms.back(points)), points, atol=1e-6)


def test_however_far_a_head_turns_columns_keep_their_order() -> None:
    far = poses([(yaw, 0.0, 0.0) for yaw in (-60.0, -40.0, 40.0, 60.0)])
    across = np.stack([np.arange(129.0), np.full(129, 64.0)], axis=1)
    seen = CROP.transforms(Head(face_points()), far).back(np.broadcast_to(across, (4, 129, 2)))
    assert (np.diff(seen[..., 0], axis=1) > 0).all()


def test_points_beyond_the_surface_lie_outside_the_crop() -> None:
    far = CROP.transforms(Head(face_points()), poses([(50.0, 0.0, 0.0)]))[0]
    edge = far.back(np.array([[0.0, 64.0], [128.0, 64.0]]))
    beyond = np.array([edge[0] - [300.0, 0.0], edge[1] + [300.0, 0.0]])
    inside = far.apply(beyond)[:, 0]
    assert inside[0] < 0
    assert inside[1] > 128


def test_parts_and_margins_are_the_same_place() -> None:
    whole = bent()
    points = grid().astype(float)
    np.testing.assert_allclose(whole.from_corner(30, 20).apply(points - [30, 20]), whole.apply(points))
    step = whole.moved(3, -5).apply(points) - whole.apply(points)
    np.testing.assert_allclose(step, np.broadcast_to([3, -5], points.shape), atol=1e-9)
    half = Similarity.of(scale=0.5, shift=(7.0, -2.0))
    np.testing.assert_allclose(whole.after(half).apply(points), whole.apply(half.apply(points)))


@pytest.mark.parametrize("crop", [CROP, FaceCrop(128, 2.0)])
def test_storing_keeps_all_of_it(crop: FaceCrop) -> None:
    transforms = crop.transforms(Head(face_points()), poses())
    stored = transforms.to_array()
    assert stored.shape == (len(TURNS), 2, 3 if crop.surface is None else 4)
    again = SurfaceWarp.from_array(stored, crop.side)
    np.testing.assert_array_equal(again.apply(grid()[None]), transforms.apply(grid()[None]))
    assert FaceCrop.from_json(crop.to_json()) == crop


def test_a_surface_that_happens_to_be_flat_is_stored_as_a_surface() -> None:
    crop = FaceCrop(128, 2.0, Surface(0.1, 0.2, 0.0))
    stored = crop.transforms(Head(face_points()), poses()).to_array()
    assert stored.shape == (len(TURNS), 2, 4)
    assert not stored[..., 3].any()
    assert np.array_equal(SurfaceWarp.from_array(stored, crop.side).to_array(), stored)


def test_odd_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"matrix .* and a bend"):
        SurfaceWarp(np.zeros((3, 2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="surface"):
        FaceCrop(128, 2.0, Surface(0.0, float("nan"), 1.0))


def looked_up(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the image's values (n,) at points, by linear interpolation, pixel by pixel."""
    x, y = (points - 0.5).T
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = x - column, y - row
    above = image[row, column] * (1 - right) + image[row, column + 1] * right
    below = image[row + 1, column] * (1 - right) + image[row + 1, column + 1] * right
    return above * (1 - down) + below * down


def soft_image(width: int = 400, height: int = 320) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (120 + 60 * np.sin(x / 13) + 60 * np.cos(y / 17 + x / 40)).astype(np.uint8)


@pytest.mark.parametrize("number", range(len(TURNS)))
def test_both_ways_look_up_what_the_formula_says(number: int) -> None:
    image, transform = soft_image(), bent(number)
    y, x = np.mgrid[:128, :128] + 0.5
    wanted = looked_up(image.astype(float), transform.back(np.stack([x.ravel(), y.ravel()], axis=1)))
    crop = warped(Image.fromarray(image), transform, 128)
    assert np.abs(crop.ravel() - wanted).max() < 4

    face = soft_image(128, 128)
    y, x = np.mgrid[:240, :320] + 0.5
    places = transform.apply(np.stack([x.ravel(), y.ravel()], axis=1))
    inside = ((places > 20) & (places < 108)).all(axis=1)
    put = resample(Image.fromarray(face), sampling_grid(transform, (320, 240)), (320, 240)).ravel()
    assert np.abs(put[inside] - looked_up(face.astype(float), places[inside])).max() < 4
    outside = ((places < -3) | (places > 131)).any(axis=1)
    assert not put[outside].any()


def rendered(yaw: float) -> np.ndarray:
    """Return an image (240, 320, 3) of dots on the surface, turned by ``yaw``."""
    stood = poses([(yaw, 0.0, 0.0)])
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(0.5, 1.3, 4))
    depth = SURFACE.near + SURFACE.down * y + SURFACE.across * x**2
    dots = stood.project(np.stack([x, y, depth], axis=-1).reshape(-1, 3))[0]
    rows, columns = np.mgrid[:240, :320] + 0.5
    near = np.hypot(columns[..., None] - dots[:, 0], rows[..., None] - dots[:, 1]).min(axis=-1)
    return np.repeat((255 * np.exp(-0.5 * (near / 2) ** 2))[..., None], 3, axis=-1).astype(np.uint8)


def test_a_turned_face_is_constant_in_a_curved_crop_but_not_in_a_flat_one() -> None:
    head, differences = Head(face_points()), {}
    for geometry in (CROP, FaceCrop(128, 2.0)):
        seen = []
        for yaw in (0.0, 18.0):
            transform = geometry.transforms(head, poses([(yaw, 0.0, 0.0)]))[0]
            seen.append(cut_crop(rendered(yaw), transform, 128).astype(float))
        differences[geometry.surface is None] = np.abs(seen[0] - seen[1]).mean()
    assert differences[False] < 0.4 * differences[True]


def test_the_surface_follows_the_face() -> None:
    head = Head(face_points())
    surface = Surface.of(head)
    low = head.points[head.points[:, 1] > 0.5]
    off = surface.near + surface.down * low[:, 1] + surface.across * low[:, 0] ** 2 - low[:, 2]
    assert np.sqrt((off**2).mean()) < 0.5 * low[:, 2].std()
    assert abs(off.mean()) < 1e-9


@pytest.mark.parametrize(("reach", "turned"), [(4.0, False), (12.0, True)])
def test_only_turning_heads_get_a_curved_crop(reach: float, turned: bool) -> None:
    stood = poses([(yaw, 0.0, 0.0) for yaw in np.linspace(-reach, reach, 60)])
    assert (Surface.where_turned(Head(face_points()), stood) is not None) == turned
