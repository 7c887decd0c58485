"""The order in which a stage's frames are shown: without end, without visible cuts, without a loop to notice.

In the spirit of video textures (Schoedl et al. 2000): a graph whose states are the frames, played forward or
backward, and whose joins lead to where head, eyes and picture go on nearly as they would have. Knows which
joins to take; which there are is left to `face.joins`, the pictures themselves to `stage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.transitions import Transitions, find_transitions

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_MIN_RUN_SECONDS = 1.2

# What costs as much as what, for choosing.
_DISCOUNT_PER_SECOND = 0.8
_COST_OF_JOIN = 0.8
_COST_AT_UNSEEN = 0.7
_COST_AT_MOST = 6.0
_COST_OF_SAME_JOIN = 1.0
_SAME_JOIN_SECONDS = 60.0
_COST_OF_DOUBLED_BLINK = 1.0
_DOUBLED_SECONDS = 0.8
_COST_OF_REVERSED_BLINK = 2.0
_COST_PER_SECOND_BACKWARD = 0.15
_COST_PER_SECOND_SEEN = 1.0
"""Of what has just been shown; less the longer ago that was."""
_FORGOTTEN_SECONDS = 20.0
_AGAIN_SECONDS = 2.0
_SWEEPS = 8
_TEMPERATURE = 0.15


@dataclass
class _Memory:
    """What has been shown when, in frames since the beginning."""

    shown: Array
    """(F,)"""
    taken: Array
    """(n,): of every join."""
    now: int = 0


@dataclass(frozen=True)
class PlaybackOrder:
    """The endless orders of one stage.

    Each is a function of the stage, the frame it begins with, and the seed.
    """

    similarity: FrameSimilarity
    transitions: Transitions
    _static: Array = field(repr=False)
    """(n,): what joins cost, but for what has been shown before."""

    @staticmethod
    def of(similarity: FrameSimilarity) -> PlaybackOrder:
        """Find the joins of a stage."""
        transitions = find_transitions(similarity)
        change = transitions.change / UNSEEN
        static = _COST_OF_JOIN + np.minimum(_COST_AT_UNSEEN * change**2, _COST_AT_MOST)
        return PlaybackOrder(
            similarity, transitions, static + _COST_OF_DOUBLED_BLINK * _doubles_blink(similarity, transitions)
        )

    def frames(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Frame numbers without end, beginning with `start`, forward.

        Memory does not grow: of the past, only when each frame and each join came last is known.
        """
        if len(self.similarity) == 1:
            while True:
                yield 0
        rng = np.random.default_rng((seed, start))
        long_ago = -1e9
        memory = _Memory(np.full(len(self.similarity), long_ago), np.full(len(self.transitions), long_ago))
        frame, direction = start, +1
        while True:
            join = self._choose(frame, direction, memory, rng)
            source = int(self.transitions.source[join])
            for shown in range(frame, source + direction, direction):
                memory.shown[shown] = memory.now
                memory.now += 1
                yield shown
            memory.taken[join] = memory.now
            frame, direction = int(self.transitions.target[join]), int(self.transitions.after[join])

    def _choose(self, frame: int, direction: int, memory: _Memory, rng: np.random.Generator) -> int:
        """The join to take next of those ahead."""
        transitions, fps = self.transitions, self.similarity.fps
        per_frame = self._costs_per_frame(memory)
        age = (memory.now - memory.taken) / fps
        cost = self._static + _COST_OF_SAME_JOIN * np.exp(-age / _SAME_JOIN_SECONDS)
        ahead = (transitions.source - frame) * direction
        same = self.similarity.segment[transitions.source] == self.similarity.segment[frame]
        within = np.flatnonzero(same & (transitions.before == direction) & (ahead >= 0))
        enough = within[ahead[within] >= _MIN_RUN_SECONDS * fps]
        within = enough if len(enough) else within
        worth = self._worth(per_frame, cost)[within] - self._seen_again(frame, within)
        run = ahead[within]
        discount = _DISCOUNT_PER_SECOND ** (np.arange(len(self.similarity) + 1) / fps)
        line = per_frame[direction][frame::direction] if direction > 0 else per_frame[direction][frame::-1]
        spent = np.concatenate([[0.0], np.cumsum(line * discount[: len(line)])])
        worth = worth * discount[run] - spent[run + 1]
        blend_weight = np.exp((worth - worth.max()) / _TEMPERATURE)
        return int(
            within[np.searchsorted(np.cumsum(blend_weight / blend_weight.sum()), rng.random() * (1 - 1e-9))]
        )

    def _costs_per_frame(self, memory: _Memory) -> dict[int, Array]:
        """What showing each frame costs, by direction."""
        similarity, fps = self.similarity, self.similarity.fps
        age = (memory.now - memory.shown) / fps
        seen = _COST_PER_SECOND_SEEN / fps * np.exp(-age / _FORGOTTEN_SECONDS)
        begins = np.diff(similarity.blinks.astype(int), prepend=0) > 0
        backward = seen + _COST_PER_SECOND_BACKWARD / fps + _COST_OF_REVERSED_BLINK * begins
        return {+1: seen, -1: backward}

    def _worth(self, per_frame: dict[int, Array], cost: Array) -> Array:
        """(n,): what is gained by each join, all that follows included: value iteration, join by join."""
        transitions, similarity = self.transitions, self.similarity
        step = _DISCOUNT_PER_SECOND ** (1 / similarity.fps)
        worth = -cost
        lines = [
            (slice(a, b), d, (transitions.before == d) & (transitions.source >= a) & (transitions.source < b))
            for a, b in similarity.bounds
            for d in (1, -1)
        ]
        for _ in range(_SWEEPS):
            value = {+1: np.zeros(len(similarity)), -1: np.zeros(len(similarity))}
            for part, direction, here in lines:
                value[direction][part] = _along(
                    per_frame[direction][part],
                    transitions.source[here] - part.start,
                    worth[here],
                    step,
                    direction,
                )
            reached = np.where(
                transitions.after > 0, value[+1][transitions.target], value[-1][transitions.target]
            )
            worth = step * reached - cost
        return np.asarray(worth)

    def _seen_again(self, frame: int, within: Indices) -> Array:
        """What joins cost because they lead back to what will just have been shown when they are taken."""
        transitions, similarity = self.transitions, self.similarity
        source, target = transitions.source[within], transitions.target[within]
        low, high = np.minimum(frame, source), np.maximum(frame, source)
        reach = np.round(_AGAIN_SECONDS * similarity.fps) * transitions.after[within]
        first, last = np.minimum(target, target + reach), np.maximum(target, target + reach)
        shared = np.maximum(np.minimum(high, last) - np.maximum(low, first), 0)
        return np.asarray(_COST_PER_SECOND_SEEN / similarity.fps * shared)


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


def _doubles_blink(similarity: FrameSimilarity, transitions: Transitions) -> npt.NDArray[np.bool_]:
    """(n,): a blink shortly before a join, and another, or the same, shortly after it."""
    before, after = np.empty(len(transitions)), np.empty(len(transitions))
    for direction in (+1, -1):
        since, until = _from_blinks(similarity, -direction), _from_blinks(similarity, direction)
        here = transitions.before == direction
        before[here] = since[transitions.source[here]]
        there = transitions.after == direction
        after[there] = until[transitions.target[there]]
    return np.asarray(before + after < _DOUBLED_SECONDS * similarity.fps)


def _from_blinks(similarity: FrameSimilarity, direction: int) -> Array:
    """(F,): frames from each frame to the next blink in a direction; inf where none comes."""
    out = np.full(len(similarity), np.inf)
    for start, stop in similarity.bounds:
        count = np.inf
        line = range(stop - 1, start - 1, -1) if direction > 0 else range(start, stop)
        for frame in line:
            count = 0.0 if similarity.blinks[frame] else count + 1
            out[frame] = count
    return out
