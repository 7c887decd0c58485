"""The endpoints of videos: posters and scripts, the verification of any video, and sessions as HLS.

See `api` for the rules of all endpoints.
"""

from __future__ import annotations

import asyncio
import io
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import FileResponse
from PIL import Image

from newscaster import media
from newscaster.errors import MediaError
from newscaster.server.api_requests import VIDEO_BODY, TheStudio, WatchedSession, new_router
from newscaster.server.http_errors import NOT_FOUND, TOO_LARGE, RefusedError
from newscaster.server.job_process import run_work
from newscaster.server.job_record import VIDEO
from newscaster.server.verify_process import VerifyWork

_POSTER_SIDE = 320
_POSTER_QUALITY = 80
_KEPT_POSTERS = 256
_SEGMENT_HEADERS = {"cache-control": "max-age=60, immutable"}
"""A cache between studio and viewers may serve segments: they never change."""

router = new_router()


@router.get(
    "/jobs/{job}/poster.jpg", summary="First frame of a job's video, as JPEG", response_class=Response
)
async def job_poster(job: str, studio: TheStudio) -> Response:
    return await _poster_reply(studio.jobs.file(job, VIDEO))


@router.get(
    "/recordings/{recording}/poster.jpg",
    summary="First frame of a recording, as JPEG",
    response_class=Response,
)
async def recording_poster(recording: str, studio: TheStudio) -> Response:
    return await _poster_reply(studio.recordings.get(recording).path)


@router.get("/jobs/{job}/script", summary="Script of a job, as text", response_class=FileResponse)
async def job_script(job: str, studio: TheStudio) -> FileResponse:
    return FileResponse(studio.jobs.script(job), media_type="text/plain; charset=utf-8")


@router.post(
    "/verify",
    summary="Check the manifest of a video, and look for newscaster's watermark; stores nothing",
    openapi_extra=VIDEO_BODY,
)
async def verify(request: Request, studio: TheStudio) -> dict[str, Any]:
    """`verdict` as `newscaster verify --json` has it; `unchanged`: the file is as it was signed."""
    upload = await studio.uploads.receive_video(
        request.stream(), content_length=request.headers.get("content-length")
    )
    limit = studio.settings.limits.decode_seconds
    try:
        async with studio.verifying, asyncio.timeout(limit):
            result = await run_work(VerifyWork(video=upload.path), progress=lambda *_: None)
    except TimeoutError:
        raise RefusedError(
            f"the verification takes more than {limit:g} s. Run it on your machine: newscaster verify FILE",
            status=TOO_LARGE,
        ) from None
    finally:
        upload.path.unlink(missing_ok=True)
    if result["state"] != "done":
        raise RefusedError(result["error"])
    found: dict[str, Any] = result["found"]
    return found


async def _poster_reply(video: Path) -> Response:
    status = await asyncio.to_thread(video.stat)
    content = await asyncio.to_thread(_poster, video, status.st_mtime_ns)
    return Response(content, media_type="image/jpeg")


@lru_cache(maxsize=_KEPT_POSTERS)
def _poster(video: Path, mtime_ns: int) -> bytes:
    """Return the first frame of a video, as JPEG; `mtime_ns` is part of the key alone.

    Raises:
        RefusedError: it has none.
    """
    try:
        frame = next(iter(media.read_frames(video)))
    except (MediaError, StopIteration):
        raise RefusedError("the video has no frame that could be shown", status=NOT_FOUND) from None
    file = io.BytesIO()
    image = Image.fromarray(frame)
    image.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
    image.save(file, "JPEG", quality=_POSTER_QUALITY)
    return file.getvalue()


@router.get(
    "/sessions/{session}/hls/live.m3u8",
    summary="A session as HLS: the playlist. Its viewers share one encoder",
    response_class=Response,
)
async def hls_playlist(session: WatchedSession, request: Request, studio: TheStudio) -> Response:
    token = request.query_params.get("token")  # players send no headers
    query = "" if token is None else f"?token={quote(token, safe='')}"
    return Response(await studio.hls.playlist(session, query), media_type="application/vnd.apple.mpegurl")


@router.get(
    "/sessions/{session}/hls/{name}",
    summary="A file of the playlist: the header, or a segment of a second, as MP4",
    response_class=Response,
)
async def hls_part(session: WatchedSession, name: str, studio: TheStudio) -> Response:
    return Response(studio.hls.part(session, name), media_type="video/mp4", headers=_SEGMENT_HEADERS)
