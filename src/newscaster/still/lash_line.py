"""The dark line beyond the outer corner of an eye: lashes, or the fold of a hooded lid.

Lengths are in widths of the eye. The origin is the outer corner, x goes outwards, y downwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from newscaster.types import ArrayBool, ArrayF64, ArrayI64

_REACH, _COLUMNS = 0.36, 24
"""How far beyond the corner the line is traced, and in how many columns."""
_HIGHEST, _LOWEST, _ROWS = -0.14, 0.46, 61
"""Heights between which it is traced."""
_START = 0.12
"""How far above or below the corner it passes, at most."""
_SLOPE = 3
"""Largest change of its height from column to column, in rows."""
_CONTRAST = 0.1
"""Minimum darkness of the line, relative to the skin on either side."""
_SKIN = 0.09
"""Distance of that skin from the line."""


def trace_lash_line(light: Callable[[ArrayF64], ArrayF64]) -> ArrayF64:
    """Return the line, (n, 2) from the corner outwards; n is 0 if there is none.

    The path of the largest contrast to the skin above and below it, whose height changes slowly (Viterbi
    1967), as far as it has enough of it.

    Args:
        light: returns the brightness (...) at places (..., 2).
    """
    x = np.linspace(0, _REACH, _COLUMNS + 1)[1:]
    y = np.linspace(_HIGHEST, _LOWEST, _ROWS)

    def at(shift: float) -> ArrayF64:
        return light(np.stack(np.broadcast_arrays(x[:, None], y + shift), axis=-1))

    contrast = 1 - at(0.0) / np.maximum(np.minimum(at(-_SKIN), at(_SKIN)), 1.0)
    rows = _best_path(contrast, starts=np.abs(y) <= _START)
    is_seen = contrast[np.arange(_COLUMNS), rows] >= _CONTRAST
    count = _COLUMNS if is_seen.all() else int(is_seen.argmin())
    return np.stack([x[:count], y[rows[:count]]], axis=1)


def _best_path(gains: ArrayF64, *, starts: ArrayBool) -> ArrayI64:
    """Return the row of each column, (C,), on the path with the largest sum of gains (C, R)."""
    rows = np.arange(gains.shape[1])
    reachable = rows[:, None] + np.arange(-_SLOPE, _SLOPE + 1)
    inside = (reachable >= 0) & (reachable <= rows[-1])
    reachable = reachable.clip(0, rows[-1])
    total, before = np.where(starts, 0.0, -np.inf), []
    for gain in gains:
        sums = np.where(inside, total[reachable], -np.inf)
        before.append(reachable[rows, sums.argmax(axis=1)])
        total = sums.max(axis=1) + gain
    path = [int(total.argmax())]
    for step in before[:0:-1]:
        path.append(int(step[path[-1]]))
    return np.array(path[::-1], np.int64)
