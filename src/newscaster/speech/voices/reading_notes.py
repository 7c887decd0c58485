"""Notes about a text that is read aloud: which parts the voice cannot read, skips, or reads in part.

Decides when so much is missing that the text is refused. `reading` speaks the sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from newscaster.errors import NewscasterError, SpeechError
from newscaster.speech.language import another_language
from newscaster.speech.script import Sentence
from newscaster.speech.voices.voice import Voice
from newscaster.speech.voices.wording import Wording
from newscaster.system.os_errors import fault
from newscaster.texts import quoted
from newscaster.types import ArrayF32

OnNote = Callable[[str], None]
"""A callback for a line about a part of a text that is not read as written."""
_MAX_LETTERS_PER_SECOND = 60.0
"""Four times the rate of people. A faster voice has skipped something."""
_MAX_NOTES = 20
"""Sentences with a note each; the rest are counted."""


class ReadingNotes:
    """Notes about the parts of a text that are not read.

    Args:
        voice: its name or command.
        on_note: callback for a line.
    """

    def __init__(self, voice: str, on_note: OnNote) -> None:
        self._voice = quoted(voice)
        self._on_note = on_note
        self._notes = self._skipped = self._spoken = 0

    def check_readable(self, voice: Voice, wording: Wording, sentences: Iterable[Sentence]) -> None:
        """Raise SpeechError if most sentences are in scripts that the voice does not read."""
        foreign: list[tuple[Sentence, list[tuple[str, str]]]] = []
        count = 0
        for count, sentence in enumerate(sentences, 1):  # noqa: B007
            words = wording.spoken(sentence.text).text
            unread = self.unread(voice, words)
            if is_mostly(unread, words):
                foreign.append((sentence, unread))
        if 2 * len(foreign) > count:
            kinds = scripts_text([word for _, unread in foreign for word in unread])
            raise SpeechError(
                f"the voice {self._voice} does not read {kinds}, and {len(foreign)} of {count} "
                f"sentences are written so; the first is {quoted(shortened(foreign[0][0].text))}. Is it a "
                "voice for another language? Use a voice for the text's language (--voice, --voice-command)"
            )

    def check_language(self, text: str, language: str) -> None:
        """Note a text in another language than the voice's, whose rules would be wrong."""
        if (names := another_language(text, language)) is not None:
            self._on_note(
                f"the text seems to be {names[0]}, and the voice {self._voice} reads it as {names[1]}, which "
                "is hard to understand. Use a voice for the text's language (--voice, --voice-command)"
            )

    def unread(self, voice: Voice, sentence: str) -> list[tuple[str, str]]:
        """As Voice.unread; an engine that fails here gets the sentence again when it speaks."""
        try:
            return list(voice.unread(sentence))
        except Exception as error:
            if isinstance(error, NewscasterError) or fault(error) is not None:
                raise
            return []

    def say(self, voice: Voice, words: str, *, at: str, speed: float) -> tuple[ArrayF32, int]:
        """As Voice.say; any error of an engine becomes a SpeechError that names the sentence.

        Raises:
            SpeechError: the voice cannot speak it, or returns samples that are not numbers.
        """
        try:
            samples, rate = voice.say(words, speed=speed)
        except NewscasterError:
            raise
        except Exception as error:
            if fault(error) is not None:
                raise
            raise SpeechError(
                f"the voice {self._voice} cannot say {at} {quoted(shortened(words))} "
                f"({type(error).__name__}: {error}). Write it differently, or use another voice"
            ) from error
        if not np.isfinite(samples).all():
            raise SpeechError(
                f"the voice {self._voice} returns samples that are not numbers for {at} "
                f"{quoted(shortened(words))}. Write it differently, or use another voice"
            )
        return samples, rate

    def note_skipped(self, at: str, sentence: Sentence, why: str) -> None:
        """Count and note a sentence that is not spoken."""
        self._skipped += 1
        self._add(
            f"{at} is skipped: the voice {self._voice} {why} ({quoted(shortened(sentence.text))}). Use a "
            "voice that can, or write it differently"
        )

    def note_spoken(
        self, at: str, sentence: Sentence, spoken: str, unread: Sequence[tuple[str, str]], *, seconds: float
    ) -> None:
        """Count a spoken sentence, and note its missing words.

        Args:
            at: its place in the text.
            sentence: the sentence.
            spoken: its spoken words.
            unread: words that were not spoken.
            seconds: duration of its speech at the voice's own pace.
        """
        self._spoken += 1
        if unread:
            words = ", ".join(quoted(shortened(word)) for word, _ in unread[:5])
            words += ", ..." if len(unread) > 5 else ""
            self._add(
                f"{at} is spoken without {words}: the voice {self._voice} does not read "
                f"{_kinds_text(unread)} ({quoted(shortened(sentence.text))})"
            )
        letters = sum(character.isalnum() for character in spoken)
        if letters > seconds * _MAX_LETTERS_PER_SECOND:
            self._add(
                f"{at} may lack words: the voice {self._voice} takes {seconds:.1f} s for {letters} letters "
                f"({quoted(shortened(sentence.text))}). Listen to it"
            )

    def finish(self, text: str) -> None:
        """Check the counts at the end of the text.

        Raises:
            SpeechError: no sentence is spoken, or most are skipped.
        """
        if not self._spoken:
            raise SpeechError(
                f"the voice {self._voice} finds nothing to speak in {quoted(shortened(text))}. "
                "Is it a voice for another language?"
            )
        if self._skipped > self._spoken:
            raise SpeechError(
                f"the voice {self._voice} finds nothing to speak in {self._skipped} of "
                f"{self._skipped + self._spoken} sentences. Is it a voice for another language?"
            )
        if self._notes > _MAX_NOTES:
            self._on_note(
                f"{self._notes - _MAX_NOTES} more sentences are skipped or lack words; "
                f"{self._skipped} of {self._skipped + self._spoken} are skipped in total"
            )

    def _add(self, line: str) -> None:
        self._notes += 1
        if self._notes <= _MAX_NOTES:
            self._on_note(line)


def is_mostly(unread: Sequence[tuple[str, str]], sentence: str) -> bool:
    """Return whether at least half of a sentence's letters and digits are in unread words."""
    lost = sum(character.isalnum() for word, _ in unread for character in word)
    return lost > 0 and 2 * lost >= sum(character.isalnum() for character in sentence)


def _kinds_text(unread: Sequence[tuple[str, str]]) -> str:
    kinds = dict.fromkeys(kind for _, kind in unread)
    return " and ".join(["such signs" if kind == "a sign" else kind for kind in kinds])


def scripts_text(unread: Sequence[tuple[str, str]]) -> str:
    """Return what words are written in, such as Greek letters; signs count only if there is nothing else."""
    return _kinds_text([word for word in unread if word[1] != "a sign"] or unread)


def shortened(text: str) -> str:
    """Return the start of a text, for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
