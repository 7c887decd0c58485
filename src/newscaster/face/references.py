"""References: frames of a person that a renderer copies from, and which of them suit a new mouth.

:func:`spread_mouths` reduces footage to a few hundred frames that cover its mouths. :class:`ReferencePath`
chooses some of them for every frame of a video, so that the one that gives the fine detail changes no more
often than it must.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.face.mouth_basis import opening
from newscaster.face.topology import MOUTH_POINTS
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8

MAX_REFERENCES = 240
"""References of an anchor."""
COUNT = 4
"""References for one frame: the first one for detail, all for the rest."""
CELLS = 64
"""Cells of the renderer's grid to a side of the crop; the side of the reduced references that it mixes."""
SMALL_SIDE = 2 * CELLS
"""Least side of the crops of frames to rewrite: the renderer reads the mean of each cell of them."""
_CANDIDATES = 12
"""Nearest references that the path chooses the first one from."""
_SWITCH = 2.0
"""Cost of a change of the first reference, relative to the typical distance of the nearest one, squared."""
POSE_WEIGHT = 0.1
"""Crop widths of distance between mouths that count as much as a radian between heads."""
_OPENING_WEIGHT = 2.0
"""Crop widths of distance between mouths that count as much as one between their openings, without poses."""
_WIDENED, _NARROWED = 1.2, 2.0
"""How many times as wide as that of a reference of footage an opening may be at no cost, and a reference's as
it: teeth that are stretched further are striped."""
_OPENING_TOLERANCE = 0.005
"""The same, in crop widths, besides."""
_LANDMARK_ERROR = 0.003
"""Of tracked mouths, in crop widths."""
_MAX_RELATIVE = 4.0
_KEPT_WITHIN = 8
"""Other references of footage stay while they are among so many nearest ones."""
LOOK_AHEAD = 12
"""Frames after which a choice is certain, if they are known."""


def spread_mouths(points: ArrayFloat, count: int) -> ArrayI64:
    """Return the numbers of at most ``count`` frames whose mouths cover all mouths, in rising order.

    Greedy k-centre (Gonzalez 1985), from the mouth that is most typical: each further frame is the one that
    is farthest from all before it, so that no mouth of the footage is far from a chosen one.

    Args:
        points: (F, 57, 2), the mouths in any unit; frames whose rows are not finite are skipped.
        count: how many.
    """
    known = np.flatnonzero(np.isfinite(points).all(axis=(1, 2)))
    if len(known) <= count:
        return known
    return np.sort(known[spread_rows(points[known].reshape(len(known), -1), count)])


def spread_rows(rows: ArrayFloat, count: int) -> ArrayI64:
    """Return the numbers of at most ``count`` of the rows (N, D), as :func:`spread_mouths` chooses them."""
    rows = rows.astype(np.float64)
    chosen = [int(np.argmin(((rows - np.median(rows, axis=0)) ** 2).sum(axis=1)))]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        nearest = np.minimum(nearest, ((rows - rows[farthest]) ** 2).sum(axis=1))
    return np.array(chosen, np.int64)


def nearest_references(mouth: ArrayFloat, references: ArrayFloat, count: int = COUNT) -> ArrayI64:
    """Return the numbers of the ``count`` references (N, 57, 2) nearest to a mouth (57, 2), nearest first.

    If there are fewer, the last one is repeated.
    """
    return _padded(np.argsort(_squared(mouth, references), kind="stable")[:count], count)


def relative_distances(mouth: ArrayFloat, chosen: ArrayFloat) -> ArrayF32:
    """Return how much farther references (K, 57, 2) are from a mouth than the nearest of them, (K,).

    All are in crop widths. 0 is as near; 1 is twice as far. Distances below the errors of landmarks are
    alike, and values end at 4: a reference may be the very frame.
    """
    distances = np.maximum(np.sqrt(_squared(mouth, chosen)), _LANDMARK_ERROR)
    return np.asarray(np.minimum(distances / distances.min() - 1, _MAX_RELATIVE), np.float32)


@dataclass(frozen=True)
class References:
    """Frames of a person that are copied from."""

    crops: Sequence[ImageU8]
    """N face crops (S, S, 3); may be decoded when they are read."""
    points: ArrayF32
    """(N, 57, 2): their mouths, in crop widths."""
    angles: ArrayF32 | None = None
    """(N, 3): yaw, pitch and roll of their heads in degrees; None: unknown."""

    def __post_init__(self) -> None:
        if self.angles is not None and self.angles.shape != (len(self.points), 3):
            raise ValueError(f"{len(self.points)} references have angles of shape {self.angles.shape}")
        if len(self.points) != len(self.crops) or self.points.shape[1:] != (MOUTH_POINTS, 2):
            raise ValueError(f"{len(self.crops)} crops have points of shape {self.points.shape}")

    def __len__(self) -> int:
        return len(self.crops)


