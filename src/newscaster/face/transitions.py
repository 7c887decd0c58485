"""Transitions: the points at which footage can be cut, or reversed, without a visible jump.

Finds the transitions between any two frames, after Video Textures (Schoedl et al. 2000). The playback order
chooses among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ArrayI64

_SIDES = ((+1, +1), (-1, -1), (+1, -1), (-1, +1))
"""Playback directions before and after a transition."""
_MIN_SKIP_SECONDS = 0.8
_THIN_SECONDS = 0.4
"""Transitions are thinned per pair of time bins of this length."""
_COMPARED, _KEPT = 16, 4
"""Transitions per pair of bins whose images are compared, and transitions that are kept."""
_TURN_SECONDS = 0.5
"""Largest distance of a turn from the end of its segment."""
_CHANGE_OF_BLINK = 10.0
"""Usual steps added to a turn within a blink, which is the last choice."""


@dataclass(frozen=True)
class Transitions:
    """n transitions between frames.

    After frame `source`, played in direction `before`, comes `target`, played in direction `after`.
    """

    source: ArrayI64
    before: ArrayI64
    """+1 or -1"""
    target: ArrayI64
    after: ArrayI64
    change: ArrayF64
    """In usual steps; see `UNSEEN`."""

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, which: npt.NDArray[Any]) -> Transitions:
        return Transitions(
            self.source[which], self.before[which], self.target[which], self.after[which], self.change[which]
        )

    @staticmethod
    def together(parts: list[Transitions]) -> Transitions:
        """Concatenate the parts."""
        names = ("source", "before", "target", "after", "change")
        return Transitions(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def find_transitions(similarity: FrameSimilarity) -> Transitions:
    """Return all invisible transitions, and a turn of least change at either end of every segment."""
    parts = [_turns_at_ends(similarity)]
    face = similarity.changes_of_face()
    for before, after in _SIDES:
        candidates = _by_face(similarity, face, before, after)
        candidates = _with_image(similarity, _thinned(candidates, similarity.fps, kept=_COMPARED))
        parts.append(_thinned(candidates[candidates.change <= UNSEEN], similarity.fps, kept=_KEPT))
    return Transitions.together(parts)


# Frames compared for a transition from state (i, d) to state (j, e). Without it, i+d follows i and j-e
# precedes j:
#
#     before   i-d    i   [i+d  i+2d]        weights  1  2  2  1
#     after  [j-2e  j-e]    j    j+e
_PLACES = ((-1, 1.0), (0, 2.0), (1, 2.0), (2, 1.0))


def _by_face(similarity: FrameSimilarity, face: ArrayF32, before: int, after: int) -> Transitions:
    """Return the transitions whose head and eyes match, each the best among its neighbours in time."""
    frames = len(similarity)
    total, weight = np.zeros((frames,) * 2, np.float32), np.zeros((frames,) * 2, np.float32)
    for place, fraction in _PLACES:
        i, known_i = _moved(similarity, place * before)
        j, known_j = _moved(similarity, (place - 1) * after)
        # One pair of a turn is the same frame twice and carries no information.
        known = fraction * (known_i[:, None] & known_j[None] & (i[:, None] != j[None]))
        total += known * face[i][:, j]
        weight += known
    cost = np.where(weight >= 4, total / np.maximum(weight, 1), np.inf)
    allowed = _outside_blinks(similarity)
    cost[~allowed] = np.inf
    cost[:, ~allowed] = np.inf
    cost[~_is_useful(similarity, before, after)] = np.inf
    best = cost <= UNSEEN
    # Keep the best of transitions that differ by a time shift alone.
    for step in (1, 2, 3):
        for sign in (step, -step):
            i, known_i = _moved(similarity, sign * before)
            j, known_j = _moved(similarity, sign * after)
            other = np.where(known_i[:, None] & known_j[None], cost[i][:, j], np.inf)
            best &= (cost < other) | ((cost == other) & (sign > 0))
    source, target = np.nonzero(best)
    return _transitions(source, before, target, after, cost[best])


def _thinned(transitions: Transitions, fps: float, *, kept: int) -> Transitions:
    """Keep the best ``kept`` transitions of each pair of time bins."""
    piece = max(1, round(_THIN_SECONDS * fps))
    key = transitions.source // piece * (transitions.target.max(initial=0) + 1) + transitions.target // piece
    order = np.lexsort((transitions.change, key))
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    return transitions[np.sort(order[rank < kept])]


def _transitions(
    source: ArrayI64, before: int, target: ArrayI64, after: int, change: npt.NDArray[Any]
) -> Transitions:
    ones = np.ones(len(source), np.int64)
    return Transitions(source, before * ones, target, after * ones, change.astype(np.float64))


def _moved(similarity: FrameSimilarity, by: int) -> tuple[ArrayI64, ArrayBool]:
    """Return frame numbers (F,) shifted in time, and whether they stay in their segment."""
    frames = np.arange(len(similarity))
    moved = np.clip(frames + by, 0, len(similarity) - 1)
    return moved, (moved == frames + by) & (similarity.segment[moved] == similarity.segment)


def _outside_blinks(similarity: FrameSimilarity) -> ArrayBool:
    return ~similarity.blinks


def _is_useful(similarity: FrameSimilarity, before: int, after: int) -> ArrayBool:
    """Return (F, F): transitions that lead far away, reverse on the spot, or skip a blink in reverse."""
    frames = np.arange(len(similarity))
    step = frames[None] - frames[:, None]
    far = np.abs(step) >= _MIN_SKIP_SECONDS * similarity.fps
    far |= similarity.segment[:, None] != similarity.segment[None]
    if before != after:
        return np.asarray(far | (step == -before))
    if before < 0:
        passed = np.cumsum(similarity.blinks)
        far |= (step < -1) & (passed[:, None] - passed[None] > 0)
    return np.asarray(far)


def _with_image(similarity: FrameSimilarity, transitions: Transitions) -> Transitions:
    """Return the transitions with the larger of their change and that of the image."""
    total, weight = np.zeros(len(transitions)), np.zeros(len(transitions))
    if similarity.images is None or not len(transitions):
        return transitions
    for place, fraction in _PLACES[1:3]:
        a, b = (
            transitions.source + place * transitions.before,
            transitions.target + (place - 1) * transitions.after,
        )
        total += fraction * similarity.image_change(a, b)
        weight += fraction * (a != b)
    change = np.maximum(transitions.change, total / weight / similarity.usual[2])
    return Transitions(transitions.source, transitions.before, transitions.target, transitions.after, change)


def _turns_at_ends(similarity: FrameSimilarity) -> Transitions:
    """Return a turn near either end of every segment, visible or not, so that one always exists."""
    parts = []
    for start, stop in similarity.bounds:
        for direction in (+1, -1):
            line = np.arange(start, stop)[::direction]
            room = min(round(_TURN_SECONDS * similarity.fps), len(line) // 8)
            places = np.arange(len(line) - 1 - room, len(line))
            # The undone step and the step in its place: twice the speed.
            back = line[np.maximum(places - 1, 0)]
            change = 2 * similarity.change(line[places], back)
            calm = change + _CHANGE_OF_BLINK * similarity.blinks[line[places]]
            best = int(np.argmin(calm))
            chosen = {best, len(places) - 1}  # also the very end, for playback that starts after the best
            for at in sorted(chosen):
                parts.append(
                    _transitions(
                        line[places[at : at + 1]], direction, back[at : at + 1], -direction, calm[at : at + 1]
                    )
                )
    return Transitions.together(parts)
