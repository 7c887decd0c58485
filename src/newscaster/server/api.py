"""The endpoints of the API under /v1, except those of `job_api`. Documented in docs/serve.md, and as OpenAPI.

Every error is JSON, `{"error": "one sentence"}`. Ids from clients are looked up, never used in a path.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from fastapi import Request, Response, WebSocket
from fastapi.responses import FileResponse
from pydantic import ValidationError

from newscaster import pipelines
from newscaster.errors import MissingExtraError, NewscasterError
from newscaster.media.containers import MP4
from newscaster.server.api_requests import (
    AUDIO_BODY,
    TheSession,
    TheStudio,
    UsedSession,
    granted,
    new_router,
    upload_audio,
    uploaded_audio,
)
from newscaster.server.grants import Grant, Kind
from newscaster.server.http_errors import (
    FORBIDDEN,
    TIMED_OUT,
    UNAUTHORIZED,
    RefusedError,
    close_code,
    close_reason,
    sentence,
    status_of,
)
from newscaster.server.middleware import API, check_grant, is_token
from newscaster.server.recording import described
from newscaster.server.schemas import (
    Action,
    Description,
    NewSession,
    SessionChange,
    Text,
)
from newscaster.server.session import Session
from newscaster.server.studio import Studio
from newscaster.server.turn import ice_servers
from newscaster.server.validation import of_validation
from newscaster.server.websocket import OUTPUTS, Conversation, parsed, text_of
from newscaster.texts import escaped, quoted
from newscaster.version import VERSION

_GREETING_SECONDS = 10.0

router = new_router()


@router.get("/health", summary="Health check; needs no token")
async def health() -> dict[str, str]:
    return {"status": "ok", "version": VERSION}


@router.get("/info", summary="Voices, limits and defaults")
async def info(studio: TheStudio) -> dict[str, Any]:
    studio.warm_up()  # a page requests this first
    return {
        "version": VERSION,
        "instance": studio.settings.instance,
        "voices": studio.voices,
        "can_train": _can_train(),
        "look_ahead_ms": studio.settings.look_ahead_ms,
        "ice_servers": ice_servers(studio.settings.turn, studio.settings.turn_secret),
        "limits": asdict(studio.settings.limits),
        "synthetic": "Everything this studio shows is synthetic: the mouth is generated.",
    }


def _can_train() -> bool:
    try:
        pipelines.need_training()
    except MissingExtraError:
        return False
    return True


@router.get("/anchors", summary="The anchors of this studio")
async def anchors(studio: TheStudio) -> list[dict[str, Any]]:
    return [
        _anchor(studio, anchor_id, studio.embed_tokens.default(anchor_id)) for anchor_id in studio.library.ids
    ]


def _anchor(studio: Studio, anchor_id: str, grant: Grant) -> dict[str, Any]:
    metadata = studio.library.known_info(anchor_id)
    shown: dict[str, Any] = {
        "id": anchor_id,
        "name": escaped(studio.library.name(anchor_id)),
        "aliases": studio.library.aliases(anchor_id),
        "poster": f"{API}/anchors/{anchor_id}/poster.jpg",
        "embed_token": grant.token(studio.settings),
    }
    if metadata is None:  # in a store, and not fetched yet
        return {**shown, "width": None, "height": None, "fps": None, "attribution": [], "consent": {}}
    width, height = metadata.size
    return {
        **shown,
        "width": width,
        "height": height,
        "fps": float(metadata.fps),
        "attribution": [escaped(line) for line in metadata.attribution],
        "consent": {
            escaped(name): escaped(value) if isinstance(value, str) else value
            for name, value in metadata.consent.items()
        },
    }


@router.get("/anchors/{anchor}", summary="One anchor; fetched from its store if it was not yet")
async def anchor_info(anchor: str, request: Request, studio: TheStudio) -> dict[str, Any]:
    """To the holder of a token to embed the anchor, `embed_token` is this token."""
    anchor = studio.library.id_of(anchor)
    await asyncio.to_thread(studio.library.path, anchor)
    return _anchor(studio, anchor, request.state.grant or studio.embed_tokens.default(anchor))


@router.get(
    "/anchors/{anchor}/poster.jpg", summary="First frame of an anchor, as JPEG", response_class=Response
)
async def poster(anchor: str, studio: TheStudio) -> Response:
    return Response(await asyncio.to_thread(studio.library.poster, anchor), media_type="image/jpeg")


@router.post("/sessions", status_code=201, summary="Start a live session")
async def begin(new: NewSession, request: Request, studio: TheStudio) -> dict[str, Any]:
    """`watch_token` is a token for those who may watch the session, and do nothing else."""
    options, grant = new.to_options(), request.state.grant
    if grant is not None:
        library, anchor = studio.library, options.anchor
        # An unknown anchor is refused alike: its message would list all anchors.
        if anchor is None or not library.serves(anchor) or library.id_of(anchor) != grant.subject:
            raise RefusedError(
                f"the token is for the anchor {quoted(grant.subject)} alone. Start a session of it",
                status=FORBIDDEN,
            )
        options = replace(options, grant=grant)
    return _with_token(await studio.begin(options), studio)


@router.get("/sessions/{session}", summary="State of a session")
async def session_state(session: TheSession, studio: TheStudio) -> dict[str, Any]:
    return _with_token(session, studio)


def _with_token(session: Session, studio: Studio) -> dict[str, Any]:
    return {**session.to_json(), "watch_token": Grant(Kind.WATCH, session.id).token(studio.settings)}


@router.get("/sessions/{session}/ice_servers", summary="STUN and TURN servers to connect over WebRTC")
async def session_ice_servers(session: TheSession, studio: TheStudio) -> list[dict[str, Any]]:
    """Their passwords expire: ask again for each connection."""
    return ice_servers(studio.settings.turn, studio.settings.turn_secret)


@router.patch("/sessions/{session}", summary="Change voice, speed or articulation from the next sentence on")
async def change(changes: SessionChange, session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    await studio.change(session, changes.model_dump(exclude_unset=True))
    return session.to_json()


@router.delete("/sessions/{session}", status_code=204, summary="End a session")
async def end(session: TheSession, studio: TheStudio) -> None:
    await studio.end(session)


@router.post("/sessions/{session}/webrtc", summary="Connect over WebRTC: send an offer, receive the answer")
async def webrtc(offer: Description, session: UsedSession, studio: TheStudio) -> Description:
    if offer.type != "offer":
        raise RefusedError(f"the description is an {offer.type}; expected an offer")
    return Description(type="answer", sdp=await studio.peers.answer(session, offer.sdp))


@router.post(
    "/sessions/{session}/viewers", summary="Only watch over WebRTC: send an offer, receive the answer"
)
async def viewer(offer: Description, session: UsedSession, studio: TheStudio) -> Description:
    if offer.type != "offer":
        raise RefusedError(f"the description is an {offer.type}; expected an offer")
    return Description(type="answer", sdp=await studio.peers.answer(session, offer.sdp, view_only=True))


@router.post("/sessions/{session}/say", status_code=202, summary="Speak a text, after pending speech")
async def say(text: Text, session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    session.say(text_of(text.text, max_characters=studio.settings.limits.script_characters))
    return session.to_json()


@router.post(
    "/sessions/{session}/action",
    status_code=202,
    summary="Show a named clip of the anchor, after those that wait",
)
async def action(action: Action, session: UsedSession) -> dict[str, Any]:
    await session.act(action.name)
    return session.to_json()


@router.post(
    "/sessions/{session}/audio",
    status_code=202,
    summary="Speak an audio file; replaces one that is playing",
    openapi_extra=AUDIO_BODY,
)
async def audio(session: UsedSession, request: Request, studio: TheStudio) -> dict[str, Any]:
    audio, _ = await upload_audio(request, studio)  # which is removed once it was played
    await studio.play(session, audio)
    return session.to_json()


@router.post("/sessions/{session}/stop", summary="Stop speaking now, and drop pending speech")
async def stop(session: UsedSession) -> dict[str, Any]:
    await session.interrupt()
    return session.to_json()


@router.post("/sessions/{session}/recording", status_code=201, summary="Start recording a session")
async def record(session: UsedSession, studio: TheStudio) -> dict[str, str]:
    return {"id": studio.recordings.start(session)}


@router.post("/sessions/{session}/recording/stop", summary="Stop the recording")
async def finish_recording(session: UsedSession, studio: TheStudio) -> dict[str, Any]:
    recording, remark = await studio.recordings.stop(session)
    return {**recording.to_json(), "remark": remark}


@router.post(
    "/check/audio",
    summary="Check that an audio file can be spoken; stores nothing",
    openapi_extra=AUDIO_BODY,
)
async def check_audio(request: Request, studio: TheStudio) -> dict[str, float]:
    async with uploaded_audio(request, studio) as (_, seconds):
        return {"seconds": round(seconds, 2)}


@router.get("/recordings", summary="Stored recordings, newest first")
async def recordings(studio: TheStudio) -> list[dict[str, object]]:
    return await asyncio.to_thread(described, studio.recordings.list())


@router.get("/recordings/{recording}", summary="A recording, as MP4", response_class=FileResponse)
async def recording_file(recording: str, studio: TheStudio) -> FileResponse:
    stored = studio.recordings.get(recording)
    return FileResponse(stored.path, media_type=MP4.media_type, filename=stored.file_name)


@router.delete("/recordings/{recording}", status_code=204, summary="Remove a recording")
async def remove_recording(recording: str, studio: TheStudio) -> None:
    studio.recordings.remove(recording)


@router.websocket("/sessions/{session}/socket")
async def session_socket(
    socket: WebSocket, session: str, output: str = "none", captions: bool = False
) -> None:
    """Control a session that was started over HTTP."""
    await socket.accept()
    try:
        studio = await _greeted(socket)
        live_session = granted(studio.session(session), socket.scope["state"]["grant"])
        _check_output(output)
    except NewscasterError as error:
        await _turn_away(socket, error)
        return
    limits = studio.settings.limits
    await Conversation(socket, live_session, output=output, limits=limits, captions=captions).run()


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Start a session that lasts as long as the connection; the first message has its options."""
    await socket.accept()
    try:
        studio = await _greeted(socket)
        first = parsed(await _received(socket), studio.settings.limits)
        if first.keys() == {"token"}:  # not needed here
            first = parsed(await _received(socket), studio.settings.limits)
        output = first.pop("output", "mp4")
        _check_output(output)
        captions = first.pop("captions", False)
        if not isinstance(captions, bool):
            raise RefusedError(f"captions is {quoted(captions)}; expected true or false")
        if first.pop("type", "session") != "session":
            raise RefusedError(
                "the type of the first message must be session, or missing. Send "
                '{"output": "mp4"} first, then the other messages'
            )
        try:
            options = NewSession.model_validate(first).to_options()
        except ValidationError as error:
            raise RefusedError(of_validation(error.errors())) from error
        session = await studio.begin(options)
    except NewscasterError as error:
        await _turn_away(socket, error)
        return
    try:
        await socket.send_json({"type": "session", **session.to_json()})
        limits = studio.settings.limits
        await Conversation(socket, session, output=output, limits=limits, captions=captions).run()
    finally:
        await studio.end(session)


