"""Coarse flow: where each part of a face crop lies in another crop of the same person.

The landmarks of two mouths give the displacement at 57 points; the border of the crop does not move. Between
them the flow is interpolated by radial basis functions with the kernel ``r``, which is smooth away from the
landmarks and does not overshoot (Wendland, *Scattered Data Approximation*, 2004). A renderer refines it.

All lengths are in crop widths, so that one operator fits crops of every side.
"""

from __future__ import annotations

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
    count = len(references)
    centres = np.concatenate([np.asarray(mouth, np.float64), _FIXED])
    moved = np.zeros((len(centres), count, 2))
    moved[: len(mouth)] = np.moveaxis(np.asarray(references, np.float64) - mouth, 0, 1)
    # The last row and column: a constant, orthogonal to the weights.
    size = len(centres) + 1
    system = np.ones((size, size))
    system[:-1, :-1] = _distances(centres, centres) - _RIDGE * np.eye(size - 1)
    system[-1, -1] = 0.0
    known = np.zeros((size, 2 * count))
    known[:-1] = moved.reshape(size - 1, -1)
    weights = np.linalg.solve(system, known).astype(np.float32)
    box = box or Box(0, cells, 0, cells)
    at = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
    across = (at[box.left : box.right, None] - centres[:, 0].astype(np.float32)) ** 2
    along = (at[box.top : box.bottom, None] - centres[:, 1].astype(np.float32)) ** 2
    flow = np.empty((len(along), len(across), 2 * count), np.float32)
    for first in range(0, len(along), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        flow[rows] = np.sqrt(along[rows, None] + across) @ weights[:-1] + weights[-1]
    return np.ascontiguousarray(flow.reshape(*flow.shape[:2], count, 2).transpose(2, 3, 0, 1))


def _distances(a: ArrayF64, b: ArrayF64) -> ArrayF64:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 1e-12)))
