"""Schemas of requests and replies, as published in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from newscaster.server.session import SessionOptions
from newscaster.still.head_motion import MotionStyle
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.dub_options import Extend, Fit

_ANCHOR = "Id of the anchor, or another name of a bundled one (default: the first)."


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Delivery(_Schema):
    """How an anchor speaks."""

    voice: str | None = Field(None, max_length=200, description="Installed voice for texts.")
    speed: float = Field(1.0, ge=0.5, le=2, description="Speaking rate of texts; 1 is the voice's own.")
    openness: float = Field(1.0, ge=0, le=2, description="Amplitude of the mouth motion; 1 is as trained.")
    smoothness: float = Field(1.0, ge=0, le=4, description="Smoothing of the mouth motion; 1 is as trained.")


class SpeakOptions(_Delivery):
    """An anchor, and how it speaks."""

    anchor: str | None = Field(None, max_length=200, description=_ANCHOR)


class JobOptions(SpeakOptions):
    """An anchor in a video: how it speaks, and its name strap."""

    strap_title: str | None = Field(
        None, max_length=200, description="Title of a name strap in the lower third, such as a name."
    )
    strap_subtitle: str | None = Field(
        None, max_length=200, description="Second line of the name strap, such as an office."
    )


class _Words(_Schema):
    """How words of texts are read."""

    pronunciations: dict[str, str] | None = Field(
        None,
        max_length=500,
        description="Readings of written forms, such as `WHO`: `W.H.O`, before those of the studio.",
    )


class _Scene(_Schema):
    """What is behind the person."""

    background: str | None = Field(
        None,
        max_length=40,
        description="Background behind the person: a colour (#rrggbb or a CSS name) or blur (default: the "
        "footage's own).",
    )


class _LiveDelivery(_Delivery, _Words):
    """How an anchor speaks live."""

    look_ahead_ms: int | None = Field(
        None,
        ge=80,
        le=1000,
        multiple_of=40,
        description="Audio look-ahead in ms: more is more lifelike, with more delay.",
    )


class SessionChange(_LiveDelivery):
    """Changes of a session; missing fields stay unchanged."""


class NewSession(SpeakOptions, _LiveDelivery, _Scene):
    """A live session."""

    def to_options(self) -> SessionOptions:
        """Return the options of the session."""
        return SessionOptions(
            anchor=self.anchor,
            look_ahead_ms=self.look_ahead_ms,
            voice=self.voice,
            speed=self.speed,
            background=self.background,
            pronunciations=self.pronunciations,
            articulation=Articulation(openness=self.openness, smoothness=self.smoothness),
        )


class NewEmbedToken(_Schema):
    """A token to embed an anchor."""

    label: str = Field(min_length=1, max_length=80, description="Site that uses it, such as news.example.")


class Text(_Schema):
    """A text to speak."""

    text: str = Field(min_length=1, description="Text to speak; an empty line separates paragraphs.")


class Action(_Schema):
    """A named clip to show."""

    name: str = Field(max_length=40, description="Name of the clip, one of the session's actions.")


class VoiceSample(_Words):
    """A sentence to hear a voice with."""

    text: str = Field(
        "Good evening. Here is the news.", min_length=1, max_length=300, description="The sentence."
    )
    voice: str | None = Field(None, max_length=200, description="Installed voice (default: the anchor's).")
    speed: float = Field(1.0, ge=0.5, le=2, description="Speaking rate; 1 is the voice's own.")
    anchor: str | None = Field(None, max_length=200, description=_ANCHOR)


class NewJob(JobOptions, Text, _Words, _Scene):
    """A video of a script."""


class NewAudioJob(JobOptions, _Scene):
    """A video of an audio file."""

    title: str = Field("Audio file", min_length=1, max_length=80, description="Title in lists.")


class NewPhotoAnchor(_Schema):
    """An anchor of the person in a photograph."""

    name: str = Field(min_length=1, max_length=80, description="Name of the anchor.")
    consent: str = Field(
        min_length=1,
        max_length=2000,
        description="Consent of the person: who agreed, when, and to what. It is stored in the anchor.",
    )
    motion: MotionStyle = Field("calm", description="Motion of the head.")
    blinks: bool = Field(True, description="Whether the eyes blink.")
    face: int | None = Field(
        None, ge=0, description="Number of the person from the left, 0 first (default: the only one)."
    )


class Footage(_Schema):
    """Footage: uploaded videos of one person."""

    videos: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=100, description="Ids of uploaded videos."
    )
    face: int | None = Field(
        None,
        ge=0,
        description="Number of the person from the left, 0 first (default: who is seen and speaks most).",
    )


class NewFootageAnchor(Footage):
    """An anchor that is trained on footage."""

    name: str = Field(min_length=1, max_length=80, description="Name of the anchor.")
    consent: str = Field(
        min_length=1,
        max_length=2000,
        description="Consent of the person: who agreed, when, and to what. It is stored in the anchor.",
    )
    minutes: float = Field(
        12.0, ge=0, allow_inf_nan=False, description="Training time of the rendering network."
    )
    renderer: Literal["unet", "reference"] = Field(
        "unet", description="Rendering network; `reference` works without training (`minutes` 0)."
    )


class DubSettings(JobOptions):
    """A video to dub, and how speech and video are put together."""

    video: str = Field(max_length=64, description="Id of an uploaded video.")
    title: str | None = Field(
        None, min_length=1, max_length=80, description="Title in lists (default: the video's)."
    )
    fit: Fit = Field(
        "video", description="Length of the result: the video's, the speech's, or the shorter one's."
    )
    extend: Extend = Field("transitions", description="How the video is extended if the speech is longer.")
    mix: float | None = Field(
        None,
        ge=-60,
        le=12,
        allow_inf_nan=False,
        description="Gain in dB at which the video's own audio is kept (default: it is replaced).",
    )
    face: int | None = Field(
        None, ge=0, description="Number of the face to rewrite (default: that of the anchor's person)."
    )
    start_seconds: float | None = Field(
        None, alias="from", ge=0, allow_inf_nan=False, description="Rewrite only from this second on."
    )
    stop_seconds: float | None = Field(
        None, alias="to", gt=0, allow_inf_nan=False, description="Rewrite only up to this second."
    )
    preview: bool = Field(False, description="Dub three seconds only.")
    preview_at: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Second in the middle of the preview (default: the first one that shows the person).",
    )


class NewDub(DubSettings, _Words):
    """A dub to a text, to captions, or, without either, to the video's own audio."""

    text: str | None = Field(None, min_length=1, description="Text to speak.")
    captions: str | None = Field(
        None, min_length=1, description="SubRip or WebVTT captions to speak, each in its time."
    )


class NewAudioDub(DubSettings):
    """A dub to an audio file."""


class Description(_Schema):
    """An RTCSessionDescription."""

    type: str = Field(pattern="^(offer|answer)$")
    sdp: str = Field(max_length=64_000)


class ErrorReply(BaseModel):
    """An error."""

    error: str = Field(description="One sentence: value found, values accepted, next step.")