class ReferencePath:
    """Chooses references for the frames of a video, in order.

    The first reference of each frame is that of the cheapest path (Viterbi 1967): the sum of squared
    distances to the mouths and poses, plus a cost for each change. The others are the nearest ones beside it;
    of footage, those of the frame before while they are near. A stream operator: mouths (F, 57, 2) to numbers
    (f, K).

    A head that is turned otherwise shows other things beside the jaw, such as hair. Of footage, openings that
    are much narrower or wider than wanted cost more, too. Mouths that are made of one photograph have no
    angles, and there all differences of openings count: open lips that are closed keep a line of teeth.

    Args:
        references: (N, 57, 2), in crop widths.
        angles: (N, 3) of their heads, in degrees; None: poses do not count, and all openings do.
        count: references for each frame, K.
        look_ahead: frames that are known before a choice is made. More frames change no choice.
    """

    def __init__(
        self,
        references: ArrayFloat,
        angles: ArrayFloat | None = None,
        *,
        count: int = COUNT,
        look_ahead: int = LOOK_AHEAD,
    ) -> None:
        self._references = np.asarray(references, np.float64)
        self._openings = opening(self._references)
        self._angles = None if angles is None else np.asarray(angles, np.float64)
        self._count, self._look_ahead = count, look_ahead
        self._switch = _SWITCH * _typical_distance(self._references)
        self._open: deque[_Step] = deque()
        self._last: _Step | None = None
        self._others: ArrayI64 = np.zeros(0, np.int64)

    def push(self, mouths: ArrayFloat, angles: ArrayFloat | None = None) -> ArrayI64:
        """Return the references of the frames that have become certain, (f, K).

        Args:
            mouths: (F, 57, 2), in crop widths.
            angles: (F, 3) of their heads, in degrees; None: unknown.
        """
        chosen = []
        for number, mouth in enumerate(mouths):
            squared, wanted = _squared(mouth, self._references), opening(mouth)
            if self._angles is None:
                squared += _OPENING_WEIGHT**2 * (self._openings - wanted) ** 2
            else:
                stretched, squeezed = wanted - _WIDENED * self._openings, self._openings - _NARROWED * wanted
                squared += np.maximum(0, np.maximum(stretched, squeezed) - _OPENING_TOLERANCE) ** 2
                if angles is not None:
                    turned = np.radians(self._angles - angles[number])
                    squared += POSE_WEIGHT**2 * (turned**2).sum(axis=1)
            self._last = self._step(squared)
            self._open.append(self._last)
            if len(self._open) > self._look_ahead:
                chosen.append(self._settle())
        return self._numbers(chosen)

    def flush(self) -> ArrayI64:
        """Return the references of the remaining frames."""
        return self._numbers([self._settle() for _ in range(len(self._open))])

    def _numbers(self, chosen: list[ArrayI64]) -> ArrayI64:
        return np.stack(chosen) if chosen else np.zeros((0, self._count), np.int64)

    def _step(self, squared: ArrayF64) -> _Step:
        order = np.argsort(squared, kind="stable")[: _CANDIDATES + self._count]
        candidates = order[:_CANDIDATES]
        if self._last is None:
            return _Step(order, candidates, squared[candidates], np.zeros(len(candidates), np.int64))
        change = self._switch * (self._last.candidates[:, None] != candidates)
        through = self._last.costs[:, None] + change
        before = np.argmin(through, axis=0)
        costs = through[before, np.arange(len(candidates))] + squared[candidates]
        return _Step(order, candidates, costs - costs.min(), before)

    def _settle(self) -> ArrayI64:
        """Return the references of the oldest open frame, on the path that is the cheapest now.

        Paths that had another first reference there end: what is settled is part of every later path.
        """
        newest = self._open[-1]
        states = np.arange(len(newest.candidates))
        for step in itertools.islice(reversed(self._open), len(self._open) - 1):
            states = step.before[states]
        state = int(states[np.argmin(newest.costs)])
        newest.costs[states != state] = np.inf
        oldest = self._open.popleft()
        first = oldest.candidates[state]
        others = oldest.order[oldest.order != first]
        if self._angles is not None:
            near = others[: _KEPT_WITHIN - 1]
            kept = np.isin(near, self._others)
            chosen = np.flatnonzero(kept)[: self._count - 1]
            more = np.flatnonzero(~kept)[: self._count - 1 - len(chosen)]
            self._others = others = near[np.sort(np.concatenate([chosen, more]))]
        return _padded(np.concatenate([[first], others])[: self._count], self._count)


@dataclass(frozen=True)
class _Step:
    """One frame of the trellis."""

    order: ArrayI64
    """Nearest references, nearest first."""
    candidates: ArrayI64
    """Those of them that may be the first one, (C,)."""
    costs: ArrayF64
    """(C,) of the cheapest path that ends at each."""
    before: ArrayI64
    """(C,) candidate of the frame before, on that path."""


def _squared(mouth: ArrayFloat, references: ArrayFloat) -> ArrayF64:
    """Return the mean squared distances of the points of a mouth (57, 2) to those of references (N, 57, 2).

    Mouth by mouth: products of matrices round otherwise for pieces of another size.
    """
    apart = (np.asarray(references, np.float64) - mouth).reshape(len(references), -1)
    return np.asarray(np.einsum("ij,ij->i", apart, apart) / MOUTH_POINTS)


def _padded(numbers: ArrayI64, count: int) -> ArrayI64:
    """Return ``count`` numbers: if there are fewer, the last one is repeated."""
    if len(numbers) < count:
        numbers = np.pad(numbers, (0, count - len(numbers)), mode="edge")
    return np.asarray(numbers, np.int64)


def _typical_distance(references: ArrayF64) -> float:
    """Return the median squared distance of a reference to the nearest other one."""
    if len(references) < 2:
        return 0.0
    nearest = [np.partition(_squared(reference, references), 1)[1] for reference in references]
    return float(np.median(nearest))
