"""Bilinear enlargement at chosen places: only the cells that are asked for are computed.

A cell is the square of `step` x `step` pixels of the large image under one pixel of the small one::

    small     |   0   |   1   |   2   |        3 x 3 pixels around a cell determine its values, or, of an
    large     |0 1 2 3|4 5 6 7|8 9 ...         image of twice the resolution, 4 x 4
"""

from __future__ import annotations

import numpy as np

from newscaster.types import ArrayF32, ArrayI64


class CellSampler:
    """Samples small images at the pixels of cells of the large one.

    Args:
        step: pixels of the large image per cell on each axis.
        scale: pixels of the small images per cell on each axis, 1 or 2.
    """

    def __init__(self, *, step: int, scale: int) -> None:
        self._scale = scale
        axis = _weights(step, scale)
        self._weights = np.asarray(np.kron(axis, axis), np.float32)
        rows, columns = np.mgrid[-1 : scale + 1, -1 : scale + 1].reshape(2, -1, 1)
        self._rows, self._columns = rows, columns

    def sample(self, values: ArrayF32, rows: ArrayI64, columns: ArrayI64) -> ArrayF32:
        """Return the enlarged images at n cells, (C, step * step, n): the pixels of a cell row by row.

        Args:
            values: (C, h, w), the small images.
            rows, columns: (n,) of the cells.
        """
        height, width = values.shape[1:]
        around = np.clip(rows * self._scale + self._rows, 0, height - 1) * width
        around += np.clip(columns * self._scale + self._columns, 0, width - 1)
        return np.asarray(self._weights @ values.reshape(len(values), -1)[:, around], np.float32)


def _weights(step: int, scale: int) -> ArrayF32:
    """Return the (step, scale + 2) weights of the pixels around a cell, along one axis."""
    position = (np.arange(step) + 0.5) * scale / step + 0.5
    first = position.astype(np.intp)
    weights = np.zeros((step, scale + 2), np.float32)
    weights[np.arange(step), first] = 1 - (position - first)
    weights[np.arange(step), first + 1] += position - first
    return weights
