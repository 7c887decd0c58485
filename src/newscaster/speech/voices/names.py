"""The voices by name."""

from __future__ import annotations

from collections.abc import Callable

from newscaster.speech.voices.hibari import HIBARI_VOICES, HibariVoice
from newscaster.speech.voices.kokoro import KOKORO_VOICES, KokoroVoice, kokoro_is_installed
from newscaster.speech.voices.piper import PIPER_VOICES, PiperVoice
from newscaster.speech.voices.scripts import is_japanese
from newscaster.speech.voices.voice import Voice

VOICES: dict[str, Callable[[str], Voice]] = {
    **dict.fromkeys(HIBARI_VOICES, HibariVoice),
    **dict.fromkeys(PIPER_VOICES, PiperVoice.packaged),
    **dict.fromkeys(KOKORO_VOICES, KokoroVoice),
}
"""What loads each voice, given its name. It raises MissingExtraError if a package is missing."""
DEFAULT_VOICE = "hibari"


def default_voice(text: str) -> str:
    """Return DEFAULT_VOICE, or for a Japanese text a Japanese voice, if one is installed."""
    return KOKORO_VOICES[0] if is_japanese(text) and kokoro_is_installed() else DEFAULT_VOICE
