"""The order in which a stage's frames are shown: without end, without visible cuts, without a loop to notice.

In the spirit of video textures (Schoedl et al. 2000): a graph whose states are the frames, played forward or
backward, and whose joins lead to where head, eyes and picture go on nearly as they would have. Knows which
joins there are and which to take; what moments look like is left to `face.moments`, pictures to `stage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.moments import UNSEEN, Moments

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SIDES = ((+1, +1), (-1, -1), (+1, -1), (-1, +1))
"""Directions of play before and after a join."""
_SHORTEST_SKIP_SECONDS = 0.8
_MOST_JOINS = 3000
_TURN_SECONDS = 0.5
"""How far from a stretch's end it may turn round at the latest."""
_LEAST_RUN_SECONDS = 1.0

# What costs as much as what, for choosing.
_DISCOUNT_PER_SECOND = 0.8
_COST_OF_JOIN = 0.5
_COST_AT_UNSEEN = 0.7
_COST_AT_MOST = 6.0
_COST_OF_SAME_JOIN = 1.0
_SAME_JOIN_SECONDS = 60.0
_COST_OF_DOUBLED_BLINK = 1.0
_DOUBLED_SECONDS = 0.8
_COST_OF_REVERSED_BLINK = 1.5
_COST_PER_SECOND_BACKWARD = 0.15
_COST_PER_SECOND_SEEN = 1.0
"""Of what has just been shown; less the longer ago that was."""
_FORGOTTEN_SECONDS = 20.0
_AGAIN_SECONDS = 2.0
_SWEEPS = 12
_TEMPERATURE = 0.15


@dataclass(frozen=True)
class Joins:
    """n ways to go on elsewhere.

    After frame `source`, played in direction `before`, comes `target`, played in direction `after`.
    """

    source: Indices
    before: Indices
    """+1 or -1"""
    target: Indices
    after: Indices
    change: Array
    """In usual steps; see `UNSEEN`."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, which: npt.NDArray[Any]) -> Joins:
        return Joins(
            self.source[which], self.before[which], self.target[which], self.after[which], self.change[which]
        )

    @staticmethod
    def together(parts: list[Joins]) -> Joins:
        """All of these."""
        names = ("source", "before", "target", "after", "change")
        return Joins(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def find_joins(moments: Moments) -> Joins:
    """All joins that are not seen, and for either end of every stretch a turn, the calmest that there is."""
    parts = [_turns_at_ends(moments)]
    face = moments.changes_of_face()
    for before, after in _SIDES:
        found = _by_face(moments, face, before, after)
        if len(found) > _MOST_JOINS:
            found = found[np.argsort(found.change, kind="stable")[:_MOST_JOINS]]
        found = _with_picture(moments, found)
        parts.append(found[found.change <= UNSEEN])
    return Joins.together(parts)


# What is compared, of a join from state (i, d) to state (j, e); i+d would have followed, j-e gone before:
#
#     before   i-d    i   [i+d  i+2d]        weights  1  2  2  1
#     after  [j-2e  j-e]    j    j+e
_PLACES = ((-1, 1.0), (0, 2.0), (1, 2.0), (2, 1.0))


def _by_face(moments: Moments, face: npt.NDArray[np.float32], before: int, after: int) -> Joins:
    """The joins whose head and eyes meet, each the best among its neighbours in time."""
    frames = len(moments)
    total, weight = np.zeros((frames,) * 2, np.float32), np.zeros((frames,) * 2, np.float32)
    for place, share in _PLACES:
        i, known_i = _moved(moments, place * before)
        j, known_j = _moved(moments, (place - 1) * after)
        known = share * (known_i[:, None] & known_j[None])
        total += known * face[i][:, j]
        weight += known
    cost = np.where(weight >= 4, total / np.maximum(weight, 1), np.inf)
    allowed = _outside_blinks(moments)
    cost[~allowed] = np.inf
    cost[:, ~allowed] = np.inf
    cost[~_worth_it(moments, before, after)] = np.inf
    best = cost <= UNSEEN
    # Of joins that only differ in when they are taken, the best.
    for step in (1, 2, 3):
        for sign in (step, -step):
            i, known_i = _moved(moments, sign * before)
            j, known_j = _moved(moments, sign * after)
            other = np.where(known_i[:, None] & known_j[None], cost[i][:, j], np.inf)
            best &= (cost < other) | ((cost == other) & (sign > 0))
    source, target = np.nonzero(best)
    return _joins(source, before, target, after, cost[best])


def _joins(source: Indices, before: int, target: Indices, after: int, change: npt.NDArray[Any]) -> Joins:
    ones = np.ones(len(source), np.int64)
    return Joins(source, before * ones, target, after * ones, change.astype(np.float64))


def _moved(moments: Moments, by: int) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Frame numbers (F,) moved in time, and whether they are still of the same stretch."""
    frames = np.arange(len(moments))
    moved = np.clip(frames + by, 0, len(moments) - 1)
    return moved, (moved == frames + by) & (moments.stretch[moved] == moments.stretch)


