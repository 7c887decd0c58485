"""Open mouths of a person whose video shows none, or none so wide: made of closed ones, as of a photograph.

Otherwise, they would be narrower mouths that are stretched.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.open_mouths import natural_shapes, opened_mouths
from newscaster.face.references import References, spread_mouths, spread_rows
from newscaster.types import ArrayF64, ArrayFloat, ArrayI64

MAX_BASES = 3
"""Closed mouths, of heads turned differently, that open ones are made of."""
_SEEN_PERCENT = 98
_WIDE_PERCENT = 90
_ENOUGH = 0.6
"""A mouth that opens so far, relative to wide openings of speech, shows teeth and tongue of its own."""
_MAX_WIDENED = 1.4
"""Openings wider than so many times the widest one are made even then: teeth would be striped."""
_CLOSED_FRACTION = 1 / 3

Places = Callable[[int, ArrayF64], ArrayF64]
"""Of the number of a reference and of shapes (M, 57, 2) in head units: where the shapes lie in its crop, in
pixels."""


def missing_shapes(seen: ArrayFloat, basis: MouthBasis, *, max_count: int) -> ArrayF64:
    """Return the mouths of speech that a person never shows, (M, 57, 2) in head units.

    Args:
        seen: (F, 57, 2) in head units, the mouths of the video.
        basis: around the person's mouth at rest.
        max_count: of mouths.

    Returns:
        Mouths that are wider open than those of the video, or more closed. If the video has open ones, only
        those that are far wider, if any.
    """
    shapes = natural_shapes(basis)
    wide = opening(shapes)
    narrowest, widest = np.percentile(opening(seen), [100 - _SEEN_PERCENT, _SEEN_PERCENT])
    if widest >= _ENOUGH * np.percentile(wide, _WIDE_PERCENT):
        missing = shapes[wide > _MAX_WIDENED * widest]
    else:
        missing = shapes[(wide > widest) | (wide < narrowest)]
    return np.asarray(missing[spread_mouths(missing, max_count)])


def with_made_mouths(
    references: References,
    shapes: ArrayF64,
    rest: ArrayF64,
    *,
    places: Places,
    pixels_per_unit: float,
    workers: int,
) -> References:
    """Return references with these mouths besides their own.

    Args:
        references: of the video, with angles.
        shapes: (M, 57, 2), the mouths to make, in head units.
        rest: (57, 2), the mouth at rest, in head units.
        places: where shapes lie.
        pixels_per_unit: pixels of a crop per IOD.
        workers: threads.
    """
    assert references.angles is not None
    bases = _bases(references)
    side = len(references.crops[0])

    def made(base: int) -> References:
        placed = places(base, np.concatenate([rest[None], shapes])) / side
        return opened_mouths(
            references.crops[base],
            references.points[base],
            points=placed[1:],
            rest=placed[0],
            pixels_per_unit=pixels_per_unit,
        )

    with ThreadPoolExecutor(workers, thread_name_prefix="newscaster-mouths") as pool:
        parts = [references, *pool.map(made, bases.tolist())]
    return References(
        [crop for part in parts for crop in part.crops],
        np.concatenate([part.points for part in parts]),
        np.concatenate([references.angles, np.repeat(references.angles[bases], len(shapes), axis=0)]),
    )


def _bases(references: References) -> ArrayI64:
    """Return the numbers of closed mouths whose heads are turned differently."""
    assert references.angles is not None
    order = np.argsort(opening(references.points), kind="stable")
    closed = order[: max(1, round(_CLOSED_FRACTION * len(order)))]
    return np.asarray(closed[spread_rows(references.angles[closed], MAX_BASES)])
