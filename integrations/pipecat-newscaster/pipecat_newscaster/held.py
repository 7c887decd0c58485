"""Frames that wait until the audio before them has been heard."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pipecat.frames.frames import Frame


@dataclass(frozen=True)
class Held:
    """A frame and its place in a speech."""

    frame: Frame
    number: int
    """Of the speech, see `newscaster.LiveFrame.utterance`."""
    seconds: float
    """In the speech; infinity: at its end."""


class HeldFrames:
    """A queue of frames, released in the order of their arrival."""

    def __init__(self) -> None:
        self._frames: deque[Held] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame, number: int, seconds: float) -> None:
        """Hold a frame until so much of a speech has been output."""
        self._frames.append(Held(frame, number, seconds))

    def release(self, number: int, seconds: float, *, ended: bool) -> list[Frame]:
        """Return the frames that are due when so much of speech `number` has been output, or all of it."""
        due = []
        while self._frames:
            held = self._frames[0]
            is_due = held.number < number or (held.number == number and (ended or held.seconds <= seconds))
            if not is_due:
                break
            due.append(self._frames.popleft().frame)
        return due

    def clear(self) -> list[Frame]:
        """Drop all frames but those that an interruption may not drop, and return these."""
        kept = [held.frame for held in self._frames if not held.frame.interruptible]
        self._frames.clear()
        return kept
