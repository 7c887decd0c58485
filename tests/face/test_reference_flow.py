from __future__ import annotations

import numpy as np

from making_mouths import mouth
from newscaster.face.hidden_box import Box
from newscaster.face.reference_flow import _FIXED, _RIDGE, GRID, coarse_flow


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


def test_it_solves_the_whole_system() -> None:
    """The border is eliminated; the result is that of all points at once."""
    own, shapes = mouth(0.4, side=1), np.stack([mouth(opening, side=1) for opening in (0.1, 0.9)])
    centres = np.concatenate([own, _FIXED])
    moved = np.concatenate([np.moveaxis(shapes - own, 0, 1).reshape(len(own), 4), np.zeros((len(_FIXED), 4))])
    size = len(centres)
    system = np.ones((size + 1, size + 1))
    system[:-1, :-1] = np.linalg.norm(centres[:, None] - centres, axis=-1) - _RIDGE * np.eye(size)
    system[-1, -1] = 0
    weights = np.linalg.solve(system, np.concatenate([moved, np.zeros((1, 4))]))
    at = (np.arange(GRID) + 0.5) / GRID
    cells = np.stack(np.meshgrid(at, at), axis=-1)
    kernel = np.linalg.norm(cells[:, :, None] - centres, axis=-1)
    expected = (kernel @ weights[:-1] + weights[-1]).reshape(GRID, GRID, 2, 2).transpose(2, 3, 0, 1)
    np.testing.assert_allclose(coarse_flow(own, shapes), expected, atol=2e-5)
    box = Box(6, 22, 4, 28)
    np.testing.assert_allclose(
        coarse_flow(own, shapes, box=box), coarse_flow(own, shapes)[:, :, 6:22, 4:28], atol=1e-6
    )
