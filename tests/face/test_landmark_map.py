from __future__ import annotations

import numpy as np

from faces import face_points
from newscaster.face.crop import FaceCrop
from newscaster.face.hidden_box import Box
from newscaster.face.landmark_map import CHANNELS, draw_landmark_map
from newscaster.face.topology import MOUTH


def mouth_px(opening: float = 0.1, *, side: int = 128) -> np.ndarray:
    return FaceCrop(side, 2.0).from_head.apply(face_points(opening)[list(MOUTH), :2])


def test_channels_show_what_they_are_named_after() -> None:
    drawn = draw_landmark_map(mouth_px(0.2), side=128, map_side=64)
    assert drawn.shape == (len(CHANNELS), 64, 64)
    assert drawn.dtype == np.uint8
    inner, upper, lower, jaw = drawn.astype(np.float64)
    rows = np.arange(64)[:, None]
    heights = [(c * rows).sum() / c.sum() for c in (upper, inner, lower)]
    assert heights == sorted(heights)
    assert jaw.sum() > inner.sum()


def test_inner_mouth_grows_as_the_mouth_opens() -> None:
    areas = [
        int(draw_landmark_map(mouth_px(o), side=128, map_side=64)[0].sum()) for o in (0.0, 0.05, 0.1, 0.2)
    ]
    assert areas == sorted(areas)
    assert areas[-1] > 3 * areas[0]


def test_map_moves_by_less_than_a_pixel() -> None:
    points = mouth_px(0.15)

    def centre(shift: float) -> float:
        lower = draw_landmark_map(points + np.array([shift, 0.0]), side=128, map_side=64)[2].astype(
            np.float64
        )
        return float((lower * (np.arange(64) + 0.5)).sum() / lower.sum())

    # 128 crop pixels are 64 map pixels: half a crop pixel is a quarter of a map pixel.
    moved = [centre(shift) - centre(0.0) for shift in (0.5, 1.0, 1.5, 2.0)]
    np.testing.assert_allclose(moved, [0.25, 0.5, 0.75, 1.0], atol=0.13)
    assert (np.diff(moved) > 0).all()


def test_map_lies_where_the_points_are() -> None:
    points = mouth_px(0.2)
    drawn = draw_landmark_map(points, side=128, map_side=128)[0].astype(np.float64)
    inner = points[20:40]
    y, x = np.mgrid[:128, :128] + 0.5
    centre = np.array([(drawn * x).sum(), (drawn * y).sum()]) / drawn.sum()
    a, b = inner, np.roll(inner, -1, axis=0)
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    wanted = ((a + b) * cross[:, None]).sum(axis=0) / (3 * cross.sum())
    np.testing.assert_allclose(centre, wanted, atol=0.2)


def test_a_part_is_that_of_the_whole_map() -> None:
    box = Box(10, 42, 6, 54)
    for opening in (0.0, 0.1, 0.2):
        points = mouth_px(opening) + np.array([0.3, -0.4])
        whole = draw_landmark_map(points, side=128, map_side=64)
        part = draw_landmark_map(points, side=128, map_side=64, box=box)
        np.testing.assert_array_equal(part, whole[:, box.top : box.bottom, box.left : box.right])
