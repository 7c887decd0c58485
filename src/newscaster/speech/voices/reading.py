"""A text read aloud by a voice: which voice, at what pace, and with which pauses.

One sentence is spoken at a time: a long text starts at once and needs no more memory than a short one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import gcd
from pathlib import Path

import numpy as np

from newscaster.errors import InputError, SpeechError
from newscaster.speech.script import Sentence, sentences_of
from newscaster.speech.spectral import Floats
from newscaster.speech.voices.hibari import HIBARI_VOICES, HibariVoice
from newscaster.speech.voices.piper import PIPER_VOICES, PiperVoice
from newscaster.speech.voices.program import ProgramVoice
from newscaster.speech.voices.voice import Voice
from newscaster.texts import check_unicode, quoted

DEFAULT_VOICE = "hibari"
SLOWEST, FASTEST = 0.5, 2.0
_EDGE_SECONDS = 0.03
"""Quiet that is left around a sentence when the voice's own silence is cut off."""


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
    text: str, *, reading: Reading | None = None, rate: int | None = None, voice: Voice | None = None
) -> Iterator[SpokenSentence]:
    """As synthesize, sentence by sentence; `voice` is the reading's, where that has been loaded before.

    Arguments are checked and the voice is loaded before the first sentence is asked for.
    """
    reading = reading or Reading()
    if rate is not None and not 8000 <= rate <= 192000:
        raise InputError(f"rate is {rate} Hz; expected 8000 to 192000")
    check_unicode(text, "the text")
    if not any(character.isalnum() for character in text):
        raise SpeechError(
            f"the text {quoted(_shortened(text))} holds no word to speak; give a sentence or more"
        )
    return _spoken(voice or reading.load(), text, reading, rate)


def _spoken(voice: Voice, text: str, reading: Reading, rate: int | None) -> Iterator[SpokenSentence]:
    silent = True
    for sentence in sentences_of(text):
        samples, own_rate = voice.say(sentence.text, speed=reading.speed)
        samples = _trimmed(samples, own_rate)
        rate = rate or own_rate
        if len(samples):
            silent = False
            yield _finished(sentence, resample(samples, own_rate, rate), rate, reading.speed)
    if silent:
        raise SpeechError(
            f"the voice {quoted(reading.command or reading.voice or DEFAULT_VOICE)} finds nothing to speak "
            f"in {quoted(_shortened(text))}. Is it a voice for another language?"
        )


def _finished(sentence: Sentence, samples: Floats, rate: int, speed: float) -> SpokenSentence:
    """The sentence with its pause."""
    pause = np.zeros(round(sentence.pause_seconds / speed * rate), np.float32)
    return SpokenSentence(
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


def _trimmed(samples: Floats, rate: int) -> Floats:
    """Without the silence that the voice puts before and after a sentence, so that pauses are ours."""
    heard = np.flatnonzero(np.abs(samples) > 0.003)
    if not len(heard):
        return samples[:0]
    edge = round(_EDGE_SECONDS * rate)
    return samples[max(0, heard[0] - edge) : heard[-1] + 1 + edge]


def _is_file(voice: str) -> bool:
    """Whether a voice is named by its file."""
    return voice.lower().endswith(".onnx")


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
