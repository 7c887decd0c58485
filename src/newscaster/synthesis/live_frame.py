"""What a live stream gives: its frames, and its counts."""

from __future__ import annotations

from dataclasses import dataclass

from newscaster.deprecation import renamed_attributes
from newscaster.media import YuvFrame
from newscaster.speech.spectral import Floats


@renamed_attributes(picture="image", sound="audio")
@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """One frame of a live stream."""

    number: int
    """On the media clock, from 0."""
    seconds: float
    """Its begin on the media clock: number / fps."""
    image: YuvFrame | None
    """The caller's to keep; None where the frame was left out, whose sound is here all the same."""
    audio: Floats
    """(n,) float32 mono: samples round(number rate / fps) to round((number + 1) rate / fps)."""
    synthesised: bool
    """Whether the picture's mouth is a new one, and not the footage's own."""
    speaking: bool
    """Whether it belongs to speech, the pauses in it included."""


@renamed_attributes(starved="underrun", sound_seconds="audio_seconds")
@dataclass(frozen=True, kw_only=True)
class LiveCounts:
    """What a stream has given so far."""

    shown: int
    """Frames with a picture."""
    dropped: int
    """Frames without one, since they were late."""
    underrun: int
    """How often speech was ended because no more sound came."""
    audio_seconds: float
    """Sound given out, silence included."""
    spoken_seconds: float
    """Of it, what came as speech: pushed audio and texts, whatever they hold."""
    speech_seconds: float
    """Speech found in that by voice activity, pauses left out."""
    waiting_seconds: float
    """Speech that has come in, or been made, and not been heard."""
    delay_seconds: float | None
    """From the first sound, or the text, to the first frame of its speech: the last one's. None: none yet."""
    delay_seconds_p95: float | None
    """The same: what 19 of 20 did not exceed."""
    late_seconds: float | None
    """How long after it was due the last frame was given out; None where there is no pace."""
    late_seconds_p95: float | None
    """The same: what 19 of 20 of the last 250 did not exceed."""
