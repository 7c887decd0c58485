"""Ways from one part of a target to another: where to leave, so that the cut shows least and comes soon.

A route leads from the frames of a *domain* to one of several *goals*. It is the cheapest sum of the wait and
of the visibility of the cuts, by value iteration over all frames and both playback directions. `actions` uses
it to enter and leave named clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.transitions import Transitions
from newscaster.synthesis.playback_order import cost_of_change
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64

_COST_PER_SECOND = 2.0
"""Of waiting, in the unit of `cost_of_change`: a visible cut costs 6, three seconds of waiting."""
_COST_OF_TRANSITION = 0.2
_MAX_WAIT_SECONDS = 4.0
_COMPARED = 3
"""Goals per state whose images are compared."""
_DIRECTIONS = (+1, -1)

State = tuple[int, int]
"""A frame and its playback direction, +1 or -1."""


@dataclass(frozen=True)
class Places:
    """Frames of a target, and the directions in which they may be played."""

    frames: ArrayBool
    """(F,)"""
    directions: tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """How a target is played while an action waits for its cut."""

    similarity: FrameSimilarity
    """Of its frames, in the segments of the footage."""
    transitions: Transitions | None
    """Cuts that may be taken meanwhile; None: none."""
    loops: bool = False
    """Whether the first frame follows the last one."""

    def next(self, frames: ArrayI64, by: int) -> tuple[ArrayI64, ArrayBool]:
        """Return the frames that lie `by` frames later, and whether they exist in the footage."""
        total, segment = len(self.similarity), self.similarity.segment
        if self.loops:
            return (frames + by) % total, np.ones(len(frames), np.bool_)
        moved = np.clip(frames + by, 0, total - 1)
        return moved, (moved == frames + by) & (segment[moved] == segment[frames])


@dataclass(frozen=True)
class Route:
    """The way from any state of a domain to a goal. Arrays are (2, F): forward first, then backward."""

    cost: ArrayF64
    """Of the cut to `frame`; infinite outside the domain."""
    change: ArrayF64
    """Of that cut, in usual steps (`face.frame_similarity.UNSEEN`)."""
    frame: ArrayI64
    """The goal that a cut leads to."""
    direction: ArrayI64
    value: ArrayF64
    """Cost of the whole way."""
    steps: Steps

    @staticmethod
    def between(steps: Steps, domain: Places, goals: Places, *, face: ArrayF32, wait: bool = True) -> Route:
        """Find the route from a domain to goals.

        Args:
            steps: how the domain is played.
            domain: where the target is when the action is wanted.
            goals: frames to arrive at.
            face: (F, F) `FrameSimilarity.changes_of_face`.
            wait: whether later frames of the domain may be waited for.
        """
        total = len(steps.similarity)
        change = np.full((2, total), np.inf)
        frame, direction = np.zeros((2, total), np.int64), np.ones((2, total), np.int64)
        sources = np.flatnonzero(domain.frames)
        for before in domain.directions:
            row = _row(before)
            for after in goals.directions:
                found, target = _best_cuts(steps, sources, before, np.flatnonzero(goals.frames), after, face)
                better = found < change[row, sources]
                chosen = sources[better]
                change[row, chosen], frame[row, chosen] = found[better], target[better]
                direction[row, chosen] = after
        cost = np.where(np.isfinite(change), cost_of_change(change), np.inf)
        value = _values(steps, domain, cost) if wait else cost
        return Route(cost, change, frame, direction, value, steps)

    def next(self, state: State) -> tuple[State, bool]:
        """Return the state after this one, and whether it is a goal."""
        frame, direction = state
        row = _row(direction)
        if self.cost[row, frame] <= self.value[row, frame] + 1e-9:
            return (int(self.frame[row, frame]), int(self.direction[row, frame])), True
        options: list[tuple[float, State]] = []
        moved, exists = self.steps.next(np.array([frame]), direction)
        if exists[0]:
            options.append((float(self.value[row, moved[0]]), (int(moved[0]), direction)))
        cuts = self.steps.transitions
        if cuts is not None:
            for at in np.flatnonzero((cuts.source == frame) & (cuts.before == direction)):
                target, after = int(cuts.target[at]), int(cuts.after[at])
                options.append((float(_cost(cuts)[at] + self.value[_row(after), target]), (target, after)))
        best = min(options, default=(np.inf, state))
        if not np.isfinite(best[0]):
            return (int(self.frame[row, frame]), int(self.direction[row, frame])), True
        return best[1], False


def _row(direction: int) -> int:
    return 0 if direction > 0 else 1


def _cost(transitions: Transitions) -> ArrayF64:
    return _COST_OF_TRANSITION + cost_of_change(transitions.change)


# Frames compared for a cut from state (i, d) to state (j, e), as `face.transitions` does:
#
#     before    i   [i+d]
#     after  [j-e]    j


def _best_cuts(
    steps: Steps, sources: ArrayI64, before: int, goals: ArrayI64, after: int, face: ArrayF32
) -> tuple[ArrayF64, ArrayI64]:
    """Return the change (n,) of the best cut from each of the sources, and the goal (n,) it leads to."""
    ahead, has_ahead = steps.next(sources, before)
    behind, has_behind = steps.next(goals, -after)
    pairs = ((ahead, goals, has_ahead[:, None]), (sources, behind, has_behind[None]))
    total = np.zeros((len(sources), len(goals)), np.float32)
    weight = np.zeros_like(total)
    for first, second, exists in pairs:
        total += exists * face[first][:, second]
        weight += exists
    change = np.where(weight > 0, total / np.maximum(weight, 1), face[sources][:, goals])
    kept = min(_COMPARED, len(goals))
    nearest = np.argpartition(change, kept - 1, axis=1)[:, :kept]
    rows = np.arange(len(sources))[:, None]
    compared = change[rows, nearest].astype(np.float64)
    images = np.zeros_like(compared)
    for first, second, exists in pairs:
        both = np.broadcast_to(exists, change.shape)[rows, nearest]
        a = np.broadcast_to(first[:, None], compared.shape)
        images += both * steps.similarity.image_change(a.ravel(), second[nearest].ravel()).reshape(a.shape)
    images /= np.maximum(weight[rows, nearest], 1) * steps.similarity.usual[2]
    compared = np.maximum(compared, images)
    best = compared.argmin(axis=1)
    return compared[rows[:, 0], best], goals[nearest[rows[:, 0], best]]


def _values(steps: Steps, domain: Places, cost: ArrayF64) -> ArrayF64:
    """Return the cost (2, F) of the whole way from each state: the cut now, or a step and the way from it."""
    fps, total = steps.similarity.fps, len(steps.similarity)
    per_frame = _COST_PER_SECOND / fps
    frames = np.arange(total)
    moved = [steps.next(frames, direction) for direction in _DIRECTIONS]
    cuts = steps.transitions
    if cuts is not None:
        inside = domain.frames[cuts.source] & domain.frames[cuts.target]
        cuts = cuts[inside]
        rows = np.where(cuts.before > 0, 0, 1), np.where(cuts.after > 0, 0, 1)
    value = cost
    for _ in range(round(_MAX_WAIT_SECONDS * fps)):
        ahead = np.stack([np.where(ok, value[row, to], np.inf) for row, (to, ok) in enumerate(moved)])
        if cuts is not None:
            np.minimum.at(ahead, (rows[0], cuts.source), _cost(cuts) + value[rows[1], cuts.target])
        value = np.where(domain.frames, np.minimum(cost, per_frame + ahead), np.inf)
    return np.asarray(value)