async def _greeted(socket: WebSocket) -> Studio:
    """Return the studio if the client has sent the token, in the handshake or as the first message.

    Raises:
        RefusedError: the token is missing or wrong.
    """
    studio: Studio = socket.app.state.studio
    if not socket.scope["state"].get("trusted"):
        token = parsed(await _received(socket), studio.settings.limits).get("token")
        revoked = studio.embed_tokens.revoked
        grant = Grant.of(token, studio.settings, revoked=revoked) if isinstance(token, str) else None
        if grant is not None:
            check_grant(grant, socket.scope)
            socket.scope["state"]["grant"] = grant
        elif not is_token(token if isinstance(token, str) else None, studio.settings):
            raise RefusedError(
                'the token is missing or wrong. Send {"token": "..."} as the first message',
                status=UNAUTHORIZED,
            )
        socket.scope["state"]["trusted"] = True
    return studio


async def _received(socket: WebSocket) -> str:
    """Return the next text message.

    Raises:
        RefusedError: none came within `_GREETING_SECONDS`, or the client has disconnected.
    """
    try:
        async with asyncio.timeout(_GREETING_SECONDS):
            message = await socket.receive()
    except TimeoutError:
        raise RefusedError("no message came. Send the first message at once", status=TIMED_OUT) from None
    if message["type"] == "websocket.disconnect":
        raise RefusedError("the client has disconnected")
    return message.get("text") or ""


async def _turn_away(socket: WebSocket, error: NewscasterError) -> None:
    with suppress(Exception):  # the client may be gone
        await socket.send_json({"type": "refused", "error": sentence(error)})
        await socket.close(close_code(status_of(error)), close_reason(error))


def _check_output(output: object) -> None:
    if output not in OUTPUTS:
        raise RefusedError(f"output is {quoted(output)}; expected one of {', '.join(OUTPUTS)}")
