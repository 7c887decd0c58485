"""The voices of the package hibari-tts: small, fast, English, Apache-2.0.

One, a woman's, is part of the package. The others are files of 8 MB that hibari's own command downloads once;
newscaster itself never goes online.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from importlib import import_module

import numpy as np

from newscaster.errors import InputError, MissingExtraError
from newscaster.speech.voices.scripts import LATIN, foreign_words
from newscaster.types import ArrayF32

HIBARI_VOICES = {"hibari": "heart", "emma": "emma", "fable": "fable", "fenrir": "fenrir", "kore": "kore"}
"""Voices by name, and their names in hibari: American (hibari, kore: women; fenrir: a man) and British (emma:
a woman; fable: a man)."""
_MAX_NUMBER_DIGITS = 36
"""Largest number of digits that hibari reads as a number; it fails on longer ones."""
_NUMBER = re.compile(r"\d(?:[\d,]*\d)?")
_SIGN_CATEGORIES = ("Sm", "Sc", "No")
"""Unicode categories: mathematical signs, currencies, and numbers such as fractions."""
_OTHER_SIGNS = frozenset("‰‱℃℉℅№℠™")


class HibariVoice:
    """A loaded voice of hibari.

    Args:
        name: one of HIBARI_VOICES.

    Raises:
        MissingExtraError: hibari-tts is not installed.
        InputError: this voice has not been downloaded.
    """

    language = "en"

    def __init__(self, name: str) -> None:
        try:
            hibari = import_module("hibari")
            voices = import_module("hibari.voices")
        except ModuleNotFoundError as error:
            raise MissingExtraError(purpose="Speaking a text", extra="tts", package="hibari-tts") from error
        own_name = HIBARI_VOICES[name]
        try:
            voices.voice_path(own_name, download_missing=False)
        except FileNotFoundError as error:
            raise InputError(
                f"the voice {name!r} has not been downloaded: there is no '{error}'. Download it once with: "
                f"hibari 'Hello.' --voice {own_name} -o hello.wav"
            ) from error
        except ValueError as error:
            raise InputError(
                f"the installed hibari-tts does not have the voice {name!r} ({error}). "
                "Upgrade it: pip install --upgrade hibari-tts"
            ) from error
        self._speaker = hibari.Hibari(voice=own_name)
        # Its own splitter splits at the full stops of "No. 5" and "6 a.m. Monday".
        self._speaker.split_sentences = lambda sentence: [sentence]

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread."""
        signs = [sign for sign in dict.fromkeys(sentence) if self._skips(sign, sentence)]
        return [*foreign_words(sentence, LATIN), *((sign, "a sign") for sign in signs)]

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """As Voice.say; deterministic. Numbers of more than 36 digits are read digit by digit."""
        sentence = _NUMBER.sub(_digits, sentence)
        audios = [np.asarray(s, np.float32) for s in self._speaker.stream(sentence, speed=speed, seed=0)]
        return np.concatenate([np.zeros(0, np.float32), *audios]), int(self._speaker.sample_rate)

    def _skips(self, sign: str, sentence: str) -> bool:
        """Return whether a sign, such as a mathematical or currency sign, does not change the phonemes."""
        if sign < "\x80" or not (unicodedata.category(sign) in _SIGN_CATEGORIES or sign in _OTHER_SIGNS):
            return False
        return self._phonemes(sentence) == self._phonemes(sentence.replace(sign, " "))

    def _phonemes(self, sentence: str) -> str:
        return "".join(self._speaker.phonemize(_NUMBER.sub(_digits, sentence))).replace(" ", "")


def _digits(number: re.Match[str]) -> str:
    """Return a number in a form that hibari can read: digit by digit if it is too long."""
    digits = number[0].replace(",", "")
    return number[0] if len(digits) <= _MAX_NUMBER_DIGITS else " ".join(digits)
