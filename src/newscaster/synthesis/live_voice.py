"""Text-to-speech for live streams, with voices that several clients share.

Each voice is loaded once, and synthesises one sentence at a time. `speech_queue` takes the audio.
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
from newscaster.speech.captions import TimedSentence
from newscaster.synthesis.speech_queue import ReadText, SpeechQueue
from newscaster.types import ArrayF32

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading
    from newscaster.speech.voices.reading import SpokenSentence
    from newscaster.speech.voices.voice import Voice

_log = logging.getLogger("newscaster.synthesis")

OnSentence = Callable[[int, TimedSentence], None]
"""Called with the number of a speech, and a sentence of it with its time in the audio of that speech."""
_LEAD_SECONDS = 0.12
"""Silence before a text, during which the mouth opens as before any speech: with the default look-ahead, the
gate looks ahead by so much."""
_POLL_SECONDS = 0.25
_FIRST_WORD = "One."


class TextSpeech(Future[None]):
    """A text that is becoming audio: done when all of it is.

    Args:
        synthesis: the same without the number.
        utterance: number of the speech, see `LiveFrame.utterance`.
    """

    def __init__(self, synthesis: Future[None], utterance: int) -> None:
        super().__init__()
        self.utterance = utterance
        synthesis.add_done_callback(self._end)

    def _end(self, synthesis: Future[None]) -> None:
        if synthesis.cancelled():
            self.cancel()
        elif self.set_running_or_notify_cancel():
            error = synthesis.exception()
            if error is None:
                self.set_result(None)
            else:
                self.set_exception(error)


class SharedVoices:
    """The voices in use, each loaded once. Readings that differ in speed alone share a voice."""

    def __init__(self) -> None:
        self._voices: dict[tuple[str | None, str | None], _LockedVoice] = {}
        self._lock = threading.Lock()

    def voice(self, reading: Reading) -> Voice:
        """Return the voice of a reading, loaded at first use and warmed up.

        Raises:
            MissingExtraError: the voice's package is not installed.
            InputError: the voice file is missing or damaged, or the program does not exist.
        """
        key = (reading.voice, reading.command)
        with self._lock:
            if key not in self._voices:
                voice = reading.load()
                if reading.command is None:
                    with suppress(SpeechError):  # networks are loaded with the first word
                        voice.say(_FIRST_WORD, speed=reading.speed)
                self._voices[key] = _LockedVoice(voice)
            return self._voices[key]


class _LockedVoice:
    """A voice that one thread at a time uses: engines keep state between calls."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._lock = threading.Lock()

    @property
    def language(self) -> str:
        """See Voice.language."""
        return self._voice.language

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """See Voice.unread."""
        with self._lock:
            return self._voice.unread(sentence)

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """See Voice.say."""
        with self._lock:
            return self._voice.say(sentence, speed=speed)


class TextReader:
    """Reads the texts of one client in order, in its own thread.

    Args:
        queue: takes the audio.
        changed: its lock guards the queue; notified of every sentence.
        voices: shared with other clients.
        reading: voice and speed; the voice is loaded immediately, in the background.
        rate: sampling rate of the audio, in Hz.
        prefetch_seconds: audio that is synthesised ahead of its output. A change of the reading applies to
            later sentences.
    """

    def __init__(
        self,
        queue: SpeechQueue,
        changed: threading.Condition,
        *,
        voices: SharedVoices,
        reading: Reading | None,
        rate: int,
        prefetch_seconds: float,
    ) -> None:
        self._queue = queue
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
        self,
        text: str,
        place: ReadText,
        *,
        on_note: Callable[[str], None] | None = None,
        on_sentence: OnSentence | None = None,
    ) -> Future[None]:
        """Synthesise a text at its place in the queue. The future is done when all of it is audio.

        `on_note` is called in the thread of the reader with a line for each part of the text that is not read
        as written. The lines are also logged. `on_sentence` is called there, too, before a sentence is
        queued.
        """
        return self._thread.submit(self._read, text, place, on_note, on_sentence)

    def change(self, reading: Reading | None) -> None:
        """Use another reading for sentences that are not synthesised yet. The caller holds the lock.

        Args:
            reading: None keeps the reading; the next sentence still starts a new utterance.
        """
        self._changes += 1
        if reading is not None and reading != self._reading:
            self._reading = reading
            with suppress(RuntimeError):  # closed meanwhile
                self._thread.submit(self._voices.voice, reading)

    def close(self) -> None:
        """Read nothing more, without waiting for the current sentence."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(
        self,
        text: str,
        place: ReadText,
        on_note: Callable[[str], None] | None,
        on_sentence: OnSentence | None,
    ) -> None:
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
                first = self._read_from(text, first, place, changes, note, on_sentence)
        except Exception as error:  # no one may be waiting for the future
            _log.warning("a text was not read: %s", error)
            raise
        finally:
            with self._changed:
                self._queue.made(place)
                self._changed.notify_all()

    def _read_from(
        self,
        text: str,
        first: int,
        place: ReadText,
        changes: int,
        note: Callable[[str], None],
        on_sentence: OnSentence | None,
    ) -> int | None:
        """Read from sentence `first` on. Return the next sentence number after a change, None at the end."""
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
            if on_sentence is not None:
                on_sentence(place.id, self._timed(sentence, place.read_samples + len(lead)))
            place.read_samples += len(lead) + len(sentence.samples)
            if not self._deliver(place, np.concatenate([lead, sentence.samples])):
                return None
            if changes != self._changes:
                return sentence.number + 1
            lead = lead[:0]
        return None

    def _timed(self, sentence: SpokenSentence, start: int) -> TimedSentence:
        """Return a sentence with its time in the audio of its text, in which it starts at a sample."""
        return TimedSentence(
            text=sentence.text,
            start_seconds=start / self._rate,
            stop_seconds=(start + sentence.spoken_samples) / self._rate,
            letters=sentence.letters,
        )

    def _split(self, place: ReadText) -> None:
        with self._changed:
            if not place.dropped and not place.utterance.is_empty:
                self._queue.split(place)

    def _deliver(self, place: ReadText, audio: ArrayF32) -> bool:
        """Add a sentence to a text, and wait while the queue is full. Return False if the text is dropped."""
        with self._changed:
            if not place.dropped:
                place.utterance.add(audio)
                self._changed.notify_all()
            while not place.dropped and self._queue.waiting_seconds(read=True) > self._prefetch_seconds:
                self._changed.wait(_POLL_SECONDS)
            return not place.dropped