def _outside_blinks(moments: Moments) -> npt.NDArray[np.bool_]:
    return ~moments.blinks


def _worth_it(moments: Moments, before: int, after: int) -> npt.NDArray[np.bool_]:
    """(F, F): joins that lead far away, turn round on the spot, or leave out a blink going backward."""
    frames = np.arange(len(moments))
    step = frames[None] - frames[:, None]
    far = np.abs(step) >= _SHORTEST_SKIP_SECONDS * moments.fps
    far |= moments.stretch[:, None] != moments.stretch[None]
    if before != after:
        return np.asarray(far | (step == -before))
    if before < 0:
        passed = np.cumsum(moments.blinks)
        far |= (step < -1) & (passed[:, None] - passed[None] > 0)
    return np.asarray(far)


def _with_picture(moments: Moments, joins: Joins) -> Joins:
    """The same joins, their change that of the picture where it is larger."""
    total, weight = np.zeros(len(joins)), np.zeros(len(joins))
    if moments.pictures is None or not len(joins):
        return joins
    for place, share in _PLACES[1:3]:
        a, b = joins.source + place * joins.before, joins.target + (place - 1) * joins.after
        total += share * moments.picture_change(a, b)
        weight += share
    change = np.maximum(joins.change, total / weight / moments.usual[2])
    return Joins(joins.source, joins.before, joins.target, joins.after, change)


