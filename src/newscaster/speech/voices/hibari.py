"""The voices of the package hibari-tts: small, fast, English, Apache-2.0.

One, a woman's, is inside its package. The others are files of 8 MB that hibari's own command fetches once;
newscaster itself never goes online.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from newscaster.errors import InputError, MissingExtraError
from newscaster.speech.spectral import Floats

HIBARI_VOICES = {"hibari": "heart", "emma": "emma", "fable": "fable", "fenrir": "fenrir", "kore": "kore"}
"""Voices by name, and what hibari calls them: American (hibari, kore: women; fenrir: a man) and British
(emma: a woman; fable: a man)."""


class HibariVoice:
    """A voice of hibari's, loaded.

    Args:
        name: one of HIBARI_VOICES.

    Raises:
        MissingExtraError: hibari-tts is not installed.
        InputError: this voice has not been fetched.
    """

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
                f"the voice {name!r} has not been fetched: there is no '{error}'. Fetch it once, online, "
                f"with: hibari 'Hello.' --voice {own_name} -o hello.wav"
            ) from error
        except ValueError as error:
            raise InputError(
                f"the installed hibari-tts does not know the voice {name!r} ({error}). "
                "Take a newer one: pip install --upgrade hibari-tts"
            ) from error
        self._speaker = hibari.Hibari(voice=own_name)
        # Its own splitter takes the full stops of "No. 5" and "6 a.m. Monday" for ends of sentences.
        self._speaker.split_sentences = lambda sentence: [sentence]

    def say(self, sentence: str, *, speed: float) -> tuple[Floats, int]:
        """As Voice.say; the same each time."""
        sounds = [np.asarray(s, np.float32) for s in self._speaker.stream(sentence, speed=speed, seed=0)]
        return np.concatenate([np.zeros(0, np.float32), *sounds]), int(self._speaker.sample_rate)
