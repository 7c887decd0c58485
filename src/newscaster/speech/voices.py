"""Text to speech, with voices that come as Python packages and speak offline.

The speech is synthetic, and so labelled by whoever stores it. One sentence is spoken at a time: a long text
starts at once and needs no more memory than a short one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.spectral import Floats

if TYPE_CHECKING:
    from types import ModuleType

SENTENCE_PAUSE_SECONDS = 0.35
PARAGRAPH_PAUSE_SECONDS = 0.8
_EDGE_SECONDS = 0.03
"""Quiet that is left around a sentence when the voice's own silence is cut off."""
VOICES: dict[str, str] = {"hibari": "heart"}
"""Voices by name, and the name that their package knows them by. Each is inside its package: no downloads."""
SLOWEST, FASTEST = 0.5, 2.0


def synthesize(
    text: str, *, voice: str = "hibari", speed: float = 1.0, rate: int | None = None
) -> tuple[Floats, int]:
    """The whole text as sound: (N,) float32 mono in [-1, 1], and its rate in Hz.

    Args:
        text: English; an empty line divides paragraphs.
        voice: one of VOICES.
        speed: pace, 1 is the voice's own; 0.5 to 2.
        rate: the rate wanted, in Hz; by default the voice's own.

    Raises:
        SpeechError: nothing in the text can be spoken.
        InputError: the voice, speed or rate is out of range.
        MissingExtraError: the voice's package is not installed.
    """
    pieces = list(speak_sentences(text, voice=voice, speed=speed, rate=rate))
    return np.concatenate([samples for samples, _ in pieces]), pieces[0][1]


def speak_sentences(
    text: str, *, voice: str = "hibari", speed: float = 1.0, rate: int | None = None
) -> Iterator[tuple[Floats, int]]:
    """As synthesize, sentence by sentence: each with the pause that follows it, and the rate.

    Arguments are checked and the voice is loaded before the first sentence is asked for.
    """
    if voice not in VOICES:
        raise InputError(f"the voice is {voice!r}; expected one of {', '.join(VOICES)}")
    if not SLOWEST <= speed <= FASTEST:
        raise InputError(f"speed is {speed}; expected {SLOWEST} to {FASTEST}")
    if rate is not None and not 8000 <= rate <= 192000:
        raise InputError(f"rate is {rate} Hz; expected 8000 to 192000")
    if not any(character.isalnum() for character in text):
        raise SpeechError(f"the text {_shortened(text)!r} holds no word to speak; give a sentence or more")
    return _sentences(_import_hibari(), text, voice=voice, speed=speed, rate=rate)


def split_paragraphs(text: str) -> list[str]:
    """Paragraphs of a text, each on one line: line breaks inside a paragraph are not pauses."""
    paragraphs = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
    lines = [" ".join(paragraph.split()) for paragraph in paragraphs]
    return [line for line in lines if any(character.isalnum() for character in line)]


def _sentences(
    hibari: ModuleType, text: str, *, voice: str, speed: float, rate: int | None
) -> Iterator[tuple[Floats, int]]:
    speaker = hibari.Hibari(voice=VOICES[voice])
    own_rate = int(speaker.sample_rate)
    held: tuple[Floats, float] | None = None
    for paragraph in split_paragraphs(text):
        for sound in speaker.stream(paragraph, speed=speed, seed=0):
            samples = _trimmed(np.asarray(sound, np.float32), own_rate)
            if held:
                yield _finished(*held, own_rate=own_rate, rate=rate)
            held = (samples, SENTENCE_PAUSE_SECONDS) if len(samples) else held
        if held:
            held = (held[0], PARAGRAPH_PAUSE_SECONDS)
    if held is None:
        raise SpeechError(
            f"the voice {voice!r} finds nothing to speak in {_shortened(text)!r}; it speaks English"
        )
    yield _finished(held[0], SENTENCE_PAUSE_SECONDS, own_rate=own_rate, rate=rate)


def _finished(
    samples: Floats, pause_seconds: float, *, own_rate: int, rate: int | None
) -> tuple[Floats, int]:
    """The sentence at the wanted rate, and its pause."""
    wanted = rate or own_rate
    samples = resample(samples, own_rate, wanted)
    pause = np.zeros(round(pause_seconds * wanted), np.float32)
    return np.concatenate([np.clip(samples, -1.0, 1.0), pause]), wanted


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


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _import_hibari() -> ModuleType:
    try:
        return import_module("hibari")
    except ModuleNotFoundError as error:
        raise MissingExtraError(purpose="Speaking a text", extra="tts", package="hibari-tts") from error