def _turns_at_ends(moments: Moments) -> Joins:
    """A turn near either end of every stretch, seen or not: the way that is always there."""
    parts = []
    for start, stop in moments.bounds:
        for direction in (+1, -1):
            line = np.arange(start, stop)[::direction]
            room = min(round(_TURN_SECONDS * moments.fps), len(line) // 8)
            places = np.arange(len(line) - 1 - room, len(line))
            # The step that is undone, and the one that is made in its place: twice the speed.
            back = line[np.maximum(places - 1, 0)]
            change = 2 * moments.change(line[places], back)
            calm = change + UNSEEN * _COST_AT_MOST * moments.blinks[line[places]]
            best = int(np.argmin(calm))
            chosen = {best, len(places) - 1}  # the very end too, for who begins after the best
            for at in sorted(chosen):
                parts.append(
                    _joins(
                        line[places[at : at + 1]], direction, back[at : at + 1], -direction, calm[at : at + 1]
                    )
                )
    return Joins.together(parts)


@dataclass
class _Memory:
    """What has been shown when, in frames since the beginning."""

    shown: Array
    """(F,)"""
    taken: Array
    """(n,): of every join."""
    now: int = 0


@dataclass(frozen=True)
class PlayOrder:
    """The endless orders of one stage.

    Each is a function of the stage, the frame it begins with, and the seed.
    """

    moments: Moments
    joins: Joins
    _static: Array = field(repr=False)
    """(n,): what joins cost, but for what has been shown before."""

    @staticmethod
    def of(moments: Moments) -> PlayOrder:
        """Find the joins of a stage."""
        joins = find_joins(moments)
        change = joins.change / UNSEEN
        static = _COST_OF_JOIN + np.minimum(_COST_AT_UNSEEN * change**2, _COST_AT_MOST)
        return PlayOrder(moments, joins, static + _COST_OF_DOUBLED_BLINK * _doubles_blink(moments, joins))

    def frames(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Frame numbers without end, beginning with `start`, forward.

        Memory does not grow: of the past, only when each frame and each join came last is known.
        """
        if len(self.moments) == 1:
            while True:
                yield 0
        rng = np.random.default_rng((seed, start))
        long_ago = -1e9
        memory = _Memory(np.full(len(self.moments), long_ago), np.full(len(self.joins), long_ago))
        frame, direction = start, +1
        while True:
            join = self._choose(frame, direction, memory, rng)
            source = int(self.joins.source[join])
            for shown in range(frame, source + direction, direction):
                memory.shown[shown] = memory.now
                memory.now += 1
                yield shown
            memory.taken[join] = memory.now
            frame, direction = int(self.joins.target[join]), int(self.joins.after[join])

    def _choose(self, frame: int, direction: int, memory: _Memory, rng: np.random.Generator) -> int:
        """The join to take next of those ahead."""
        joins, fps = self.joins, self.moments.fps
        per_frame = self._costs_per_frame(memory)
        age = (memory.now - memory.taken) / fps
        cost = self._static + _COST_OF_SAME_JOIN * np.exp(-age / _SAME_JOIN_SECONDS)
        ahead = (joins.source - frame) * direction
        same = self.moments.stretch[joins.source] == self.moments.stretch[frame]
        within = np.flatnonzero(same & (joins.before == direction) & (ahead >= 0))
        enough = within[ahead[within] >= _LEAST_RUN_SECONDS * fps]
        within = enough if len(enough) else within
        worth = self._worth(per_frame, cost)[within] - self._seen_again(frame, within)
        run = ahead[within]
        discount = _DISCOUNT_PER_SECOND ** (np.arange(len(self.moments) + 1) / fps)
        line = per_frame[direction][frame::direction] if direction > 0 else per_frame[direction][frame::-1]
        spent = np.concatenate([[0.0], np.cumsum(line * discount[: len(line)])])
        worth = worth * discount[run] - spent[run + 1]
        share = np.exp((worth - worth.max()) / _TEMPERATURE)
        return int(within[np.searchsorted(np.cumsum(share / share.sum()), rng.random() * (1 - 1e-9))])

    def _costs_per_frame(self, memory: _Memory) -> dict[int, Array]:
        """What showing each frame costs, by direction."""
        moments, fps = self.moments, self.moments.fps
        age = (memory.now - memory.shown) / fps
        seen = _COST_PER_SECOND_SEEN / fps * np.exp(-age / _FORGOTTEN_SECONDS)
        begins = np.diff(moments.blinks.astype(int), prepend=0) > 0
        backward = seen + _COST_PER_SECOND_BACKWARD / fps + _COST_OF_REVERSED_BLINK * begins
        return {+1: seen, -1: backward}

    def _worth(self, per_frame: dict[int, Array], cost: Array) -> Array:
        """(n,): what is gained by each join, all that follows included: value iteration, join by join."""
        joins, moments = self.joins, self.moments
        step = _DISCOUNT_PER_SECOND ** (1 / moments.fps)
        worth = -cost
        lines = [
            (slice(a, b), d, (joins.before == d) & (joins.source >= a) & (joins.source < b))
            for a, b in moments.bounds
            for d in (1, -1)
        ]
        for _ in range(_SWEEPS):
            value = {+1: np.zeros(len(moments)), -1: np.zeros(len(moments))}
            for part, direction, here in lines:
                value[direction][part] = _along(
                    per_frame[direction][part], joins.source[here] - part.start, worth[here], step, direction
                )
            reached = np.where(joins.after > 0, value[+1][joins.target], value[-1][joins.target])
            worth = step * reached - cost
        return np.asarray(worth)

    def _seen_again(self, frame: int, within: Indices) -> Array:
        """What joins cost because they lead back to what will just have been shown when they are taken."""
        joins, moments = self.joins, self.moments
        source, target = joins.source[within], joins.target[within]
        low, high = np.minimum(frame, source), np.maximum(frame, source)
        reach = np.round(_AGAIN_SECONDS * moments.fps) * joins.after[within]
        first, last = np.minimum(target, target + reach), np.maximum(target, target + reach)
        shared = np.maximum(np.minimum(high, last) - np.maximum(low, first), 0)
        return np.asarray(_COST_PER_SECOND_SEEN / moments.fps * shared)


def _along(per_frame: Array, places: Indices, worth: Array, step: float, direction: int) -> Array:
    """The value (f,) of being at each frame of a stretch, played to its best join ahead.

    value(i) = max over joins at s ahead of  step^(s-i) worth(s) - sum of step^(k-i) per_frame(k), i <= k <= s
    """
    frames = len(per_frame)
    if direction < 0:
        return _along(per_frame[::-1], frames - 1 - places, worth, step, +1)[::-1]
    power = step ** np.arange(frames)
    spent = np.cumsum(per_frame * power)
    best = np.full(frames, -np.inf)
    np.maximum.at(best, places, power[places] * worth - spent[places])
    ahead = np.maximum.accumulate(best[::-1])[::-1]
    return np.asarray((ahead + spent - per_frame * power) / power)


def _doubles_blink(moments: Moments, joins: Joins) -> npt.NDArray[np.bool_]:
    """(n,): a blink shortly before a join, and another, or the same, shortly after it."""
    before, after = np.empty(len(joins)), np.empty(len(joins))
    for direction in (+1, -1):
        since, until = _from_blinks(moments, -direction), _from_blinks(moments, direction)
        here = joins.before == direction
        before[here] = since[joins.source[here]]
        there = joins.after == direction
        after[there] = until[joins.target[there]]
    return np.asarray(before + after < _DOUBLED_SECONDS * moments.fps)


def _from_blinks(moments: Moments, direction: int) -> Array:
    """(F,): frames from each frame to the next blink in a direction; inf where none comes."""
    out = np.full(len(moments), np.inf)
    for start, stop in moments.bounds:
        count = np.inf
        line = range(stop - 1, start - 1, -1) if direction > 0 else range(start, stop)
        for frame in line:
            count = 0.0 if moments.blinks[frame] else count + 1
            out[frame] = count
    return out
