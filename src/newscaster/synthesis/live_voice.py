"""Texts read aloud for live streams, by voices that several listeners share.

Each voice is loaded once, and says one sentence at a time. Where a text's sound goes is for `programme`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from newscaster.errors import SpeechError
from newscaster.speech.spectral import Floats
from newscaster.synthesis.speech_queue import ReadText, SpeechQueue

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading
    from newscaster.speech.voices.voice import Voice

_log = logging.getLogger("newscaster.synthesis")

_LEAD_SECONDS = 0.16
"""Silence before a text, in which the mouth opens as it does before any speech."""
_POLL_SECONDS = 0.25
_FIRST_WORD = "One."


class SharedVoices:
    """The voices that have been asked for so far, each loaded once: a pace is not a voice."""

    def __init__(self) -> None:
        self._voices: dict[tuple[str | None, str | None], _Shared] = {}
        self._turn = threading.Lock()

    def voice(self, reading: Reading) -> Voice:
        """The voice of a reading, loaded when it is first wanted, and ready to speak at once.

        Raises:
            MissingExtraError: the voice's package is not installed.
            InputError: the voice's file is missing or damaged, or there is no such program.
        """
        key = (reading.voice, reading.command)
        with self._turn:
            if key not in self._voices:
                voice = reading.load()
                if reading.command is None:
                    with suppress(SpeechError):  # networks are loaded when the first word is said
                        voice.say(_FIRST_WORD, speed=reading.speed)
                self._voices[key] = _Shared(voice)
            return self._voices[key]


class _Shared:
    """A voice in whose turn one thread speaks: what engines keep between calls is not for two."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._turn = threading.Lock()

    @property
    def language(self) -> str:
        """As Voice.language."""
        return self._voice.language

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread."""
        with self._turn:
            return self._voice.unread(sentence)

    def say(self, sentence: str, *, speed: float) -> tuple[Floats, int]:
        """As Voice.say."""
        with self._turn:
            return self._voice.say(sentence, speed=speed)


class TextReader:
    """Reads one listener's texts, one after the other, in a thread of its own.

    Args:
        programme: where their sound goes.
        changed: its lock guards the programme; notified of every sentence.
        voices: shared with other listeners.
        reading: how texts are read; its voice is loaded at once, since it will be wanted at once.
        rate: of the sound, in Hz.
        prefetch_seconds: sound that is made before it is heard. A change of the reading applies to what is
            made after it.
    """

    def __init__(
        self,
        programme: SpeechQueue,
        changed: threading.Condition,
        *,
        voices: SharedVoices,
        reading: Reading | None,
        rate: int,
        prefetch_seconds: float,
    ) -> None:
        self._programme = programme
        self._changed = changed
        self._voices = voices
        self._reading = reading
        self._rate = rate
        self._prefetch_seconds = prefetch_seconds
        self._changes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="newscaster-reader")
        if reading is not None:
            self._thread.submit(voices.voice, reading)

    def read(
        self, text: str, place: ReadText, *, on_note: Callable[[str], None] | None = None
    ) -> Future[None]:
        """Have a text read into its place. Done when all of it has become sound.

        `on_note` is called, in the reader's thread, with each line on what is not read as it is written; that
        is also logged.
        """
        return self._thread.submit(self._read, text, place, on_note)

    def change(self, reading: Reading | None) -> None:
        """Read the sentences that have not been made yet like this. The caller holds the lock.

        Args:
            reading: None keeps the reading; the next sentence begins a new utterance all the same.
        """
        self._changes += 1
        if reading is not None and reading != self._reading:
            self._reading = reading
            with suppress(RuntimeError):  # closed just now
                self._thread.submit(self._voices.voice, reading)

    def close(self) -> None:
        """Read nothing more; what is being said now is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, text: str, place: ReadText, on_note: Callable[[str], None] | None) -> None:
        def note(line: str) -> None:
            _log.warning("%s", line)
            if on_note is not None:
                on_note(line)

        changes = self._changes
        first: int | None = 0
        try:
            while not place.dropped and first is not None:
                if changes != self._changes:
                    changes = self._changes
                    self._split(place)
                first = self._read_from(text, first, place, changes, note)
        except Exception as error:  # nobody may be waiting for the future
            _log.warning("a text was not said: %s", error)
            raise
        finally:
            with self._changed:
                self._programme.made(place)
                self._changed.notify_all()

    def _read_from(
        self, text: str, first: int, place: ReadText, changes: int, note: Callable[[str], None]
    ) -> int | None:
        """Read on from sentence `first`; the number of the next one after a change, None at the end."""
        from newscaster.speech.voices import Reading, speak_sentences

        reading = self._reading or Reading()
        voice = self._voices.voice(reading)
        lead = np.zeros(round(_LEAD_SECONDS * self._rate), np.float32)
        spoken = speak_sentences(
            text, reading=reading, rate=self._rate, voice=voice, on_note=note, first=first
        )
        for sentence in spoken:
            if changes != self._changes:
                return sentence.number
            if not self._deliver(place, np.concatenate([lead, sentence.samples])):
                return None
            if changes != self._changes:
                return sentence.number + 1
            lead = lead[:0]
        return None

    def _split(self, place: ReadText) -> None:
        with self._changed:
            if not place.dropped and not place.utterance.is_empty:
                self._programme.split(place)

    def _deliver(self, place: ReadText, audio: Floats) -> bool:
        """Add a sentence to a text, and wait while enough of it waits; False where the text is dropped."""
        with self._changed:
            if not place.dropped:
                place.utterance.add(audio)
                self._changed.notify_all()
            while not place.dropped and self._programme.waiting_seconds(read=True) > self._prefetch_seconds:
                self._changed.wait(_POLL_SECONDS)
            return not place.dropped
