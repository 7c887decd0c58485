from __future__ import annotations

import numpy as np

from making_mouths import mouth
from newscaster.face.reference_flow import GRID, coarse_flow


def at(flow: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The flow of one reference (2, GRID, GRID) in the cell of a place (x, y)."""
    column, row = np.clip((place * GRID).astype(int), 0, GRID - 1)
    return flow[:, row, column]


def test_the_same_mouth_is_where_it_is() -> None:
    closed = mouth(0.0, side=1)
    flow = coarse_flow(closed, closed[None])
    assert flow.shape == (1, 2, GRID, GRID)
    assert np.abs(flow).max() < 1e-6


def test_landmarks_lead_to_their_places_in_the_reference() -> None:
    half, wide = mouth(0.5, side=1), mouth(1.0, side=1)
    flow = coarse_flow(half, wide[None])[0]
    for index in (5, 15, 48):  # upper lip, lower lip, chin
        expected = wide[index] - half[index]
        assert np.abs(at(flow, half[index]) - expected).max() < 0.01
    assert np.abs(flow[:, 0]).max() < 0.01, "the border of the crop stays"


def test_references_do_not_depend_on_each_other() -> None:
    shapes = np.stack([mouth(opening, side=1) for opening in (0.1, 0.6, 0.9)])
    together = coarse_flow(mouth(0.4, side=1), shapes)
    for index, shape in enumerate(shapes):
        np.testing.assert_allclose(
            together[index], coarse_flow(mouth(0.4, side=1), shape[None])[0], atol=1e-6
        )


def test_touching_lips_have_a_bounded_flow() -> None:
    closed, wide = mouth(0.0, side=1), mouth(1.0, side=1)
    closed[20:40, 1] = 0.6  # the inner lips lie on one line
    flow = coarse_flow(closed, wide[None])[0]
    assert np.isfinite(flow).all()
    assert np.abs(flow).max() < 1.5 * np.abs(wide - closed).max()
