from __future__ import annotations

import numpy as np
import pytest

from newscaster.matting.filters import (
    box_max,
    box_mean,
    cell_sums,
    enlarge,
    fuse,
    shrink,
    smooth_colors,
)


def random_plane(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width), np.float32)


def windows(values: np.ndarray, radius: int) -> list[list[np.ndarray]]:
    """The cut window around every pixel."""
    height, width = values.shape
    return [
        [
            values[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            for x in range(width)
        ]
        for y in range(height)
    ]


@pytest.mark.parametrize("radius", [0, 1, 3, 4, 9, 40])
@pytest.mark.parametrize("shape", [(7, 13), (16, 5), (1, 3)])
def test_box_mean_is_the_mean_of_the_cut_window(radius: int, shape: tuple[int, int]) -> None:
    values = random_plane(*shape)
    naive = [[part.mean() for part in row] for row in windows(values, radius)]
    np.testing.assert_allclose(box_mean(values, radius), naive, rtol=1e-5)


def test_box_mean_of_several_planes_is_that_of_each() -> None:
    values = np.stack([random_plane(12, 9, seed=s) for s in range(3)])
    for radius in (2, 5):
        together = box_mean(values, radius)
        for plane, alone in zip(values, together, strict=True):
            np.testing.assert_array_equal(box_mean(plane, radius), alone)


def test_box_max_is_the_maximum_of_the_cut_window() -> None:
    values = random_plane(11, 8)
    naive = [[part.max() for part in row] for row in windows(values, 2)]
    np.testing.assert_array_equal(box_max(values, 2), naive)


@pytest.mark.parametrize("shape", [(8, 12), (9, 13), (3, 2)])
def test_cell_sums_add_up_also_where_the_last_cell_is_cut(shape: tuple[int, int]) -> None:
    values = random_plane(*shape)[None]
    sums = cell_sums(values, 4)
    assert sums.shape == (1, -(-shape[0] // 4), -(-shape[1] // 4))
    assert sums[0, -1, -1] == pytest.approx(
        values[0, (shape[0] - 1) // 4 * 4 :, (shape[1] - 1) // 4 * 4 :].sum(), rel=1e-5
    )
    assert sums.sum() == pytest.approx(values.sum(), rel=1e-5)


@pytest.mark.parametrize(("size", "step"), [((37, 50), 4), ((64, 64), 2), ((33, 95), 6), ((3, 5), 4)])
def test_enlarging_is_bilinear_interpolation_between_centres(size: tuple[int, int], step: int) -> None:
    values = np.stack([random_plane(-(-size[0] // step), -(-size[1] // step), seed=s) for s in range(2)])
    large = enlarge(values, size, step=step)
    assert large.shape == (2, *size)
    for row, column in [(0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, size[1] // 3)]:
        np.testing.assert_allclose(
            large[:, row, column], naive_sample(values, (row + 0.5) / step, (column + 0.5) / step), atol=1e-6
        )


def naive_sample(values: np.ndarray, y: float, x: float) -> np.ndarray:
    """(C,) of (C, h, w) at a place, whose pixels have their centres at 0.5."""
    weights = [
        np.maximum(1 - np.abs(np.arange(side) + 0.5 - np.clip(at, 0.5, side - 0.5)), 0)
        for at, side in ((y, values.shape[1]), (x, values.shape[2]))
    ]
    return np.einsum("chw,h,w->c", values, *weights)


def test_enlarging_undoes_shrinking_of_a_ramp() -> None:
    """Pixel centres agree: shrinking and enlarging do not move anything."""
    x = np.arange(64, dtype=np.uint8) * 3
    frame = np.broadcast_to(x[None, :, None], (64, 64, 3)).copy()
    small = shrink(frame, 4).astype(np.float32).transpose(2, 0, 1)
    back = enlarge(small, (64, 64), step=4)[0, 20]
    np.testing.assert_allclose(back[4:-4], x[4:-4], atol=1.5)


def disc(size: int, radius: float, soft: float) -> np.ndarray:
    """Alpha of a disc with a soft edge."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip((radius - np.hypot(x, y)) / soft + 0.5, 0, 1).astype(np.float32)


def test_foreground_of_a_synthetic_composite_is_recovered() -> None:
    alpha = disc(96, 28, 12)
    front = np.array([0.8, 0.3, 0.1], np.float32)[:, None, None] * np.ones((3, 96, 96), np.float32)
    back = np.array([0.1, 0.4, 0.9], np.float32)[:, None, None] * np.ones((3, 96, 96), np.float32)
    frame = alpha * front + (1 - alpha) * back
    smooth_front, smooth_back = smooth_colors(frame, alpha, cell=4, radii=(4, 2))
    found = fuse(frame, alpha, smooth_front, smooth_back)
    edge = (alpha > 0.1) & (alpha < 1)
    assert np.abs(found - front)[:, edge].max() < 3 / 255
    assert np.abs(frame - front)[:, edge].max() > 100 / 255  # what no estimate would show
    np.testing.assert_allclose(found[:, alpha == 1], frame[:, alpha == 1], atol=1e-6)


def test_fused_colors_stay_finite_without_any_foreground() -> None:
    frame = np.stack([random_plane(40, 40, seed=s) for s in range(3)])
    for alpha in (np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32)):
        for colors in smooth_colors(frame, alpha, cell=4, radii=(4, 2)):
            assert np.isfinite(colors).all()
