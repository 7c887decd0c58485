"""The pattern of the mark: a torus of cells, tiled over the frame.

It is the same in every frame: encoders keep static content, and cuts or other frame rates do not matter. The
cells scale with the frame, so that the mark survives scaling::

    smaller side of the frame = 56 cells          torus = 64 x 64 cells, one of its corners in the middle
                                                  of the frame, repeated beyond its edges

The field is the sum of three fields of pseudo-random signs (spread spectrum: Cox, Kilian, Leighton, Shamoon,
"Secure spread spectrum watermarking for multimedia", 1997). One is constant, and reveals position and scale.
Two are shifted on the torus, each to one of 64 x 64 places: 12 bits each of the anchor's identity.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from newscaster.errors import InputError
from newscaster.types import ArrayF32, ArrayF64

LUMA, BLUE = 0, 1
"""Numbers of the planes that can carry the mark: Y and U."""
CELLS = 64
"""Cells of the torus, along each side."""
CELLS_ACROSS = 56
"""Cells of the smaller side of a frame."""
SMALLER_SIDE_PX = 288
"""Larger frames are analysed at about this size: five pixels for a cell."""
ID_DIGITS = 6
"""Hexadecimal digits of an anchor's identity in the mark: 24 bits."""
ID_PARTS = 2
"""Number of fields that carry them."""
_ID_WEIGHT = 0.7
"""Weight of each of those, relative to the constant field."""


@cache
def signs(name: str) -> ArrayF64:
    """Return (64, 64) of -1 and 1, which depend on the name alone.

    They come from SHAKE-256, because NumPy's generators may change.
    """
    data = hashlib.shake_256(f"newscaster watermark 1, {name}".encode()).digest(CELLS * CELLS // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(CELLS, CELLS)
    field_signs = bits.astype(np.float64) * 2 - 1
    field_signs.flags.writeable = False
    return field_signs


def sync_signs() -> ArrayF64:
    """Return the constant field."""
    return signs("sync")


def part_signs(part: int) -> ArrayF64:
    """Return the field of one part of the id, for the value 0."""
    return signs(f"id {part}")


def id_of(identity: str) -> str:
    """Return the part of an anchor's identity that the mark carries.

    Raises:
        InputError: the identity is malformed.
    """
    digits = identity[:ID_DIGITS].lower()
    if len(digits) < ID_DIGITS or set(digits) - set("0123456789abcdef"):
        raise InputError(
            f"the identity of an anchor is {identity!r}; expected at least {ID_DIGITS} hexadecimal digits, "
            "as `newscaster verify` shows them"
        )
    return digits


def field(mark_id: str) -> ArrayF32:
    """Return the field of an id, (64, 64), of mean square 1."""
    total = sync_signs().copy()
    for part, place in enumerate(_places(mark_id)):
        total += _ID_WEIGHT * np.roll(part_signs(part), divmod(place, CELLS), (0, 1))
    normalised: ArrayF32 = (total / np.sqrt((total**2).mean())).astype(np.float32)
    return normalised


def id_at(places: list[int]) -> str:
    """Return the id whose parts are at these places of the torus, in row-major order."""
    value = 0
    for place in places:
        value = value * CELLS * CELLS + place
    return f"{value:0{ID_DIGITS}x}"


def weights(length_px: int, side_px: float, samples: int) -> ArrayF32:
    """Return (length, samples): weights of the pixels of one axis on the torus, for linear interpolation.

    Pixel i has its centre at i + 1/2; the middle of the axis is at 0 of the torus.

    Args:
        length_px: pixels of the axis.
        side_px: of a cell.
        samples: of the torus.
    """
    position = (np.arange(length_px) + 0.5 - length_px / 2) / side_px * samples / CELLS
    before = np.floor(position).astype(int)
    after_fraction = position - before
    matrix = np.zeros((length_px, samples), np.float32)
    rows = np.arange(length_px)
    matrix[rows, before % samples] += 1 - after_fraction
    matrix[rows, (before + 1) % samples] += after_fraction
    return matrix


def cell_px(width: int, height: int) -> float:
    """Return the side of a cell on a frame."""
    return min(width, height) / CELLS_ACROSS


def blurred(plane: ArrayF32) -> ArrayF32:
    """Return the mean around each pixel, over three cells."""
    radius = max(1, round(1.5 * min(plane.shape) / CELLS_ACROSS))
    side = 2 * radius + 1
    sums = np.pad(plane.astype(np.float64), ((radius + 1, radius), (radius + 1, radius)), mode="edge")
    sums = sums.cumsum(axis=0).cumsum(axis=1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    mean: ArrayF32 = (total / side**2).astype(np.float32)
    return mean


def _places(mark_id: str) -> list[int]:
    value = int(mark_id, 16)
    return [value // (CELLS * CELLS) ** (ID_PARTS - 1 - part) % (CELLS * CELLS) for part in range(ID_PARTS)]
