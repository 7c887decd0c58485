"""The voices by name."""

from __future__ import annotations

from collections.abc import Callable

from newscaster.speech.voices.hibari import HIBARI_VOICES, HibariVoice
from newscaster.speech.voices.piper import PIPER_VOICES, PiperVoice
from newscaster.speech.voices.voice import Voice

VOICES: dict[str, Callable[[str], Voice]] = {
    **dict.fromkeys(HIBARI_VOICES, HibariVoice),
    **dict.fromkeys(PIPER_VOICES, PiperVoice.packaged),
}
"""What loads each voice, given its name. It raises MissingExtraError if a package is missing."""
DEFAULT_VOICE = "hibari"
