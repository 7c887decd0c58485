"""The shapes of requests and replies, as OpenAPI shows them. What values mean is left to who uses them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from newscaster.server.session import SessionOptions
from newscaster.synthesis.articulation import Articulation


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Delivery(_Shape):
    """How an anchor speaks."""

    voice: str | None = Field(None, max_length=200, description="Name of an installed voice, for texts.")
    speed: float = Field(1.0, ge=0.5, le=2, description="Pace of texts; 1 is the voice's own.")
    openness: float = Field(1.0, ge=0, le=2, description="How far the mouth moves; 1 is as trained.")
    smoothness: float = Field(1.0, ge=0, le=4, description="How softly the mouth moves; 1 is as trained.")


class SpeakOptions(_Delivery):
    """Who speaks, and how."""

    anchor: str | None = Field(None, max_length=200, description="Id of an anchor; by default the first.")


class _LiveDelivery(_Delivery):
    """How an anchor speaks live."""

    look_ahead_ms: int | None = Field(
        None,
        ge=80,
        le=1000,
        multiple_of=40,
        description="How much later sound the mouth may know of: more is nearer to life and later.",
    )


class SessionChange(_LiveDelivery):
    """What changes in a session; fields that are not given stay as they are."""


class NewSession(SpeakOptions, _LiveDelivery):
    """A live session."""

    def wanted(self) -> SessionOptions:
        """As the studio takes it."""
        return SessionOptions(
            anchor=self.anchor,
            look_ahead_ms=self.look_ahead_ms,
            voice=self.voice,
            speed=self.speed,
            articulation=Articulation(openness=self.openness, smoothness=self.smoothness),
        )


class Text(_Shape):
    """A text to be read."""

    text: str = Field(min_length=1, description="What is to be said; an empty line divides paragraphs.")


class NewJob(SpeakOptions, Text):
    """A video of a script."""


class NewAudioJob(SpeakOptions):
    """A video of a sound file."""

    title: str = Field("Sound file", min_length=1, max_length=80, description="What it is called in lists.")


class Description(_Shape):
    """An RTCSessionDescription."""

    type: str = Field(pattern="^(offer|answer)$")
    sdp: str = Field(max_length=64_000)


class ErrorReply(BaseModel):
    """What every refusal says."""

    error: str = Field(description="One sentence: what was found, what is accepted, what to do next.")
