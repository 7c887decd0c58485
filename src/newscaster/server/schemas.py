"""Schemas of requests and replies, as published in OpenAPI."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from newscaster.server.session import SessionOptions
from newscaster.synthesis.articulation import Articulation


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

    anchor: str | None = Field(None, max_length=200, description="Id of the anchor (default: the first).")


class _LiveDelivery(_Delivery):
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


class NewSession(SpeakOptions, _LiveDelivery):
    """A live session."""

    def to_options(self) -> SessionOptions:
        """Return the options of the session."""
        return SessionOptions(
            anchor=self.anchor,
            look_ahead_ms=self.look_ahead_ms,
            voice=self.voice,
            speed=self.speed,
            articulation=Articulation(openness=self.openness, smoothness=self.smoothness),
        )


class Text(_Schema):
    """A text to speak."""

    text: str = Field(min_length=1, description="Text to speak; an empty line separates paragraphs.")


class NewJob(SpeakOptions, Text):
    """A video of a script."""


class NewAudioJob(SpeakOptions):
    """A video of an audio file."""

    title: str = Field("Audio file", min_length=1, max_length=80, description="Title in lists.")


class Description(_Schema):
    """An RTCSessionDescription."""

    type: str = Field(pattern="^(offer|answer)$")
    sdp: str = Field(max_length=64_000)


class ErrorReply(BaseModel):
    """An error."""

    error: str = Field(description="One sentence: value found, values accepted, next step.")
