"""What one listener is still to hear: sound that is pushed and texts that are read, in their order.

Knows what may wait, for how long, and what follows what. When it is shown is for `live`; nothing here waits
or locks, so that whoever holds the listener's lock may call it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from newscaster.errors import InputError
from newscaster.speech.spectral import Floats
from newscaster.synthesis.options import LiveLimits
from newscaster.synthesis.utterance import Utterance

NewUtterance = Callable[[int, float, bool], Utterance]
"""Makes an utterance of a rate in Hz, begun at a moment, that is read or not."""


@dataclass(kw_only=True)
class ReadText:
    """A text on its way to be heard."""

    characters: int
    begun_seconds: float
    utterance: Utterance
    """Where its next sentence goes: its place in the order."""
    dropped: bool = False
    made: bool = False
    """Whether all of it has become sound."""


class SpeechQueue:
    """Utterances in the order in which they are heard.

    Args:
        new_utterance: makes one.
        text_rate: of texts that are read, in Hz.
        limits: what may wait.
    """

    def __init__(self, new_utterance: NewUtterance, *, text_rate: int, limits: LiveLimits) -> None:
        self._new_utterance = new_utterance
        self._text_rate = text_rate
        self._limits = limits
        self._coming: deque[Utterance] = deque()
        self._open: Utterance | None = None  # the one that pushed sound goes to
        self._texts: list[ReadText] = []
        self.current: Utterance | None = None
        """The one that is being heard."""

    @property
    def next(self) -> Utterance | None:
        """The one that comes after the current one."""
        return self._coming[0] if self._coming else None

    @property
    def busy(self) -> bool:
        """Whether something is heard, waits, or is being made."""
        return bool(self._coming) or (self.current is not None and not self.current.over)

    def waiting_seconds(self, *, read: bool) -> float:
        """Sound that has come and not been heard: of texts, or of what was pushed."""
        heard = [self.current, *self._coming]
        return sum(u.waiting_seconds for u in heard if u is not None and u.read == read)

    def push(self, samples: Floats, rate: int, now: float) -> None:
        """Sound (n,) that follows what was pushed before, or begins anew after a flush.

        Raises:
            InputError: too much waits already; nothing of it is taken.
        """
        waiting, limit = self.waiting_seconds(read=False), self._limits.max_pending_audio_seconds
        if waiting + len(samples) / rate > limit:
            raise InputError(
                f"{len(samples) / rate:.1f} s of sound are pushed, and {waiting:.1f} s wait to be heard; "
                f"expected {limit:g} s at most in all (max_pending_audio_seconds). Nothing of it was taken: "
                "push it again when some of what waits has been heard"
            )
        if self._open is None or self._open.ended or self._open.rate != rate:
            self.flush()
            self._open = self._new_utterance(rate, now, False)
            self._coming.append(self._open)
        self._open.add(samples)

    def flush(self) -> None:
        """What was pushed is whole."""
        if self._open is not None:
            self._open.end()
        self._open = None

    def read(self, characters: int, now: float) -> ReadText:
        """A place for a text of so many characters, behind everything that waits.

        Raises:
            InputError: too much text waits already.
        """
        waiting, limit = sum(text.characters for text in self._texts), self._limits.max_pending_chars
        if waiting + characters > limit:
            raise InputError(
                f"the text has {characters} characters, and {waiting} wait to be read; expected {limit} at "
                "most in all (max_pending_chars). Say it when some of them have been read, or in parts"
            )
        self.flush()
        utterance = self._new_utterance(self._text_rate, now, True)
        text = ReadText(characters=characters, begun_seconds=now, utterance=utterance)
        self._texts.append(text)
        self._coming.append(utterance)
        return text

    def made(self, text: ReadText) -> None:
        """All of a text has become sound, or nothing more of it will."""
        text.utterance.end()
        text.made = True
        self._texts = [other for other in self._texts if other is not text]

    def underrun(self, utterance: Utterance) -> None:
        """The current utterance's sound does not come in time: it ends here. What follows begins anew, a
        text's next sentence in its place.
        """
        utterance.end()
        for text in self._texts:
            if text.utterance is utterance:
                text.utterance = self._new_utterance(self._text_rate, text.begun_seconds, True)
                text.utterance.continues = not utterance.is_empty
                self._coming.appendleft(text.utterance)

    def split(self, text: ReadText) -> None:
        """End a text's utterance here. Its next sentence begins a new one, at the same place in the order."""
        ended = text.utterance
        ended.end()
        text.utterance = self._new_utterance(self._text_rate, text.begun_seconds, True)
        text.utterance.continues = True
        after = self._coming.index(ended) + 1 if ended in self._coming else 0
        self._coming.insert(after, text.utterance)

    def begin(self) -> Utterance:
        """Make the next one the current one."""
        self.current = self._coming.popleft()
        return self.current

    def clear(self) -> None:
        """Drop all that waits, texts that are being made included; the current one is left to the caller."""
        for text in self._texts:
            text.dropped = True
        self._texts = []
        self._coming.clear()
        self._open = None
