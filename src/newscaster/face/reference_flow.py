"""Coarse flow: where each part of a face crop lies in another crop of the same person.

The landmarks of two mouths give the displacement at 57 points; the border of the crop does not move. Between
them the flow is interpolated by radial basis functions with the kernel ``r``, which is smooth away from the
landmarks and does not overshoot (Wendland, *Scattered Data Approximation*, 2004). A renderer refines it.

All lengths are in crop widths, so that one operator fits crops of every side.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from newscaster.face.hidden_box import Box
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

GRID = 32
"""Cells of the flow to a side of the crop."""
_BORDER_POINTS = 9
"""Points to a side of the crop that do not move."""
_RIDGE = 2e-4
"""Tolerance at the landmarks: touching lips of one mouth may be apart in the other."""


def _border() -> ArrayF64:
    along = np.linspace(0.0, 1.0, _BORDER_POINTS)
    ends = np.array([0.0, 1.0])
    across = np.stack(np.meshgrid(along, ends), axis=-1).reshape(-1, 2)
    return np.unique(np.concatenate([across, across[:, ::-1]]), axis=0)


_FIXED = _border()
_BOXES_KEPT = 8
_ROWS_AT_ONCE = 8
"""Of cells. BLAS computes larger products in several threads, which wait for each other in a busy loop."""


def coarse_flow(
    mouth: ArrayFloat, references: ArrayFloat, *, box: Box | None = None, cells: int = GRID
) -> ArrayF32:
    """Return the flow from a mouth to reference mouths, (K, 2, h, w).

    Args:
        mouth: (57, 2), in crop widths; or some of its points.
        references: (K, 57, 2), likewise.
        box: the cells to compute, h x w of them; by default all.
        cells: how many cells a side of the crop has.

    Returns:
        What is added to a place (x, y) in the crop of the mouth to find it in the crop of each reference, at
        the centres of the cells.
    """
    centres = np.asarray(mouth, np.float64)
    points, count = len(centres), len(references)
    moved = np.moveaxis(np.asarray(references, np.float64) - centres, 0, 1).reshape(points, 2 * count)
    # The system of landmarks and border, [[A, B], [B^T, F]], with F and its inverse known: for the landmarks
    # (A - B F^-1 B^T) w = moved, and v = -F^-1 B^T w for the border and the constant.
    across_border = np.ones((points, len(_FIXED) + 1))
    across_border[:, :-1] = _distances(centres, _FIXED)
    eliminated = across_border @ _border_inverse()
    system = _distances(centres, centres) - _RIDGE * np.eye(points) - eliminated @ across_border.T
    solved = np.linalg.solve(system, moved)
    of_border = -(eliminated.T @ solved).astype(np.float32)
    weights = solved.astype(np.float32)
    box = box or Box(0, cells, 0, cells)
    at = _cell_centres(cells)
    across = (at[box.left : box.right, None] - centres[:, 0].astype(np.float32)) ** 2
    along = (at[box.top : box.bottom, None] - centres[:, 1].astype(np.float32)) ** 2
    to_border = _border_kernel(box, cells)
    flow = np.empty((len(along), len(across), 2 * count), np.float32)
    for first in range(0, len(along), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        distances = along[rows, None] + across
        np.matmul(np.sqrt(distances, out=distances), weights, out=flow[rows])
        flow[rows] += to_border[rows] @ of_border
    return np.ascontiguousarray(flow.reshape(*flow.shape[:2], count, 2).transpose(2, 3, 0, 1))


@cache
def _border_inverse() -> ArrayF64:
    """Return the inverse of the system of the border's points and the constant."""
    size = len(_FIXED) + 1
    system = np.ones((size, size))
    system[:-1, :-1] = _distances(_FIXED, _FIXED) - _RIDGE * np.eye(size - 1)
    system[-1, -1] = 0.0
    return np.asarray(np.linalg.inv(system), np.float64)


@cache
def _cell_centres(cells: int) -> ArrayF32:
    return np.asarray((np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells, np.float32)


@lru_cache(_BOXES_KEPT)
def _border_kernel(box: Box, cells: int) -> ArrayF32:
    """Return the distances of cells to the points of the border, and 1 for the constant, (h, w, N + 1)."""
    at, border = _cell_centres(cells), _FIXED.astype(np.float32)
    across = (at[box.left : box.right, None] - border[:, 0]) ** 2
    along = (at[box.top : box.bottom, None] - border[:, 1]) ** 2
    kernel = np.ones((len(along), len(across), len(border) + 1), np.float32)
    kernel[..., :-1] = np.sqrt(along[:, None] + across)
    return kernel


def _distances(a: ArrayF64, b: ArrayF64) -> ArrayF64:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 1e-12)))
