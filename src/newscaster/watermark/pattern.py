"""The pattern that marks pictures: a torus of cells, laid over the picture as often as it takes.

It is the same in every frame: encoders keep what stands still, and cuts or other frame rates do not matter.
Cells are as large as the picture asks for, so that it survives scaling::

    smaller side of the picture = 56 cells        torus = 64 x 64 cells, one of its corners in the middle
                                                  of the picture, repeated beyond its edges

The field is the sum of three of pseudo-random signs (spread spectrum: Cox, Kilian, Leighton, Shamoon, "Secure
spread spectrum watermarking for multimedia", 1997). One is always the same, and gives position and scale
away. Two are moved round the torus, each to one of 64 x 64 places: 12 bits each of the anchor's identity.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt

from newscaster.errors import InputError

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

CELLS = 64
"""Cells of the torus, along each side."""
CELLS_ACROSS = 56
"""Cells of the smaller side of a picture."""
SMALLER_SIDE_PX = 288
"""Larger pictures are looked at in about this size: five pixels for a cell."""
ID_DIGITS = 6
"""Hexadecimal digits of an anchor's identity that the mark carries: 24 bits."""
ID_PARTS = 2
"""Fields that carry them."""
_ID_WEIGHT = 0.7
"""How strong each of those is beside the one that is always the same."""


@cache
def signs(name: str) -> Array:
    """(64, 64) of -1 and 1, which depend on the name alone (SHAKE-256: NumPy's generators may change)."""
    data = hashlib.shake_256(f"newscaster watermark 1, {name}".encode()).digest(CELLS * CELLS // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(CELLS, CELLS)
    found = bits.astype(np.float64) * 2 - 1
    found.flags.writeable = False
    return found


def sync_signs() -> Array:
    """The field that is always the same."""
    return signs("sync")


def part_signs(part: int) -> Array:
    """The field that carries one part of the id, where that is 0."""
    return signs(f"id {part}")


def id_of(identity: str) -> str:
    """What the mark carries of an anchor's identity.

    Raises:
        InputError: the identity is not one.
    """
    found = identity[:ID_DIGITS].lower()
    if len(found) < ID_DIGITS or set(found) - set("0123456789abcdef"):
        raise InputError(
            f"the identity of an anchor is {identity!r}; expected at least {ID_DIGITS} hexadecimal digits, "
            "as `newscaster verify` shows them"
        )
    return found


def field(mark_id: str) -> Floats:
    """The field of an id, (64, 64), of mean square 1."""
    total = sync_signs().copy()
    for part, place in enumerate(_places(mark_id)):
        total += _ID_WEIGHT * np.roll(part_signs(part), divmod(place, CELLS), (0, 1))
    found: Floats = (total / np.sqrt((total**2).mean())).astype(np.float32)
    return found


def id_at(places: list[int]) -> str:
    """The id whose parts stand at these places of the torus, row by row."""
    value = 0
    for place in places:
        value = value * CELLS * CELLS + place
    return f"{value:0{ID_DIGITS}x}"


def weights(length_px: int, side_px: float, samples: int) -> Floats:
    """(length, samples): where the pixels of one axis lie on the torus, for linear interpolation.

    Pixel i has its centre at i + 1/2; the middle of the axis is at 0 of the torus.

    Args:
        length_px: pixels of the axis.
        side_px: of a cell.
        samples: of the torus.
    """
    at = (np.arange(length_px) + 0.5 - length_px / 2) / side_px * samples / CELLS
    before = np.floor(at).astype(int)
    after_fraction = at - before
    found = np.zeros((length_px, samples), np.float32)
    rows = np.arange(length_px)
    found[rows, before % samples] += 1 - after_fraction
    found[rows, (before + 1) % samples] += after_fraction
    return found


def cell_px(width: int, height: int) -> float:
    """Side of a cell on a picture."""
    return min(width, height) / CELLS_ACROSS


def blurred(plane: Floats) -> Floats:
    """The mean of each pixel's surroundings, of three cells."""
    reach = max(1, round(1.5 * min(plane.shape) / CELLS_ACROSS))
    side = 2 * reach + 1
    sums = np.pad(plane.astype(np.float64), ((reach + 1, reach), (reach + 1, reach)), mode="edge")
    sums = sums.cumsum(axis=0).cumsum(axis=1)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    mean: Floats = (total / side**2).astype(np.float32)
    return mean


def _places(mark_id: str) -> list[int]:
    value = int(mark_id, 16)
    return [value // (CELLS * CELLS) ** (ID_PARTS - 1 - part) % (CELLS * CELLS) for part in range(ID_PARTS)]
