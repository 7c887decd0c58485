"""Frames and statistics of a live stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from newscaster.deprecation import renamed_attributes
from newscaster.media import YuvFrame
from newscaster.types import ArrayF32


@renamed_attributes(picture="image", sound="audio")
@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """One frame of a live stream."""

    number: int
    """Frame number, from 0."""
    seconds: float
    """Start on the media clock: number / fps."""
    image: YuvFrame | None
    """Owned by the caller; None if the frame was dropped. A dropped frame still has its audio."""
    audio: ArrayF32
    """(n,) float32 mono: samples round(number rate / fps) to round((number + 1) rate / fps)."""
    synthesised: bool
    """Whether the mouth is synthesised, not the original one of the footage."""
    speaking: bool
    """Whether the frame belongs to speech, pauses included; frames in which the mouth opens before do not."""
    utterance: int | None = None
    """Number of its speech, which `Live.push` and `Live.say` gave; None: silence."""
    ended: tuple[int, ...] = ()
    """Numbers of the speeches that have been output to their end with this frame. One that was interrupted is
    not among them, nor is pushed audio before it is flushed."""
    action: str | None = None
    """Name of the clip that the frame belongs to, see `Live.play`; None: it belongs to no clip."""
    render_seconds: float | None = None
    """Time that rendering the image took; None if the frame was dropped."""


class Interruption(float):
    """How much of the interrupted speech has been output, in seconds; 0 if there was none."""

    utterance: int | None
    """Number of that speech, as of `LiveFrame.utterance`; None: there was none."""

    def __new__(cls, seconds: float, utterance: int | None) -> Self:
        interruption = super().__new__(cls, seconds)
        interruption.utterance = utterance
        return interruption


@renamed_attributes(starved="underrun", sound_seconds="audio_seconds")
@dataclass(frozen=True, kw_only=True)
class LiveCounts:
    """Statistics of a live stream so far."""

    shown: int
    """Frames with an image."""
    dropped: int
    """Frames without an image, dropped because they were late."""
    underrun: int
    """How often speech was ended because no more audio arrived in time."""
    audio_seconds: float
    """Length of the output audio, silence included."""
    spoken_seconds: float
    """The part of it that came from pushed audio and texts, whatever they contain."""
    speech_seconds: float
    """Speech in that part by voice activity detection, without pauses."""
    waiting_seconds: float
    """Pushed and synthesised audio that has not been output yet."""
    delay_seconds: float | None
    """Latency of the last utterance, from its first sample or its text to its first frame; None: none yet."""
    delay_seconds_p95: float | None
    """95th percentile of the latencies of the last 250 utterances."""
    late_seconds: float | None
    """How late the last frame was output; None if frames are not paced."""
    late_seconds_p95: float | None
    """95th percentile of the last 250 frames."""
