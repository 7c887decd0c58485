"""Whether what an anchor was given to say holds speech: noise and music leave the mouth at rest."""

from __future__ import annotations

import logging

from newscaster.speech.voice_activity import MIN_VOICED_SECONDS, is_without_speech
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.speech_input import Speech

_log = logging.getLogger("newscaster.synthesis")


def without_speech(name: str, speech_seconds: float, seconds: float, *, rests: bool) -> str:
    """The warning, in a line.

    Args:
        name: of the audio.
        speech_seconds: found in it.
        seconds: its length.
        rests: whether the mouth is held at rest without speech.
    """
    found = "no" if speech_seconds < MIN_VOICED_SECONDS else "hardly any"
    what = "so the mouth moves with something else"
    if rests:
        what = "so the mouth stays at rest" if found == "no" else "so the mouth is at rest most of the time"
    return (
        f"{found} speech detected in {name} ({speech_seconds:.1f} of {seconds:.1f} s), {what}. Check that it "
        "is the right file, track or microphone"
    )


def warn_without_speech(speech: Speech, stream: MotionStream, *, rests: bool) -> tuple[str, ...]:
    """The warning for speech that a stream has heard to its end, logged; none if there is speech in it."""
    found, seconds = stream.speech_seconds, speech.seconds
    if not is_without_speech(found, seconds):
        return ()
    line = without_speech(speech.name, found, seconds, rests=rests)
    _log.warning("%s", line)
    return (line,)
