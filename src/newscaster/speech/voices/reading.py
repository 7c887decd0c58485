"""A text read aloud by a voice: which voice, at what pace, and with which pauses.

One sentence is spoken at a time: a long text starts at once and needs no more memory than a short one. What a
voice cannot read is left out and noted; if that is most of the text, the text is refused.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import gcd
from pathlib import Path

import numpy as np

from newscaster.errors import InputError, NewscasterError, SpeechError
from newscaster.speech.language import another_language
from newscaster.speech.level import is_silence
from newscaster.speech.plain_text import plain_text
from newscaster.speech.script import Sentence, sentences_of
from newscaster.speech.spectral import Floats
from newscaster.speech.voices.hibari import HIBARI_VOICES, HibariVoice
from newscaster.speech.voices.piper import PIPER_VOICES, PiperVoice
from newscaster.speech.voices.program import ProgramVoice
from newscaster.speech.voices.voice import Voice
from newscaster.system.os_errors import fault
from newscaster.texts import check_unicode, quoted

_log = logging.getLogger("newscaster.speech")

OnNote = Callable[[str], None]
"""Takes a line on what of a text is not read as it is written."""
DEFAULT_VOICE = "hibari"
SLOWEST, FASTEST = 0.5, 2.0
_FAINT = 0.01
"""Peak below which what a voice makes of signs alone is its noise: hibari's is 0.002 to 0.004."""
_EDGE_SECONDS = 0.03
"""Quiet that is left around a sentence when the voice's own silence is cut off."""
_MAX_LETTERS_PER_SECOND = 60.0
"""Four times as many as people say. A voice that takes less time has skipped something."""
_MAX_NOTES = 20
"""Sentences that are noted one by one; of more, the count."""
_FOLDED = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff\ufb00-\ufb06]")
"""Full-width and mathematical letters and ligatures, which few voices read."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a text is read aloud.

    Raises:
        InputError: a value is out of range, there is no such voice, or both a voice and a command are given.
    """

    voice: str | None = None
    """`hibari` (the default), `joe`, another of `voice_names()`, or the path of a Piper voice, NAME.onnx."""
    command: str | None = None
    """A program in place of a voice, with its arguments: it reads a sentence on standard input and writes a
    WAV file to standard output, such as `espeak-ng --stdin --stdout`."""
    speed: float = 1.0
    """Pace, 1 is the voice's own; 0.5 to 2. Pauses follow it."""
    language: str = "eng"
    """The text's language, for a subtitle track: three letters, as in ISO 639-2."""

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
                    f"a voice ({quoted(self.voice)}) and a voice command ({quoted(self.command)}) are "
                    "given; give one"
                )
            if self.speed != 1.0:
                raise InputError(
                    f"speed is {self.speed}, and a voice command goes at its own pace. "
                    "Change that with the arguments of the program, such as: espeak-ng -s 150"
                )
        elif self.voice is not None and not _is_file(self.voice) and self.voice not in voice_names():
            raise InputError(
                f"the voice is {quoted(self.voice)}; expected one of {', '.join(voice_names())}, or the "
                "path of a Piper voice, NAME.onnx"
            )

    def load(self) -> Voice:
        """The voice, ready to speak.

        Raises:
            MissingExtraError: the voice's package is not installed.
            InputError: the voice's file is missing or damaged, or there is no such program.
        """
        if self.command is not None:
            return ProgramVoice(self.command)
        name = self.voice or DEFAULT_VOICE
        if _is_file(name):
            return PiperVoice(Path(name))
        return PiperVoice.packaged(name) if name in PIPER_VOICES else HibariVoice(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenSentence:
    """A sentence as it is heard."""

    text: str
    number: int
    """Its place in the text, from 0; sentences without sound are counted."""
    samples: Floats
    """(N,) float32 mono in [-1, 1], with the pause after it."""
    rate: int
    """In Hz; the same for all sentences of a text."""
    spoken_samples: int
    """How many of the samples come before the pause."""


def voice_names() -> tuple[str, ...]:
    """The voices that have a name, installed or not."""
    return (*HIBARI_VOICES, *PIPER_VOICES)


def voice_of_a_man() -> str | None:
    """The name of a man's voice that is installed, for anchors who are men; None where there is none.

    Nothing is imported to find out.
    """
    installed = find_spec("piper") is not None
    return next((name for name, package in PIPER_VOICES.items() if installed and find_spec(package)), None)


def synthesize(text: str, *, reading: Reading | None = None, rate: int | None = None) -> tuple[Floats, int]:
    """The whole text as sound: (N,) float32 mono in [-1, 1], and its rate in Hz.

    Args:
        text: an empty line divides paragraphs.
        reading: how it is read; by default by the default voice, at its own pace.
        rate: the rate wanted, in Hz; by default the voice's own.

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

    Arguments are checked and the voice is loaded before the first sentence is asked for; so is a text refused
    that is mostly written in scripts that the voice does not read.

    Args:
        text: as in `synthesize`; mark-up, control characters and invisible characters are removed.
        reading: as in `synthesize`.
        rate: as in `synthesize`.
        voice: the reading's, if it has been loaded before.
        on_note: called with a line for each sentence that is left out or lacks words, and for what is removed
            from the text; by default it is logged as a warning.
        first: number of the sentence to begin with, from 0, if a text is read on after a change.
    """
    reading = reading or Reading()
    if rate is not None and not 8000 <= rate <= 192000:
        raise InputError(f"rate is {rate} Hz; expected 8000 to 192000")
    check_unicode(text, "the text")
    plain = plain_text(text)
    if not any(character.isalnum() for character in plain.text):
        raise SpeechError(
            f"the text {quoted(_shortened(text))} holds no word to speak; give a sentence or more"
        )
    note = on_note or (lambda line: _log.warning("%s", line))
    told = _Told(reading.command or reading.voice or DEFAULT_VOICE, note)
    voice = voice or reading.load()
    told.check_readable([(s, told.unread(voice, s.text)) for s in sentences_of(plain.text)])
    if first == 0:
        for line in plain.notes:
            note(line)
        told.check_language(plain.text, voice.language)
    return _spoken(voice, plain.text, reading, rate, told, first)


def _spoken(
    voice: Voice, text: str, reading: Reading, rate: int | None, told: _Told, first: int
) -> Iterator[SpokenSentence]:
    for number, sentence in enumerate(sentences_of(text)):
        if number < first:
            continue
        at = f"sentence {number + 1}, line {sentence.line},"
        unread = told.unread(voice, sentence.text)
        if _is_mostly(unread, sentence.text):
            told.left_out(at, sentence, f"does not read {_scripts(unread)}")
            continue
        words = _spoken_form(sentence.text, unread)
        samples, own_rate = told.say(voice, words, at=at, speed=reading.speed)
        samples = _trimmed(samples, own_rate)
        rate = rate or own_rate
        if not len(samples) or (not _has_words(words) and np.abs(samples).max() < _FAINT):
            told.left_out(at, sentence, "finds nothing to speak in it")
            continue
        told.spoken(at, sentence, unread, seconds=len(samples) / own_rate * reading.speed)
        yield _finished(number, sentence, resample(samples, own_rate, rate), rate, reading.speed)
    if first == 0:  # of a part alone, nothing follows for the text
        told.finish(text)


class _Told:
    """What of a text is not read, and what is said of it.

    Args:
        voice: its name or command.
        note: takes a line.
    """

    def __init__(self, voice: str, note: OnNote) -> None:
        self._voice = quoted(voice)
        self._note = note
        self._notes = self._left_out = self._spoken = 0

    def check_readable(self, sentences: Sequence[tuple[Sentence, list[tuple[str, str]]]]) -> None:
        """Refuse a text most of whose sentences are in scripts that the voice does not read."""
        foreign = [(s, unread) for s, unread in sentences if _is_mostly(unread, s.text)]
        if 2 * len(foreign) > len(sentences):
            kinds = _scripts([one for _, unread in foreign for one in unread])
            raise SpeechError(
                f"the voice {self._voice} does not read {kinds}, and {len(foreign)} of {len(sentences)} "
                f"sentences are written so; the first is {quoted(_shortened(foreign[0][0].text))}. Is it a "
                "voice for another language? Take one for the text's language (--voice, --voice-command)"
            )

    def check_language(self, text: str, language: str) -> None:
        """Note a text in another language than the voice's, which is read by the wrong rules."""
        if (names := another_language(text, language)) is not None:
            self._note(
                f"the text seems to be {names[0]}, and the voice {self._voice} reads it as {names[1]}, which "
                "is hard to understand. Take a voice for the text's language (--voice, --voice-command)"
            )

    def unread(self, voice: Voice, sentence: str) -> list[tuple[str, str]]:
        """As Voice.unread; an engine that fails here is asked again when it speaks."""
        try:
            return list(voice.unread(sentence))
        except Exception as error:
            if isinstance(error, NewscasterError) or fault(error) is not None:
                raise
            return []

    def say(self, voice: Voice, words: str, *, at: str, speed: float) -> tuple[Floats, int]:
        """As Voice.say; whatever an engine raises becomes one error that names the sentence.

        Raises:
            SpeechError: the voice cannot say it, or gives samples that are not numbers.
        """
        try:
            samples, rate = voice.say(words, speed=speed)
        except NewscasterError:
            raise
        except Exception as error:
            if fault(error) is not None:
                raise
            raise SpeechError(
                f"the voice {self._voice} cannot say {at} {quoted(_shortened(words))} "
                f"({type(error).__name__}: {error}). Write it differently, or take another voice"
            ) from error
        if not np.isfinite(samples).all():
            raise SpeechError(
                f"the voice {self._voice} gives samples that are not numbers for {at} "
                f"{quoted(_shortened(words))}. Write it differently, or take another voice"
            )
        return samples, rate

    def left_out(self, at: str, sentence: Sentence, why: str) -> None:
        """A sentence is not spoken."""
        self._left_out += 1
        self._tell(
            f"{at} is left out: the voice {self._voice} {why} ({quoted(_shortened(sentence.text))}). Take a "
            "voice that can, or write it differently"
        )

    def spoken(
        self, at: str, sentence: Sentence, unread: Sequence[tuple[str, str]], *, seconds: float
    ) -> None:
        """A sentence is spoken, perhaps without some words, in so many seconds at the voice's own pace."""
        self._spoken += 1
        if unread:
            words = ", ".join(quoted(_shortened(word)) for word, _ in unread[:5])
            words += ", ..." if len(unread) > 5 else ""
            self._tell(
                f"{at} is spoken without {words}: the voice {self._voice} does not read {_kinds(unread)} "
                f"({quoted(_shortened(sentence.text))})"
            )
        letters = sum(character.isalnum() for character in sentence.text)
        letters -= sum(len(word) for word, _ in unread)
        if letters > seconds * _MAX_LETTERS_PER_SECOND:
            self._tell(
                f"{at} may lack words: the voice {self._voice} takes {seconds:.1f} s for {letters} letters "
                f"and digits ({quoted(_shortened(sentence.text))}). Listen to it"
            )

    def finish(self, text: str) -> None:
        """All sentences have been read.

        Raises:
            SpeechError: none of them is heard, or most are left out.
        """
        if not self._spoken:
            raise SpeechError(
                f"the voice {self._voice} finds nothing to speak in {quoted(_shortened(text))}. "
                "Is it a voice for another language?"
            )
        if self._left_out > self._spoken:
            raise SpeechError(
                f"the voice {self._voice} finds nothing to speak in {self._left_out} of "
                f"{self._left_out + self._spoken} sentences. Is it a voice for another language?"
            )
        if self._notes > _MAX_NOTES:
            self._note(
                f"{self._notes - _MAX_NOTES} more sentences are left out or lack words; "
                f"{self._left_out} of {self._left_out + self._spoken} are left out in all"
            )

    def _tell(self, line: str) -> None:
        self._notes += 1
        if self._notes <= _MAX_NOTES:
            self._note(line)


def _is_mostly(unread: Sequence[tuple[str, str]], sentence: str) -> bool:
    """Whether at least half of a sentence's letters and digits are in words that are not read."""
    lost = sum(character.isalnum() for word, _ in unread for character in word)
    return lost > 0 and 2 * lost >= sum(character.isalnum() for character in sentence)


def _kinds(unread: Sequence[tuple[str, str]]) -> str:
    kinds = dict.fromkeys(kind for _, kind in unread)
    return " and ".join(["such signs" if kind == "a sign" else kind for kind in kinds])


def _scripts(unread: Sequence[tuple[str, str]]) -> str:
    """As _kinds, of words alone if there are some."""
    return _kinds([one for one in unread if one[1] != "a sign"] or unread)


def _spoken_form(sentence: str, unread: Sequence[tuple[str, str]]) -> str:
    """What a voice is given: without words that it does not read, and with common letters and digits."""
    for word, _ in unread:
        sentence = sentence.replace(word, " ", 1)
    sentence = _FOLDED.sub(
        lambda letter: unicodedata.normalize("NFKC", letter[0]), " ".join(sentence.split())
    )
    return re.sub(r"[^\W0-9]", _as_digit, sentence)


def _as_digit(character: re.Match[str]) -> str:
    """The digit of another script as 0 to 9; any other character as it is."""
    value = unicodedata.decimal(character[0], None)
    return character[0] if value is None else str(value)


def _finished(number: int, sentence: Sentence, samples: Floats, rate: int, speed: float) -> SpokenSentence:
    """The sentence with its pause."""
    pause = np.zeros(round(sentence.pause_seconds / speed * rate), np.float32)
    return SpokenSentence(
        number=number,
        text=sentence.text,
        samples=np.concatenate([np.clip(samples, -1.0, 1.0), pause]),
        rate=rate,
        spoken_samples=len(samples),
    )


def resample(samples: Floats, rate: int, wanted: int) -> Floats:
    """A whole, short sound at another rate, by its spectrum: (n,) to (round(n * wanted / rate),).

    The spectrum takes the sound for periodic, hence silence is put around it, so long that both ends of
    everything fall on whole samples at both rates.
    """
    if rate == wanted or not len(samples):
        return samples
    unit, wanted_unit = rate // gcd(rate, wanted), wanted // gcd(rate, wanted)
    before = -(-rate // 100 // unit)
    units = 2 * before + -(-len(samples) // unit)
    padded = np.zeros(units * unit)
    padded[before * unit : before * unit + len(samples)] = samples
    spectrum = np.fft.rfft(padded)[: units * wanted_unit // 2 + 1]
    changed = np.fft.irfft(spectrum, units * wanted_unit) * (wanted / rate)
    first = before * wanted_unit
    return changed[first : first + round(len(samples) * wanted / rate)].astype(np.float32)


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _trimmed(samples: Floats, rate: int) -> Floats:
    """Without the silence that the voice puts before and after a sentence, so that pauses are ours."""
    if is_silence(samples):
        return samples[:0]
    magnitudes = np.abs(samples)
    heard = np.flatnonzero(magnitudes > min(0.003, 0.03 * float(magnitudes.max())))
    edge = round(_EDGE_SECONDS * rate)
    return samples[max(0, heard[0] - edge) : heard[-1] + 1 + edge]


def _is_file(voice: str) -> bool:
    """Whether a voice is named by its file."""
    return voice.lower().endswith(".onnx")


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
