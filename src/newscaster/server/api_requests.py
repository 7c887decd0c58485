"""What the endpoints share: the studio of a request, uploads, and the options of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from newscaster.server.anchor_registry import merged, reading_for
from newscaster.server.grants import Grant, Kind
from newscaster.server.middleware import API
from newscaster.server.photo_process import KINDS as PHOTO_KINDS
from newscaster.server.schemas import ErrorReply, JobOptions
from newscaster.server.session import Session
from newscaster.server.speech_upload import KINDS
from newscaster.server.studio import Studio, no_session
from newscaster.server.video_upload import KINDS as VIDEO_KINDS
from newscaster.synthesis.background import check_plain_background
from newscaster.synthesis.name_strap import check_strap


def _file_body(kind: str, description: str) -> dict[str, Any]:
    """Return the OpenAPI of a request whose body is a file."""
    content = {f"{kind}/*": {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


AUDIO_BODY = _file_body("audio", f"An audio file: {KINDS}.")
VIDEO_BODY = _file_body("video", f"A video: {VIDEO_KINDS}.")
PHOTO_BODY = _file_body("image", f"A photograph: {PHOTO_KINDS}.")


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
    return granted(studio_of(request).session(session), request.state.grant)


async def _used_session(session: str, request: Request) -> AsyncIterator[Session]:
    live_session = _session(session, request)
    with live_session.used():
        yield live_session


async def _watched_session(session: str, request: Request) -> AsyncIterator[Session]:
    studio = studio_of(request)
    found = studio.hls.ended_session(session)
    watched = granted(studio.session(session) if found is None else found, request.state.grant)
    with watched.used():
        yield watched


TheSession = Annotated[Session, Depends(_session)]
UsedSession = Annotated[Session, Depends(_used_session)]
"""The session of a request that uses it: it is not idle meanwhile."""
WatchedSession = Annotated[Session, Depends(_watched_session)]
"""Likewise, for HLS, which outlives the session for a while."""


def granted(session: Session, grant: Grant | None) -> Session:
    """Return a session that a client may use.

    Raises:
        RefusedError: its token embeds an anchor, and no page with this token has started the session.
    """
    if grant is not None and grant.kind is Kind.EMBED and session.options.grant != grant:
        raise no_session(session.id)
    return session


async def upload_audio(request: Request, studio: Studio) -> tuple[Path, float]:
    """Receive the audio file that is the body of a request; the caller removes it.

    Returns:
        The file, and its length in seconds.
    """
    return await studio.uploads.receive(
        request.stream(), content_length=request.headers.get("content-length")
    )


@asynccontextmanager
async def uploaded_audio(request: Request, studio: Studio) -> AsyncIterator[tuple[Path, float]]:
    """Receive an audio file as :func:`upload_audio`; it is removed afterwards, unless it was moved."""
    audio, seconds = await upload_audio(request, studio)
    try:
        yield audio, seconds
    finally:
        audio.unlink(missing_ok=True)


@asynccontextmanager
async def uploaded_photo(request: Request, studio: Studio) -> AsyncIterator[Path]:
    """Receive a photograph; it is removed afterwards, unless it was moved."""
    photo = await studio.uploads.receive_photo(
        request.stream(), content_length=request.headers.get("content-length")
    )
    try:
        yield photo
    finally:
        photo.unlink(missing_ok=True)


def job_options(studio: Studio, options: JobOptions) -> dict[str, Any]:
    """Return fields of a Job."""
    anchor = studio.library.resolve(options.anchor)
    reading = reading_for(anchor, voice=options.voice, speed=options.speed, installed=studio.voices)
    words = getattr(options, "pronunciations", None)
    merged(studio.settings.pronunciations, words)  # checks them
    background = getattr(options, "background", None)
    check_plain_background(background)
    check_strap(options.strap_title, options.strap_subtitle)
    return {
        "anchor": anchor,
        "background": background,
        "pronunciations": words,
        "voice": reading.voice,
        "speed": options.speed,
        "openness": options.openness,
        "smoothness": options.smoothness,
        "strap_title": options.strap_title,
        "strap_subtitle": options.strap_subtitle,
    }
