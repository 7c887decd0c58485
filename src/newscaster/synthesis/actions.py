"""Actions on cue: the order of a target's frames that enters named clips, and leaves them again.

Frames of a clip are shown on cue alone, unless the target loops. A clip is entered and left where the cut
shows least and comes soon (`action_routes`). A clip that loops is played like a small target of its own.

::

    target  ──► route ──► clip, forward ──► route ──► target
                          or in a loop
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from newscaster.errors import InputError
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.face.transitions import Transitions, find_transitions
from newscaster.formats.named_clips import IDLE, LISTENING, NamedClip, names_text
from newscaster.synthesis.action_routes import Places, Route, State, Steps
from newscaster.synthesis.playback_order import Memory, PlaybackOrder
from newscaster.texts import quoted
from newscaster.types import ArrayBool, ArrayF32

MAX_PENDING = 16
"""Actions that wait for their turn."""
_EDGE_SECONDS = 0.3
"""Part of a clip, at its start and at its end, within which it may be entered and left."""
_IDLE_SECONDS = 1.0
"""Silence after which the clip `idle` begins."""


@dataclass(frozen=True)
class Part:
    """What is shown: the target itself, or a clip."""

    name: str | None = None
    """Of the clip; None: the target."""
    loops: bool = False
    """Whether the clip is repeated until something else is wanted."""


TARGET = Part()


class ActionGraph:
    """The clips of one target, and the ways between them. Thread-safe; streams share it.

    Args:
        similarity: of the frames of the target.
        clips: its named clips.
        loops: whether the first frame of the target follows the last one.
    """

    def __init__(self, similarity: FrameSimilarity, clips: Sequence[NamedClip], *, loops: bool) -> None:
        self.clips = {clip.name: clip for clip in clips}
        self._similarity, self.loops = similarity, loops
        self.fps = similarity.fps
        self._routes: dict[tuple[Part, Part], Route] = {}
        self._lock = threading.Lock()

    @cached_property
    def own_frames(self) -> ArrayBool:
        """(F,): frames that are shown without an action."""
        frames = np.ones(len(self._similarity), np.bool_)
        if not self.loops:
            for clip in self.clips.values():
                frames[clip.start : clip.stop] = False
        return frames

    @cached_property
    def order(self) -> PlaybackOrder:
        """The orders of the target without its clips."""
        return PlaybackOrder.along(self._parted, self._transitions, shown=self.own_frames)

    def check(self, name: str) -> None:
        """Raise InputError if there is no such clip."""
        if name not in self.clips:
            raise InputError(
                f"the action is {quoted(name)}; expected one of the anchor's clips: "
                f"{names_text(self.clips.values())}. Add one: newscaster clips ANCHOR --add NAME=START-STOP"
            )

    def route(self, source: Part, goal: Part) -> Route:
        """Return the way from one part to another, computed at its first use."""
        with self._lock:
            route = self._routes.get((source, goal))
            if route is None:
                route = self._routes[source, goal] = self._find(source, goal)
            return route

    def cut_changes(self, name: str) -> tuple[float, float]:
        """Return the change of the least visible cut into a clip, and out of it; above 1, it can be seen."""
        into, out = self.route(TARGET, Part(name)), self.route(Part(name), TARGET)
        return float(into.change.min()) / UNSEEN, float(out.change.min()) / UNSEEN

    def states(self, part: Part, start: State, memory: Memory | None) -> Iterator[State]:
        """Yield the states of the target, or of a clip that loops, from a state on."""
        if part.name is None and self.loops:
            return self._loop(start[0])
        order = self.order if part.name is None else self._clip_order(part.name)
        return order.states(start=start[0], direction=start[1], memory=memory)

    def edge_frames(self, name: str) -> int:
        """Return the frames at either end of a clip within which it is entered and left."""
        return max(1, min(round(_EDGE_SECONDS * self._similarity.fps), self.clips[name].frames // 3))

    def _loop(self, frame: int) -> Iterator[State]:
        while True:
            yield frame, +1
            frame = (frame + 1) % len(self._similarity)

    def _clip_order(self, name: str) -> PlaybackOrder:
        return PlaybackOrder.along(self._parted, self._transitions, shown=self._frames(name))

    def _frames(self, name: str) -> ArrayBool:
        clip, frames = self.clips[name], np.zeros(len(self._similarity), np.bool_)
        frames[clip.start : clip.stop] = True
        return frames

    @cached_property
    def _parted(self) -> FrameSimilarity:
        """The similarity with a segment for each clip, and for what lies between them."""
        similarity = self._similarity
        number = np.zeros(len(similarity), np.int64)
        for index, clip in enumerate(self.clips.values(), 1):
            number[clip.start : clip.stop] = index
        changes = (np.diff(number) != 0) | (np.diff(similarity.segment) != 0)
        return FrameSimilarity(
            similarity.head,
            similarity.eyes,
            similarity.blinks,
            np.concatenate([[0], np.cumsum(changes)]),
            similarity.fps,
            similarity.images,
        )

    @cached_property
    def _transitions(self) -> Transitions:
        return find_transitions(self._parted)

    @cached_property
    def _face(self) -> ArrayF32:
        return self._similarity.changes_of_face()

    def _find(self, source: Part, goal: Part) -> Route:
        turns = None if self.loops and source.name is None else self._transitions
        if source.name is not None and not source.loops:
            domain, turns = Places(self._edge(source.name, at_end=True), (+1,)), None
        else:
            domain = self._places(source)
        goals = self._places(goal)
        if goal.name is not None and not goal.loops:
            goals = Places(self._edge(goal.name, at_end=False), (+1,))
        steps = Steps(self._similarity, turns, loops=self.loops)
        return Route.between(steps, domain, goals, face=self._face)

    def _places(self, part: Part) -> Places:
        """Return the frames of the target, or of a clip that loops."""
        if part.name is None:
            return Places(self.own_frames, (+1,) if self.loops else (+1, -1))
        return Places(self._frames(part.name), (+1, -1))

    def _edge(self, name: str, *, at_end: bool) -> ArrayBool:
        clip, count = self.clips[name], self.edge_frames(name)
        frames = np.zeros(len(self._similarity), np.bool_)
        frames[clip.stop - count : clip.stop] = at_end
        frames[clip.start : clip.start + count] |= not at_end
        return frames


class ActionOrder:
    """The endless order of frames of one stream. One thread iterates; actions come from any thread.

    Args:
        graph: the clips; None: the target has none, and `plain` is its order.
        start: the first frame.
        plain: order of a target without clips.
    """

    def __init__(
        self, graph: ActionGraph | None, *, start: int = 0, plain: Iterator[int] | None = None
    ) -> None:
        self._graph, self._plain = graph, plain
        self._pending: deque[str] = deque()
        self._peeked: int | None = None
        self._part = TARGET
        self._state: State | None = None
        self._start = start
        self._states: Iterator[State] | None = None
        self._memory: Memory | None = None
        self._silent_frames = 0
        self.listening = False
        """Whether the user speaks."""

    @property
    def action(self) -> str | None:
        """Name of the clip that the last frame belongs to; None: it belongs to the target."""
        return self._part.name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clips."""
        return () if self._graph is None else tuple(self._graph.clips)

    def play(self, name: str) -> None:
        """Show a clip once, after those that wait.

        Raises:
            InputError: there is no such clip; too many wait.
        """
        if self._graph is None:
            raise InputError(
                f"the action is {quoted(name)}; the anchor has no clips. Add one: "
                "newscaster clips ANCHOR --add NAME=START-STOP"
            )
        self._graph.check(name)
        if len(self._pending) >= MAX_PENDING:
            raise InputError(f"{MAX_PENDING} actions are waiting, the maximum. Wait until some were shown")
        for source, goal in ((TARGET, Part(name)), (Part(name), TARGET)):
            self._graph.route(source, goal)  # not in the thread that makes frames
        self._pending.append(name)

    def clear(self) -> None:
        """Drop the actions that wait."""
        self._pending.clear()

    def peek(self) -> int:
        """Return the next frame without passing it."""
        if self._peeked is None:
            self._peeked = self._advance()
        return self._peeked

    def next(self, *, speaking: bool) -> int:
        """Return the next frame.

        Args:
            speaking: whether there is speech now.
        """
        self._silent_frames = 0 if speaking else self._silent_frames + 1
        frame, self._peeked = self.peek(), None
        return frame

    def _advance(self) -> int:
        graph = self._graph
        if graph is None:
            assert self._plain is not None, "a target without clips has an order"
            return next(self._plain)
        if self._state is None:
            self._state = self._start, +1
            return self._start
        self._state = self._step(graph, self._state)
        return self._state[0]

    def _step(self, graph: ActionGraph, state: State) -> State:
        part, wanted = self._part, self._wanted(graph)
        if part.name is not None and not part.loops:
            if state[0] < graph.clips[part.name].stop - graph.edge_frames(part.name):
                return state[0] + 1, +1
        elif wanted == part:
            if self._states is None:
                self._states = self._states_from(graph, part, state)
                next(self._states)  # the state itself
            return next(self._states)
        self._states = None
        state, arrived = graph.route(part, wanted).next(state)
        if arrived:
            self._part = wanted
            if self._pending and self._pending[0] == wanted.name and not wanted.loops:
                self._pending.popleft()
        return state

    def _states_from(self, graph: ActionGraph, part: Part, state: State) -> Iterator[State]:
        if part == TARGET and not graph.loops and self._memory is None:
            self._memory = graph.order.new_memory()
        return graph.states(part, state, self._memory if part == TARGET else None)

    def _wanted(self, graph: ActionGraph) -> Part:
        if self._pending:
            return Part(self._pending[0])
        if self.listening and self._silent_frames and LISTENING in graph.clips:
            return Part(LISTENING, loops=True)
        if self._silent_frames > _IDLE_SECONDS * graph.fps and IDLE in graph.clips:
            return Part(IDLE, loops=True)
        return TARGET
