"""A text read aloud by a voice: the voice, the pace, and the pauses.

Sentences are spoken one by one: a long text starts at once and needs no more memory than a short one. Parts
that the voice cannot read are skipped and noted; if they are most of the text, the text is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import gcd
from pathlib import Path

import numpy as np

from newscaster.errors import InputError, SpeechError
from newscaster.speech.level import is_silence
from newscaster.speech.plain_text import plain_text
from newscaster.speech.script import Sentence, sentences_of
from newscaster.speech.spoken import Pronunciations, SpokenForm
from newscaster.speech.voices.names import DEFAULT_VOICE, VOICES, default_voice
from newscaster.speech.voices.piper import PIPER_VOICES, PiperVoice
from newscaster.speech.voices.program import ProgramVoice
from newscaster.speech.voices.reading_notes import OnNote, ReadingNotes, is_mostly, scripts_text, shortened
from newscaster.speech.voices.voice import Voice
from newscaster.speech.voices.wording import Wording, without_words
from newscaster.texts import check_unicode, quoted
from newscaster.types import ArrayF32

_log = logging.getLogger("newscaster.speech")

SLOWEST, FASTEST = 0.5, 2.0
_FAINT = 0.01
"""Peak below which the audio of signs alone is the voice's noise: 0.002 to 0.004 for hibari."""
_EDGE_SECONDS = 0.03
"""Silence kept around a sentence when the voice's own silence is trimmed."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options for reading a text aloud.

    Raises:
        InputError: a value is out of range, there is no such voice, or both a voice and a command are set.
    """

    voice: str | None = None
    """`hibari`, `joe`, another of `voice_names()`, or the path of a Piper voice, NAME.onnx; None: `hibari`,
    or for a Japanese text a Japanese voice, if one is installed."""
    command: str | None = None
    """A program in place of a voice, with its arguments. It reads a sentence on standard input and writes a
    WAV file to standard output, such as `espeak-ng --stdin --stdout`."""
    speed: float = 1.0
    """Pace, 1 is the voice's own; 0.5 to 2. Pauses follow it."""
    language: str = "eng"
    """The text's language, for a subtitle track: three letters, as in ISO 639-2."""
    pronunciations: Pronunciations | None = None
    """Written forms and how they are read, before all rules; None: the user's own file, if there is one."""

    def __post_init__(self) -> None:
        if not SLOWEST <= self.speed <= FASTEST:
            raise InputError(f"speed is {self.speed}; expected {SLOWEST} to {FASTEST}")
        if not re.fullmatch("[a-z]{3}", self.language):
            raise InputError(
                f"language is {quoted(self.language)}; expected three letters, as in ISO 639-2, such as 'eng'"
            )
        if self.command is not None:
            if self.voice is not None:
                raise InputError(
                    f"both a voice ({quoted(self.voice)}) and a voice command ({quoted(self.command)}) are "
                    "given; give one"
                )
            if self.speed != 1.0:
                raise InputError(
                    f"speed is {self.speed}, but a voice command has its own pace. "
                    "Set the pace with the arguments of the program, such as: espeak-ng -s 150"
                )
        elif self.voice is not None and not _is_file(self.voice) and self.voice not in VOICES:
            raise InputError(
                f"the voice is {quoted(self.voice)}; expected one of {', '.join(VOICES)}, or the "
                "path of a Piper voice, NAME.onnx"
            )

    def load(self) -> Voice:
        """Load the voice.

        Raises:
            MissingExtraError: the voice's package is not installed.
            InputError: the voice's file is missing or damaged, or there is no such program.
        """
        if self.command is not None:
            return ProgramVoice(self.command)
        name = self.voice or DEFAULT_VOICE
        if _is_file(name):
            return PiperVoice(Path(name))
        return VOICES[name](name)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenSentence:
    """A sentence and its audio."""

    text: str
    number: int
    """Its place in the text, from 0; skipped sentences count."""
    samples: ArrayF32
    """(N,) float32 mono in [-1, 1], with the pause after it."""
    rate: int
    """In Hz; the same for all sentences of a text."""
    spoken_samples: int
    """Number of samples before the pause."""
    letters: tuple[float, ...]
    """For each character of the text but spaces, the letters that are spoken for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadSentence:
    """A sentence, and what the voice is given for it."""

    number: int
    """Its place in the text, from 0; skipped sentences count."""
    sentence: Sentence
    """As it is written."""
    words: str
    """The spoken form, on one line."""
    unread: tuple[tuple[str, str], ...]
    """Words of the spoken form that the voice does not read and is not given, and the kind of each."""

    @property
    def at(self) -> str:
        """Its place, for a note."""
        return f"sentence {self.number + 1}, line {self.sentence.line},"


def voice_names() -> tuple[str, ...]:
    """Return the names of all named voices, installed or not."""
    return tuple(VOICES)


def voice_of_a_man() -> str | None:
    """Return the name of an installed man's voice, for anchors who are men; None if there is none.

    The packages are not imported.
    """
    installed = find_spec("piper") is not None
    return next((name for name, package in PIPER_VOICES.items() if installed and find_spec(package)), None)


def synthesize(text: str, *, reading: Reading | None = None, rate: int | None = None) -> tuple[ArrayF32, int]:
    """Synthesise a text: return (N,) float32 mono in [-1, 1] and its rate in Hz.

    Args:
        text: an empty line divides paragraphs.
        reading: options; by default the default voice at its own pace.
        rate: output rate in Hz; by default the voice's own.

    Raises:
        SpeechError: nothing in the text can be spoken, or the voice fails.
        InputError: the voice cannot be used, or the rate is out of range.
        MissingExtraError: the voice's package is not installed.
    """
    spoken = list(speak_sentences(text, reading=reading, rate=rate))
    return np.concatenate([sentence.samples for sentence in spoken]), spoken[0].rate


def speak_sentences(
    text: str,
    *,
    reading: Reading | None = None,
    rate: int | None = None,
    voice: Voice | None = None,
    on_note: OnNote | None = None,
    first: int = 0,
) -> Iterator[SpokenSentence]:
    """As synthesize, sentence by sentence.

    The call itself checks the arguments, loads the voice, and refuses a text that is mostly written in
    scripts that the voice does not read; iteration speaks.

    Args:
        text: as in `synthesize`; mark-up, control characters and invisible characters are removed.
        reading: as in `synthesize`.
        rate: as in `synthesize`.
        voice: the reading's voice, if already loaded.
        on_note: called with a line for each sentence that is skipped or lacks words, and for each kind of
            removal from the text; by default, lines are logged as warnings.
        first: number of the first sentence, from 0, to continue a text after a change.
    """
    if rate is not None and not 8000 <= rate <= 192000:
        raise InputError(f"rate is {rate} Hz; expected 8000 to 192000")
    prepared = _Prepared.of(text, reading=reading, voice=voice, on_note=on_note, is_whole=first == 0)
    return _speak(prepared, rate, first)


def read_sentences(
    text: str, *, reading: Reading | None = None, voice: Voice | None = None, on_note: OnNote | None = None
) -> Iterator[ReadSentence]:
    """Yield what the voice is given for each sentence of a text, without speaking.

    Arguments and errors are those of `speak_sentences`; skipped sentences are noted and not yielded.
    """
    prepared = _Prepared.of(text, reading=reading, voice=voice, on_note=on_note)
    return (worded for worded, _ in prepared.sentences())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """A text that a voice can read."""

    text: str
    voice: Voice
    reading: Reading
    notes: ReadingNotes
    wording: Wording

    @classmethod
    def of(
        cls,
        text: str,
        *,
        reading: Reading | None,
        voice: Voice | None,
        on_note: OnNote | None,
        is_whole: bool = True,
    ) -> _Prepared:
        """Check a text and load the voice, see `speak_sentences`; note what is removed from a whole text."""
        reading = reading or Reading()
        check_unicode(text, "the text")
        plain = plain_text(text)
        if not any(character.isalnum() for character in plain.text):
            raise SpeechError(
                f"the text {quoted(shortened(text))} holds no word to speak; give a sentence or more"
            )
        on_note = on_note or (lambda line: _log.warning("%s", line))
        if voice is None and reading.voice is None and reading.command is None:
            reading = replace(reading, voice=default_voice(plain.text))
        notes = ReadingNotes(reading.command or reading.voice or DEFAULT_VOICE, on_note)
        voice = voice or reading.load()
        wording = Wording.of_text(
            plain.text, voice=voice.language, language=reading.language, pronunciations=reading.pronunciations
        )
        notes.check_readable(voice, wording, sentences_of(plain.text))
        if is_whole:
            for line in plain.notes:
                on_note(line)
            notes.check_language(plain.text, voice.language)
        return cls(text=plain.text, voice=voice, reading=reading, notes=notes, wording=wording)

    def sentences(self, first: int = 0) -> Iterator[tuple[ReadSentence, SpokenForm]]:
        """Yield the sentences from a number on; note those that the voice does not read."""
        for number, sentence in enumerate(sentences_of(self.text)):
            if number < first:
                continue
            spoken = self.wording.spoken(sentence.text)
            unread = self.notes.unread(self.voice, spoken.text)
            worded = ReadSentence(
                number=number,
                sentence=sentence,
                words=without_words(spoken.text, unread),
                unread=tuple(unread),
            )
            if is_mostly(unread, spoken.text):
                self.notes.note_skipped(worded.at, sentence, f"does not read {scripts_text(unread)}")
                continue
            yield worded, spoken


def _speak(prepared: _Prepared, rate: int | None, first: int) -> Iterator[SpokenSentence]:
    voice, reading, notes = prepared.voice, prepared.reading, prepared.notes
    for worded, spoken in prepared.sentences(first):
        sentence, words, at = worded.sentence, worded.words, worded.at
        samples, own_rate = notes.say(voice, words, at=at, speed=reading.speed)
        samples = _trimmed(samples, own_rate)
        rate = rate or own_rate
        if not len(samples) or (not _has_words(words) and np.abs(samples).max() < _FAINT):
            notes.note_skipped(at, sentence, "finds nothing to speak in it")
            continue
        notes.note_spoken(at, sentence, words, worded.unread, seconds=len(samples) / own_rate * reading.speed)
        samples = resample(samples, own_rate, rate)
        yield _finished(worded.number, sentence, samples, rate, reading.speed, spoken.letters(sentence.text))
    if first == 0:  # the counts of a part alone are not those of the text
        notes.finish(prepared.text)


def _finished(
    number: int,
    sentence: Sentence,
    samples: ArrayF32,
    rate: int,
    speed: float,
    letters: tuple[float, ...],
) -> SpokenSentence:
    """Return the sentence with its pause."""
    pause = np.zeros(round(sentence.pause_seconds / speed * rate), np.float32)
    return SpokenSentence(
        number=number,
        text=sentence.text,
        samples=np.concatenate([np.clip(samples, -1.0, 1.0), pause]),
        rate=rate,
        spoken_samples=len(samples),
        letters=letters,
    )


def resample(samples: ArrayF32, rate: int, new_rate: int) -> ArrayF32:
    """Resample short, complete audio by its spectrum: (n,) to (round(n * new_rate / rate),).

    The spectrum treats the audio as periodic. So it is padded with silence whose ends fall on whole samples
    at both rates.
    """
    if rate == new_rate or not len(samples):
        return samples
    unit, new_unit = rate // gcd(rate, new_rate), new_rate // gcd(rate, new_rate)
    before = -(-rate // 100 // unit)
    units = 2 * before + -(-len(samples) // unit)
    padded = np.zeros(units * unit)
    padded[before * unit : before * unit + len(samples)] = samples
    spectrum = np.fft.rfft(padded)[: units * new_unit // 2 + 1]
    resampled = np.fft.irfft(spectrum, units * new_unit) * (new_rate / rate)
    first = before * new_unit
    return resampled[first : first + round(len(samples) * new_rate / rate)].astype(np.float32)


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _trimmed(samples: ArrayF32, rate: int) -> ArrayF32:
    """Remove the voice's own silence before and after a sentence, so that the pauses are ours."""
    if is_silence(samples):
        return samples[:0]
    magnitudes = np.abs(samples)
    audible = np.flatnonzero(magnitudes > min(0.003, 0.03 * float(magnitudes.max())))
    edge = round(_EDGE_SECONDS * rate)
    return samples[max(0, audible[0] - edge) : audible[-1] + 1 + edge]


def _is_file(voice: str) -> bool:
    """Return whether a voice is named by its file."""
    return voice.lower().endswith(".onnx")
