"""The playback order of the frames of a target: endless, without visible cuts or a noticeable loop.

Similar to video textures (Schoedl et al. 2000): a graph whose states are frames, played forward or backward.
Its transitions lead to frames where head, eyes and image continue almost smoothly. `face.transitions` finds
them; this module chooses among them. `target` holds the frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.transitions import Transitions, find_transitions
from newscaster.types import ArrayBool, ArrayF64, ArrayI64

_MIN_RUN_SECONDS = 1.2

# Relative costs of a choice.
_DISCOUNT_PER_SECOND = 0.8
_COST_OF_TRANSITION = 0.8
_COST_AT_UNSEEN = 0.7
_MAX_CHANGE_COST = 6.0
_COST_OF_REPETITION = 1.0
_REPETITION_SECONDS = 60.0
_COST_OF_DOUBLED_BLINK = 1.0
_DOUBLED_SECONDS = 0.8
_COST_OF_REVERSED_BLINK = 2.0
_COST_PER_SECOND_BACKWARD = 0.15
_COST_PER_SECOND_SEEN = 1.0
"""Cost of frames shown just before; it decays with time."""
_FORGOTTEN_SECONDS = 20.0
_AGAIN_SECONDS = 2.0
_SWEEPS = 8
_TEMPERATURE = 0.15


@dataclass
class Memory:
    """When frames were shown and transitions taken, in frames since the start. An order goes on with it."""

    shown: ArrayF64
    """(F,)"""
    taken: ArrayF64
    """(n,): of every transition."""
    now: int = 0


@dataclass(frozen=True)
class PlaybackOrder:
    """The endless orders of one target.

    Each is a function of the target, its start frame and the seed.
    """

    similarity: FrameSimilarity
    transitions: Transitions
    _static: ArrayF64 = field(repr=False)
    """(n,): costs of transitions that do not depend on the history."""

    @staticmethod
    def of(similarity: FrameSimilarity, *, shown: ArrayBool | None = None) -> PlaybackOrder:
        """Find the transitions of a target.

        Args:
            similarity: of its frames. A segment is shown as a whole or not at all.
            shown: (F,) whether frames are shown; None: all are.
        """
        transitions = find_transitions(similarity)
        return PlaybackOrder.along(similarity, transitions, shown=shown)

    @staticmethod
    def along(
        similarity: FrameSimilarity, transitions: Transitions, *, shown: ArrayBool | None = None
    ) -> PlaybackOrder:
        """Return the orders along these transitions of a target; see :meth:`of`."""
        if shown is not None:
            transitions = transitions[shown[transitions.source] & shown[transitions.target]]
        static = _COST_OF_TRANSITION + cost_of_change(transitions.change)
        return PlaybackOrder(
            similarity, transitions, static + _COST_OF_DOUBLED_BLINK * _doubles_blink(similarity, transitions)
        )

    def frames(self, *, start: int = 0, seed: int = 0) -> Iterator[int]:
        """Yield frame numbers without end, from `start` forward.

        Memory does not grow: the history is the last time of each frame and each transition.
        """
        for frame, _ in self.states(start=start, seed=seed):
            yield frame

    def new_memory(self) -> Memory:
        """Return the memory of an order that has shown nothing."""
        long_ago = -1e9
        return Memory(np.full(len(self.similarity), long_ago), np.full(len(self.transitions), long_ago))

    def states(
        self, *, start: int = 0, direction: int = +1, seed: int = 0, memory: Memory | None = None
    ) -> Iterator[tuple[int, int]]:
        """Yield frame numbers and playback directions (+1 or -1) without end.

        Args:
            start: the first frame.
            direction: of the first frame.
            seed: of the choices.
            memory: updated with each frame; None: nothing was shown before.
        """
        if len(self.similarity) == 1:
            while True:
                yield 0, +1
        rng = np.random.default_rng((seed, start))
        memory = memory or self.new_memory()
        frame = start
        while True:
            chosen = self._choose(frame, direction, memory, rng)
            source = int(self.transitions.source[chosen])
            for shown in range(frame, source + direction, direction):
                memory.shown[shown] = memory.now
                memory.now += 1
                yield shown, direction
            memory.taken[chosen] = memory.now
            frame, direction = int(self.transitions.target[chosen]), int(self.transitions.after[chosen])

    def _choose(self, frame: int, direction: int, memory: Memory, rng: np.random.Generator) -> int:
        """Choose the next of the transitions ahead."""
        transitions, fps = self.transitions, self.similarity.fps
        per_frame = self._costs_per_frame(memory)
        age = (memory.now - memory.taken) / fps
        cost = self._static + _COST_OF_REPETITION * np.exp(-age / _REPETITION_SECONDS)
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
        weight = np.exp((worth - worth.max()) / _TEMPERATURE)
        drawn = np.searchsorted(np.cumsum(weight / weight.sum()), rng.random() * (1 - 1e-9))
        return int(within[drawn])

    def _costs_per_frame(self, memory: Memory) -> dict[int, ArrayF64]:
        """Return the cost of showing each frame, by direction."""
        similarity, fps = self.similarity, self.similarity.fps
        age = (memory.now - memory.shown) / fps
        seen = _COST_PER_SECOND_SEEN / fps * np.exp(-age / _FORGOTTEN_SECONDS)
        blink_starts = np.diff(similarity.blinks.astype(int), prepend=0) > 0
        backward = seen + _COST_PER_SECOND_BACKWARD / fps + _COST_OF_REVERSED_BLINK * blink_starts
        return {+1: seen, -1: backward}

    def _worth(self, per_frame: dict[int, ArrayF64], cost: ArrayF64) -> ArrayF64:
        """Return the value (n,) of each transition, with all later ones: value iteration over transitions."""
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

    def _seen_again(self, frame: int, within: ArrayI64) -> ArrayF64:
        """Return the cost of transitions that lead back to frames shown just before them."""
        transitions, similarity = self.transitions, self.similarity
        source, target = transitions.source[within], transitions.target[within]
        low, high = np.minimum(frame, source), np.maximum(frame, source)
        reach = np.round(_AGAIN_SECONDS * similarity.fps) * transitions.after[within]
        first, last = np.minimum(target, target + reach), np.maximum(target, target + reach)
        shared = np.maximum(np.minimum(high, last) - np.maximum(low, first), 0)
        return np.asarray(_COST_PER_SECOND_SEEN / similarity.fps * shared)


def cost_of_change(change: ArrayF64) -> ArrayF64:
    """Return the cost of cuts by their change in usual steps, of any shape: 0.7 at the visible limit."""
    return np.asarray(np.minimum(_COST_AT_UNSEEN * (change / UNSEEN) ** 2, _MAX_CHANGE_COST))


def _along(per_frame: ArrayF64, places: ArrayI64, worth: ArrayF64, step: float, direction: int) -> ArrayF64:
    """Return the value (f,) of each frame of a segment, played to its best transition ahead.

    value(i) = max over s of  step^(s-i) worth(s) - sum of step^(k-i) per_frame(k), i <= k <= s

    with s the frames ahead that have a transition.
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


def _doubles_blink(similarity: FrameSimilarity, transitions: Transitions) -> ArrayBool:
    """Return (n,): whether blinks lie shortly before and shortly after a transition."""
    before, after = np.empty(len(transitions)), np.empty(len(transitions))
    for direction in (+1, -1):
        since, until = _from_blinks(similarity, -direction), _from_blinks(similarity, direction)
        here = transitions.before == direction
        before[here] = since[transitions.source[here]]
        there = transitions.after == direction
        after[there] = until[transitions.target[there]]
    return np.asarray(before + after < _DOUBLED_SECONDS * similarity.fps)


def _from_blinks(similarity: FrameSimilarity, direction: int) -> ArrayF64:
    """Return (F,): frames from each frame to the next blink in a direction; inf if there is none."""
    out = np.full(len(similarity), np.inf)
    for start, stop in similarity.bounds:
        count = np.inf
        line = range(stop - 1, start - 1, -1) if direction > 0 else range(start, stop)
        for frame in line:
            count = 0.0 if similarity.blinks[frame] else count + 1
            out[frame] = count
    return out
