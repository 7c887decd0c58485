"""The queue of speech of one client: pushed audio and texts, in order.

Enforces the limits. `live` schedules the output. Nothing here blocks or locks: callers hold the lock of the
stream.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from newscaster.errors import InputError
from newscaster.synthesis.options import LiveLimits
from newscaster.synthesis.utterance import Utterance
from newscaster.types import ArrayF32

NewUtterance = Callable[[int, float, bool], Utterance]
"""Makes an utterance of a rate in Hz, a start time in seconds, and whether it is read aloud."""


@dataclass(kw_only=True)
class ReadText:
    """A queued text."""

    characters: int
    start_seconds: float
    """Arrival of the text, on the clock of the stream."""
    utterance: Utterance
    """The utterance of its next sentence: its place in the order."""
    id: int
    """Number of this speech, as for pushed audio."""
    read_samples: int = 0
    """Audio of it so far."""
    dropped: bool = False
    made: bool = False
    """Whether all of it is synthesised."""


class SpeechQueue:
    """Utterances in the order of output.

    Args:
        new_utterance: makes an utterance.
        text_rate: sampling rate of synthesised texts, in Hz.
        limits: limits on queued speech.
    """

    def __init__(self, new_utterance: NewUtterance, *, text_rate: int, limits: LiveLimits) -> None:
        self._new_utterance = new_utterance
        self._text_rate = text_rate
        self._limits = limits
        self._coming: deque[Utterance] = deque()
        self._open: Utterance | None = None  # takes pushed audio
        self._texts: list[ReadText] = []
        self._ids = itertools.count(1)
        self._open_id: int | None = None  # of the pushed audio, until it is flushed
        self._finished: list[int] = []
        self.current: Utterance | None = None
        """The utterance that is playing."""

    @property
    def next(self) -> Utterance | None:
        """The utterance after the current one; None if there is none."""
        return self._coming[0] if self._coming else None

    @property
    def busy(self) -> bool:
        """Whether an utterance is playing or queued."""
        return bool(self._coming) or (self.current is not None and not self.current.over)

    def waiting_seconds(self, *, read: bool) -> float:
        """Return the audio that is queued: of texts, or of pushed audio."""
        utterances = [self.current, *self._coming]
        return sum(u.waiting_seconds for u in utterances if u is not None and u.read == read)

    def push(self, samples: ArrayF32, rate: int, now: float) -> int:
        """Append samples (n,) to the pushed utterance. Start a new one after a flush or a change of the rate.

        Returns:
            Number of the speech. It stays the same after an underrun, until a flush.

        Raises:
            InputError: the queue is full; none of the samples are accepted.
        """
        waiting, limit = self.waiting_seconds(read=False), self._limits.max_pending_audio_seconds
        if waiting + len(samples) / rate > limit:
            raise InputError(
                f"{len(samples) / rate:.1f} s of audio are pushed, and {waiting:.1f} s are queued; expected "
                f"{limit:g} s at most in all (max_pending_audio_seconds). No samples were accepted: push "
                "them again when some of the queue has been output"
            )
        if self._open is not None and self._open.rate != rate:
            self.flush()
        if self._open is None or self._open.ended:
            if self._open_id is None:
                self._open_id = next(self._ids)
            self._open = self._started(rate, now, self._open_id, read=False)
            self._coming.append(self._open)
        self._open.add(samples)
        assert self._open_id is not None
        return self._open_id

    def _started(self, rate: int, now: float, number: int, *, read: bool) -> Utterance:
        utterance = self._new_utterance(rate, now, read)
        utterance.id = number
        return utterance

    def flush(self) -> None:
        """End the pushed utterance."""
        if self._open is not None:
            self._open.end()
            self._end_speech(self._open)
        self._open = self._open_id = None

    def _end_speech(self, last: Utterance) -> None:
        """Note that a speech has no more parts than those that it has."""
        last.is_last = True
        if last is not self.current and last not in self._coming:  # an underrun has ended it before
            self._finished.append(last.id)

    def finish(self, utterance: Utterance) -> None:
        """Note that an utterance has been output to its end."""
        if utterance is self.current:
            self.current = None
        if utterance.is_last:
            self._finished.append(utterance.id)

    def pop_finished(self) -> tuple[int, ...]:
        """Return the numbers of the speeches that have been output to their end since the last call."""
        finished, self._finished = tuple(self._finished), []
        return finished

    def read(self, characters: int, now: float) -> ReadText:
        """Return a place for a text of this length, at the end of the queue.

        Raises:
            InputError: the queue is full.
        """
        waiting, limit = sum(text.characters for text in self._texts), self._limits.max_pending_chars
        if waiting + characters > limit:
            raise InputError(
                f"the text has {characters} characters, and {waiting} are queued; expected {limit} at most "
                "in all (max_pending_chars). Send it when some of them have been read, or in parts"
            )
        self.flush()
        number = next(self._ids)
        utterance = self._started(self._text_rate, now, number, read=True)
        text = ReadText(characters=characters, start_seconds=now, utterance=utterance, id=number)
        self._texts.append(text)
        self._coming.append(utterance)
        return text

    def made(self, text: ReadText) -> None:
        """Mark a text as synthesised, in whole or as far as it will be."""
        text.utterance.end()
        if not text.dropped:
            self._end_speech(text.utterance)
        text.made = True
        self._texts = [other for other in self._texts if other is not text]

    def underrun(self, utterance: Utterance) -> None:
        """End the current utterance, whose audio is late. Later audio starts a new one.

        The next sentence of a text keeps its place in the order.
        """
        utterance.end()
        for text in self._texts:
            if text.utterance is utterance:
                text.utterance = self._started(self._text_rate, text.start_seconds, text.id, read=True)
                text.utterance.continues = not utterance.is_empty
                self._coming.appendleft(text.utterance)

    def split(self, text: ReadText) -> None:
        """End the utterance of a text. Its next sentence starts a new one, at the same place in the order."""
        previous = text.utterance
        previous.end()
        text.utterance = self._started(self._text_rate, text.start_seconds, text.id, read=True)
        text.utterance.continues = True
        after = self._coming.index(previous) + 1 if previous in self._coming else 0
        self._coming.insert(after, text.utterance)

    def start_next(self) -> Utterance:
        """Make the next utterance the current one, and return it."""
        self.current = self._coming.popleft()
        return self.current

    def clear(self) -> None:
        """Drop all queued speech, including texts in synthesis. The current utterance stays."""
        for text in self._texts:
            text.dropped = True
        self._texts = []
        self._coming.clear()
        self._open = self._open_id = None
