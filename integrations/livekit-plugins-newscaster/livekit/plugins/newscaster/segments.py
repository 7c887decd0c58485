"""The segments of audio that an agent captures, from their first frame to their playback event.

A segment is what lies between two flushes. The agent waits for one playback event for each, whatever
becomes of it: an event that is missing stops the agent, one too many is logged as an error. So segments are
counted when the agent hands them over, before any queue that an interruption empties.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents.utils import aio
from livekit.agents.voice.avatar import AudioSegmentEnd


@dataclass
class Part:
    """A speech of `newscaster.Live`: a segment has several if its sampling rate changes."""

    number: int
    seconds: float
    ended: bool = False


@dataclass(eq=False)
class Segment:
    """Audio between two flushes."""

    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    """Whether the agent has flushed it."""
    pushed: bool = False
    """Whether all of it has been pushed to the stream."""
    cancelled: bool = False
    """Whether it was cleared."""
    started: bool = False
    """Whether some of it has been output."""

    @property
    def seconds(self) -> float:
        """Duration of its audio that was pushed."""
        return sum(part.seconds for part in self.parts)

    @property
    def is_over(self) -> bool:
        """Whether all of it has been output."""
        return self.pushed and all(part.ended for part in self.parts)

    def add(self, number: int, seconds: float) -> None:
        """Count audio that was pushed as speech `number`."""
        if not self.parts or self.parts[-1].number != number:
            self.parts.append(Part(number, 0.0))
        self.parts[-1].seconds += seconds

    def position(self, current_seconds: float) -> float:
        """Return how much has been output if `current_seconds` of its current part have."""
        before = sum(part.seconds for part in self.parts if part.ended)
        current = next((part for part in self.parts if not part.ended), None)
        return before if current is None else before + min(current_seconds, current.seconds)


Item = tuple[Segment, rtc.AudioFrame | AudioSegmentEnd]
"""An item of a segment."""


class Segments:
    """The segments that wait for their playback event, in order."""

    def __init__(self) -> None:
        self.pending: deque[Segment] = deque()
        self._open: Segment | None = None

    def note(self, item: rtc.AudioFrame | AudioSegmentEnd) -> Item:
        """Count an item that the agent has handed over.

        A frame after an end starts a segment. An end without frames is a segment without audio.
        """
        segment = self._open
        if segment is None:
            segment = self._open = Segment()
            self.pending.append(segment)
        if isinstance(item, AudioSegmentEnd):
            segment.ended = True
            self._open = None
        return segment, item

    def cancel(self) -> list[Segment]:
        """Cancel all segments and return them; what else belongs to an open one is part of it."""
        cancelled = list(self.pending)
        self.pending.clear()
        for segment in cancelled:
            segment.cancelled = True
        return cancelled

    def find(self, number: int | None) -> Segment | None:
        """Return the segment of a speech; None if there is none, or it was cancelled."""
        return next((s for s in self.pending if any(part.number == number for part in s.parts)), None)

    def end_speeches(self, numbers: tuple[int, ...]) -> None:
        """Note the speeches that have been output to their end."""
        for segment in self.pending:
            end_parts(segment, numbers)

    def take_over(self) -> list[Segment]:
        """Remove the segments from the front that have been output to their end, and return them."""
        over = []
        while self.pending and self.pending[0].is_over:
            over.append(self.pending.popleft())
        return over


def end_parts(segment: Segment, numbers: tuple[int, ...]) -> None:
    """Note the speeches that have been output to their end, if they are of this segment."""
    for part in segment.parts:
        part.ended = part.ended or part.number in numbers


class SegmentChannel(aio.Chan[Any]):
    """The channel of an audio receiver: counts items when sent, and gives them with their segment."""

    def __init__(self, segments: Segments) -> None:
        super().__init__()
        self._segments = segments

    def send_nowait(self, value: Any) -> None:
        """Count an item, and queue it."""
        super().send_nowait(self._segments.note(value))
