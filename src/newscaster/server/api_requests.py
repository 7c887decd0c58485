"""What the endpoints share: the studio of a request, uploads, and the options of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from newscaster.server.anchor_registry import merged, reading_for
from newscaster.server.middleware import API
from newscaster.server.schemas import ErrorReply, SpeakOptions
from newscaster.server.session import Session
from newscaster.server.speech_upload import KINDS
from newscaster.server.studio import Studio
from newscaster.server.video_upload import KINDS as VIDEO_KINDS
from newscaster.synthesis.background import check_plain_background

AUDIO_BODY = {
    "requestBody": {
        "required": True,
        "description": f"An audio file: {KINDS}.",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""OpenAPI of a request whose body is an audio file."""
VIDEO_BODY = {
    "requestBody": {
        "required": True,
        "description": f"A video: {VIDEO_KINDS}.",
        "content": {"video/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""OpenAPI of a request whose body is a video."""


def new_router() -> APIRouter:
    """Return a router for endpoints under /v1."""
    return APIRouter(prefix=API, responses={"4XX": {"model": ErrorReply, "description": "Refused"}})


def studio_of(request: Request) -> Studio:
    """Return the studio that a request came to."""
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(studio_of)]
"""The studio, as an argument of an endpoint."""


def _session(session: str, request: Request) -> Session:
    return studio_of(request).session(session)


async def _used_session(session: str, request: Request) -> AsyncIterator[Session]:
    live_session = _session(session, request)
    with live_session.used():
        yield live_session


TheSession = Annotated[Session, Depends(_session)]
UsedSession = Annotated[Session, Depends(_used_session)]
"""The session of a request that uses it: it is not idle meanwhile."""


async def upload_audio(request: Request, studio: Studio) -> tuple[Path, float]:
    """Receive the audio file that is the body of a request; the caller removes it."""
    return await studio.uploads.receive(
        request.stream(), content_length=request.headers.get("content-length")
    )


def job_options(studio: Studio, options: SpeakOptions) -> dict[str, Any]:
    """Return fields of a Job."""
    anchor = studio.library.resolve(options.anchor)
    reading = reading_for(anchor, voice=options.voice, speed=options.speed, installed=studio.voices)
    words = getattr(options, "pronunciations", None)
    merged(studio.settings.pronunciations, words)  # checks them
    background = getattr(options, "background", None)
    check_plain_background(background)
    return {
        "anchor": anchor,
        "background": background,
        "pronunciations": words,
        "voice": reading.voice,
        "speed": options.speed,
        "openness": options.openness,
        "smoothness": options.smoothness,
    }
