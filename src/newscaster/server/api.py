"""The API under /v1: what each address does. Documented in docs/serve.md, and by itself in OpenAPI.

Every refusal is JSON, `{"error": "one sentence"}`. Ids from clients are looked up, never made part of a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response, WebSocket
from fastapi.responses import FileResponse
from pydantic import ValidationError

from newscaster.errors import NewscasterError
from newscaster.media.containers import MP4
from newscaster.server.anchor_registry import reading_for
from newscaster.server.http_errors import (
    TIMED_OUT,
    UNAUTHORIZED,
    RefusedError,
    close_code,
    close_reason,
    sentence,
    status_of,
)
from newscaster.server.jobs import CAPTIONS, VIDEO
from newscaster.server.middleware import API, is_token
from newscaster.server.recording import described
from newscaster.server.schemas import (
    Description,
    ErrorReply,
    NewAudioJob,
    NewJob,
    NewSession,
    SessionChange,
    SpeakOptions,
    Text,
)
from newscaster.server.session import Session
from newscaster.server.speech_upload import KINDS
from newscaster.server.studio import Studio
from newscaster.server.websocket import OUTPUTS, Conversation, parsed, text_of
from newscaster.speech.plain_text import plain_text
from newscaster.texts import escaped, quoted
from newscaster.version import VERSION

_GREETING_SECONDS = 10.0
_AUDIO_BODY = {
    "requestBody": {
        "required": True,
        "description": f"A sound file: {KINDS}.",
        "content": {"audio/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix=API, responses={"4XX": {"model": ErrorReply, "description": "Refused"}})


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


def _session(session: str, request: Request) -> Session:
    return _studio(request).session(session)


TheStudio = Annotated[Studio, Depends(_studio)]


async def _used_session(session: str, request: Request) -> AsyncIterator[Session]:
    found = _session(session, request)
    with found.used():
        yield found


TheSession = Annotated[Session, Depends(_session)]
UsedSession = Annotated[Session, Depends(_used_session)]
"""Of a request that talks to the session, which is not idle then."""


@router.get("/health", summary="Whether the studio answers; needs no token")
async def health() -> dict[str, str]:
    return {"status": "ok", "version": VERSION}


@router.get("/info", summary="Voices, limits and defaults")
async def info(studio: TheStudio) -> dict[str, Any]:
    studio.warm_up()  # it is what a page asks first
    return {
        "version": VERSION,
        "voices": studio.voices,
        "look_ahead_ms": studio.settings.look_ahead_ms,
        "limits": asdict(studio.settings.limits),
        "synthetic": "Everything this studio shows is synthetic: the mouth is generated.",
    }


@router.get("/anchors", summary="The anchors that can speak here")
async def anchors(studio: TheStudio) -> list[dict[str, Any]]:
    return [_anchor(studio, known) for known in studio.library.ids]


def _anchor(studio: Studio, known: str) -> dict[str, Any]:
    about = studio.library.info(known)
    width, height = about.size
    return {
        "id": known,
        "name": escaped(about.name),
        "width": width,
        "height": height,
        "fps": float(about.fps),
        "poster": f"{API}/anchors/{known}/poster.jpg",
        "attribution": [escaped(line) for line in about.attribution],
        "consent": {
            escaped(name): escaped(value) if isinstance(value, str) else value
            for name, value in about.consent.items()
        },
    }


@router.get("/anchors/{anchor}/poster.jpg", summary="A picture of an anchor", response_class=Response)
async def poster(anchor: str, studio: TheStudio) -> Response:
    return Response(await asyncio.to_thread(studio.library.poster, anchor), media_type="image/jpeg")


@router.post("/sessions", status_code=201, summary="Begin a live session")
async def begin(wanted: NewSession, studio: TheStudio) -> dict[str, Any]:
    return (await studio.begin(wanted.wanted())).to_json()


@router.get("/sessions/{session}", summary="How a session is doing")
async def session_state(session: TheSession) -> dict[str, Any]:
    return session.to_json()


@router.patch("/sessions/{session}", summary="Change voice, pace or expression from the next sentence on")
async def change(changes: SessionChange, session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    await studio.change(session, changes.model_dump(exclude_unset=True))
    return session.to_json()


@router.delete("/sessions/{session}", status_code=204, summary="End a session")
async def end(session: TheSession, studio: TheStudio) -> None:
    await studio.end(session)


@router.post("/sessions/{session}/webrtc", summary="Listen over WebRTC: an offer in, the answer out")
async def webrtc(offer: Description, session: UsedSession, studio: TheStudio) -> Description:
    if offer.type != "offer":
        raise RefusedError(f"the description is an {offer.type}; expected an offer")
    return Description(type="answer", sdp=await studio.peers.answer(session, offer.sdp))


@router.post("/sessions/{session}/say", status_code=202, summary="Have a text read, behind what waits")
async def say(text: Text, session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    session.say(text_of(text.text, most=studio.settings.limits.script_characters))
    return session.to_json()


@router.post(
    "/sessions/{session}/audio",
    status_code=202,
    summary="Have a sound file spoken, in place of one that plays",
    openapi_extra=_AUDIO_BODY,
)
async def audio(session: UsedSession, request: Request, studio: TheStudio) -> dict[str, Any]:
    audio, _ = await _upload(request, studio)
    await studio.play(session, audio)
    return session.to_json()


@router.post("/sessions/{session}/stop", summary="Stop talking now; what waits is dropped")
async def stop(session: UsedSession) -> dict[str, Any]:
    await session.interrupt()
    return session.to_json()


@router.post("/sessions/{session}/recording", status_code=201, summary="Begin to record a session")
async def record(session: UsedSession, studio: TheStudio) -> dict[str, str]:
    return {"id": studio.recordings.start(session)}


@router.post("/sessions/{session}/recording/stop", summary="Finish the recording")
async def finish_recording(session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    recording, remark = await studio.recordings.stop(session)
    return {**recording.to_json(), "remark": remark}


@router.post(
    "/check/audio", summary="Check that a sound file can be spoken; keeps nothing", openapi_extra=_AUDIO_BODY
)
async def check_audio(request: Request, studio: TheStudio) -> dict[str, float]:
    audio, seconds = await _upload(request, studio)
    audio.unlink(missing_ok=True)
    return {"seconds": round(seconds, 2)}


@router.get("/recordings", summary="Recordings that are kept, the newest first")
async def recordings(studio: TheStudio) -> list[dict[str, object]]:
    return await asyncio.to_thread(described, studio.recordings.list())


@router.get("/recordings/{recording}", summary="A recording: MP4", response_class=FileResponse)
async def recording_file(recording: str, studio: TheStudio) -> FileResponse:
    found = studio.recordings.get(recording)
    return FileResponse(found.path, media_type=MP4.media_type, filename=found.file_name)


@router.delete("/recordings/{recording}", status_code=204, summary="Remove a recording")
async def remove_recording(recording: str, studio: TheStudio) -> None:
    studio.recordings.remove(recording)


@router.get("/jobs", summary="Jobs, the newest first")
async def jobs(studio: TheStudio) -> list[dict[str, Any]]:
    return [job.to_json() for job in studio.jobs.list()]


@router.post("/jobs", status_code=202, summary="Make a video of a script")
async def new_job(wanted: NewJob, studio: TheStudio) -> dict[str, Any]:
    text = text_of(wanted.text, most=studio.settings.limits.job_characters)
    words = (await asyncio.to_thread(plain_text, text)).text  # of long texts it takes a while
    if not any(character.isalnum() for character in words):
        raise RefusedError("the text holds no word to speak; give a sentence or more")
    return studio.jobs.add_script(text, words=words, **_options(studio, wanted)).to_json()


@router.post(
    "/jobs/audio", status_code=202, summary="Make a video of a sound file", openapi_extra=_AUDIO_BODY
)
async def new_audio_job(
    wanted: Annotated[NewAudioJob, Query()], request: Request, studio: TheStudio
) -> dict[str, Any]:
    studio.jobs.check_room()
    options = _options(studio, wanted)
    audio, _ = await _upload(request, studio)
    try:
        return studio.jobs.add_audio(audio, title=wanted.title, **options).to_json()
    finally:
        audio.unlink(missing_ok=True)


async def _upload(request: Request, studio: Studio) -> tuple[Path, float]:
    return await studio.uploads.receive(request.stream(), announced=request.headers.get("content-length"))


def _options(studio: Studio, wanted: SpeakOptions) -> dict[str, Any]:
    """Fields of a Job."""
    anchor = studio.library.resolve(wanted.anchor)
    reading = reading_for(anchor, voice=wanted.voice, speed=wanted.speed, known=studio.voices)
    return {
        "anchor": anchor,
        "voice": reading.voice,
        "speed": wanted.speed,
        "openness": wanted.openness,
        "smoothness": wanted.smoothness,
    }


@router.get("/jobs/{job}", summary="How a job is doing")
async def job_state(job: str, studio: TheStudio) -> dict[str, Any]:
    return studio.jobs.get(job).to_json()


@router.delete("/jobs/{job}", summary="Cancel a job that waits or runs; remove one that is finished")
async def remove_job(job: str, studio: TheStudio) -> dict[str, Any]:
    left = await studio.jobs.remove(job)
    return {"id": job, "state": "removed" if left is None else left.state}


@router.get("/jobs/{job}/video", summary="A job's video: MP4", response_class=FileResponse)
async def job_video(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, VIDEO)
    return FileResponse(path, media_type=MP4.media_type, filename=f"newscaster-{job}.mp4")


@router.get("/jobs/{job}/captions", summary="A job's captions: WebVTT", response_class=FileResponse)
async def job_captions(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, CAPTIONS)
    return FileResponse(path, media_type="text/vtt", filename=f"newscaster-{job}.vtt")


@router.websocket("/sessions/{session}/socket")
async def session_socket(socket: WebSocket, session: str, output: str = "none") -> None:
    """Talk to a session that was made over HTTP."""
    await socket.accept()
    try:
        studio = await _greeted(socket)
        found = studio.session(session)
        _check_output(output)
    except NewscasterError as error:
        await _turn_away(socket, error)
        return
    await Conversation(socket, found, output=output, limits=studio.settings.limits).run()


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """A session of its own, as long as the connection: the first message says what is wanted."""
    await socket.accept()
    try:
        studio = await _greeted(socket)
        first = parsed(await _received(socket), studio.settings.limits)
        if first.keys() == {"token"}:  # which was not needed
            first = parsed(await _received(socket), studio.settings.limits)
        output = first.pop("output", "mp4")
        _check_output(output)
        if first.pop("type", "session") != "session":
            raise RefusedError(
                "the first message asks for a session: it has no type, or the type session. Send "
                '{"output": "mp4"}, then say, sound and the like'
            )
        try:
            wanted = NewSession.model_validate(first).wanted()
        except ValidationError as error:
            raise RefusedError(of_validation(error.errors())) from error
        session = await studio.begin(wanted)
    except NewscasterError as error:
        await _turn_away(socket, error)
        return
    try:
        await socket.send_json({"type": "session", **session.to_json()})
        await Conversation(socket, session, output=output, limits=studio.settings.limits).run()
    finally:
        await studio.end(session)


async def _greeted(socket: WebSocket) -> Studio:
    """The studio, for a client that knows the token: from the handshake, or as the first message."""
    studio: Studio = socket.app.state.studio
    if not socket.scope["state"].get("trusted"):
        token = parsed(await _received(socket), studio.settings.limits).get("token")
        if not is_token(token if isinstance(token, str) else None, studio.settings):
            raise RefusedError(
                'the token is missing or wrong. Send {"token": "..."} as the first message',
                status=UNAUTHORIZED,
            )
        socket.scope["state"]["trusted"] = True
    return studio


async def _received(socket: WebSocket) -> str:
    """A text message, which must not take long."""
    try:
        async with asyncio.timeout(_GREETING_SECONDS):
            message = await socket.receive()
    except TimeoutError:
        raise RefusedError("no message came; say what is wanted", status=TIMED_OUT) from None
    if message["type"] == "websocket.disconnect":
        raise RefusedError("the client has left")
    return message.get("text") or ""


async def _turn_away(socket: WebSocket, error: NewscasterError) -> None:
    with suppress(Exception):  # it may have left
        await socket.send_json({"type": "refused", "error": sentence(error)})
        await socket.close(close_code(status_of(error)), close_reason(error))


def _check_output(output: object) -> None:
    if output not in OUTPUTS:
        raise RefusedError(f"output is {quoted(output)}; expected one of {', '.join(OUTPUTS)}")


def of_validation(errors: Any) -> str:
    """What pydantic found, in one sentence."""
    told = []
    for error in errors:
        where = ".".join(str(part) for part in error["loc"] if part not in ("body", "query")) or "the request"
        told.append(f"{where}: {error['msg']}")
    return "; ".join(told)
