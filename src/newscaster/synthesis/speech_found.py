"""A warning for audio without speech: noise and music leave the mouth at rest."""

from __future__ import annotations

import logging

from newscaster.speech.voice_activity import MIN_VOICED_SECONDS, is_without_speech
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.speech_input import Speech

_log = logging.getLogger("newscaster.synthesis")


def without_speech(name: str, speech_seconds: float, seconds: float, *, rests: bool) -> str:
    """Return the warning, in one line.

    Args:
        name: name of the audio.
        speech_seconds: detected speech.
        seconds: length of the audio.
        rests: whether the mouth is kept at rest without speech.
    """
    amount = "no" if speech_seconds < MIN_VOICED_SECONDS else "hardly any"
    effect = "so the mouth moves with something else"
    if rests:
        effect = (
            "so the mouth stays at rest" if amount == "no" else "so the mouth is at rest most of the time"
        )
    return (
        f"{amount} speech detected in {name} ({speech_seconds:.1f} of {seconds:.1f} s), {effect}. Check that "
        "it is the right file, track or microphone"
    )


def warn_without_speech(speech: Speech, stream: MotionStream, *, rests: bool) -> tuple[str, ...]:
    """Log and return the warning for a speech that a stream has consumed; nothing if it has speech."""
    speech_seconds, seconds = stream.speech_seconds, speech.seconds
    if not is_without_speech(speech_seconds, seconds):
        return ()
    line = without_speech(speech.name, speech_seconds, seconds, rests=rests)
    _log.warning("%s", line)
    return (line,)
