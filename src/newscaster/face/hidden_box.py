"""The part of a face crop that a renderer computes: a box around the hidden pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from newscaster.types import ArrayBool


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a crop, the last ones excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def scaled(self, by: int) -> Box:
        """Return the same box in pixels ``by`` times as large."""
        return Box(*(edge // by for edge in self))

    def scaled_up(self, by: int) -> Box:
        """Return the same box in pixels ``by`` times as small."""
        return Box(*(edge * by for edge in self))


def box_of(hidden: ArrayBool, *, size_multiple: int, place_multiple: int) -> Box:
    """Return the computed part of a crop (S, S): the hidden pixels, and a margin of S / 32 if there is room.

    Its sides are multiples of ``size_multiple``, its corner lies on multiples of ``place_multiple``.
    """
    side = hidden.shape[0]
    if not hidden.any():
        raise ValueError("the mask hides no pixel: there is nothing to render")
    edges: list[int] = []
    for along in (1, 0):
        where = np.flatnonzero(hidden.any(axis=along))
        first, last = max(0, int(where[0]) - side // 32), min(side, int(where[-1]) + 1 + side // 32)
        start = first - first % place_multiple
        size = -(-(last - start) // size_multiple) * size_multiple
        # Rounding up extends both ends alike.
        start = max(0, start - (start + size - last) // 2)
        start = min(start - start % place_multiple, side - size)
        edges += [start, start + size]
    return Box(*edges)


def cell_box(hidden: ArrayBool, *, cells: int, multiple: int) -> Box:
    """Return the box in cells, of which a side of the crop has ``cells``.

    Its sides are multiples of ``multiple`` cells, its corner lies on an even one.
    """
    cell = hidden.shape[0] // cells
    return box_of(hidden, size_multiple=multiple * cell, place_multiple=2 * cell).scaled(cell)
