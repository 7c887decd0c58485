"""The endpoints of jobs and of uploaded videos. See `api` for the rules of all endpoints."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import FileResponse

from newscaster.errors import InputError
from newscaster.media.containers import MP4
from newscaster.server.api_requests import (
    AUDIO_BODY,
    VIDEO_BODY,
    TheStudio,
    job_options,
    new_router,
    uploaded_audio,
)
from newscaster.server.http_errors import RefusedError
from newscaster.server.job_record import (
    CAPTIONS,
    ORIGINAL_STEM,
    PLAYABLE,
    REPORT,
    SCRIPT,
    VIDEO,
    DubJob,
)
from newscaster.server.schemas import (
    DubSettings,
    NewAudioDub,
    NewAudioJob,
    NewDub,
    NewJob,
)
from newscaster.server.speech_upload import JOB_AUDIO_STEM
from newscaster.server.studio import Studio
from newscaster.server.videos import Video
from newscaster.server.websocket import text_of
from newscaster.speech.cued_script import parse_cues
from newscaster.speech.plain_text import plain_text

_CAPTION_FILE = "the caption file"
_MEDIA_TYPES = {
    ".mp4": MP4.media_type,
    ".mov": MP4.media_type,  # browsers play it under this name
    ".mkv": "video/webm",
}
"""Of originals that browsers play. A .mkv that they play is a WebM file; others are converted."""

router = new_router()


@router.get("/videos", summary="Uploaded videos, newest first")
async def videos(studio: TheStudio) -> list[dict[str, Any]]:
    return [video.to_json() for video in studio.videos.list()]


@router.post("/videos", status_code=201, summary="Upload a video to dub", openapi_extra=VIDEO_BODY)
async def new_video(
    request: Request,
    studio: TheStudio,
    title: Annotated[str, Query(min_length=1, max_length=80, description="Title in lists.")] = "Video",
) -> dict[str, Any]:
    studio.jobs.check_open()
    studio.videos.check_room()
    upload = await studio.uploads.receive_video(
        request.stream(), content_length=request.headers.get("content-length")
    )
    return studio.videos.add(upload, title=title).to_json()


@router.get("/videos/{video}", summary="Size, rate and length of an uploaded video")
async def video_info(video: str, studio: TheStudio) -> dict[str, Any]:
    return studio.videos.get(video).to_json()


@router.delete("/videos/{video}", status_code=204, summary="Remove an uploaded video; jobs keep their copy")
async def remove_video(video: str, studio: TheStudio) -> None:
    await studio.videos.remove(video)


@router.get("/videos/{video}/faces", summary="The faces in an uploaded video, from left to right")
async def faces(video: str, studio: TheStudio, anchor: str | None = None) -> dict[str, Any]:
    """Boxes are relative to the frame, 0 to 1. `is_anchor`: the face is that of the anchor's person."""
    return await studio.videos.faces(video, studio.library.resolve(anchor))


@router.get(
    "/videos/{video}/faces.jpg",
    summary="The frames with faces below each other, each face with its box and its number, as JPEG",
    response_class=FileResponse,
)
async def faces_image(video: str, studio: TheStudio, anchor: str | None = None) -> FileResponse:
    path = await studio.videos.faces_image(video, studio.library.resolve(anchor))
    return FileResponse(path, media_type="image/jpeg")


@router.get(
    "/videos/{video}/{kind}/{number}.jpg",
    summary="Image of a face, or of a frame with faces, as JPEG",
    response_class=FileResponse,
)
async def face_image(
    video: str,
    kind: Literal["faces", "frames"],
    number: int,
    studio: TheStudio,
    anchor: str | None = None,
) -> FileResponse:
    path = studio.videos.image(video, studio.library.resolve(anchor), kind, number)
    return FileResponse(path, media_type="image/jpeg")


@router.get("/jobs", summary="Jobs, newest first")
async def jobs(studio: TheStudio) -> list[dict[str, Any]]:
    return [job.to_json() for job in studio.jobs.list()]


@router.post("/jobs", status_code=202, summary="Render a video of a script")
async def new_job(new: NewJob, studio: TheStudio) -> dict[str, Any]:
    text = text_of(new.text, max_characters=studio.settings.limits.job_characters)
    words = (await asyncio.to_thread(plain_text, text)).text  # slow for long texts
    if not any(character.isalnum() for character in words):
        raise RefusedError("the text contains no word to speak; give at least one sentence")
    return studio.jobs.add_script(text, words=words, **job_options(studio, new)).to_json()


@router.post(
    "/jobs/audio", status_code=202, summary="Render a video of an audio file", openapi_extra=AUDIO_BODY
)
async def new_audio_job(
    new: Annotated[NewAudioJob, Query()], request: Request, studio: TheStudio
) -> dict[str, Any]:
    studio.jobs.check_room()
    options = job_options(studio, new)
    async with uploaded_audio(request, studio) as (audio, _):
        return studio.jobs.add_audio(audio, title=new.title, **options).to_json()


@router.post(
    "/jobs/dub", status_code=202, summary="Dub an uploaded video to a text, captions or its own audio"
)
async def new_dub(new: NewDub, studio: TheStudio) -> dict[str, Any]:
    source, content = await asyncio.to_thread(_script, new, studio.settings.limits.job_characters)
    video = studio.videos.get(new.video)
    if content is None and not video.upload.has_audio:
        raise RefusedError(
            "the video has no audio that its lips could follow. Give text, captions, or an audio file (POST "
            "/v1/jobs/dub/audio)"
        )
    return _add_dub(studio, new, video, source or f"{ORIGINAL_STEM}{video.path.suffix}", content)


@router.post(
    "/jobs/dub/audio",
    status_code=202,
    summary="Dub an uploaded video to an audio file",
    openapi_extra=AUDIO_BODY,
)
async def new_audio_dub(
    new: Annotated[NewAudioDub, Query()], request: Request, studio: TheStudio
) -> dict[str, Any]:
    studio.jobs.check_room()
    _dub_job(studio, new, studio.videos.get(new.video))
    async with uploaded_audio(request, studio) as (audio, _):
        video = studio.videos.get(new.video)  # it may have been removed meanwhile
        return _add_dub(studio, new, video, f"{JOB_AUDIO_STEM}{audio.suffix}", audio)


def _script(new: NewDub, max_characters: int) -> tuple[str | None, bytes | None]:
    """Return the name and the content of the file to read aloud; None: the video's own audio is followed.

    Raises:
        RefusedError: text and captions are given, or the text is too long or has no word.
        InputError: the captions cannot be used.
    """
    if new.text is not None and new.captions is not None:
        raise RefusedError("text and captions are given; expected one of them")
    if new.text is not None:
        text = text_of(new.text, max_characters=max_characters)
        if not any(character.isalnum() for character in plain_text(text).text):
            raise RefusedError("the text contains no word to speak; give at least one sentence")
        return SCRIPT, text.encode()
    if new.captions is not None:
        captions = text_of(new.captions, max_characters=max_characters)
        try:
            parse_cues(captions, name=_CAPTION_FILE)
        except InputError as error:
            raise InputError(str(error).replace(f"'{_CAPTION_FILE}'", _CAPTION_FILE)) from error
        suffix = ".vtt" if captions.startswith("WEBVTT") else ".srt"
        return f"cues{suffix}", captions.encode()
    return None, None


def _dub_job(studio: Studio, new: DubSettings, video: Video) -> tuple[dict[str, Any], DubJob]:
    """Return fields of a Job, and its dub.

    Raises:
        NewscasterError: the anchor, the voice or an option cannot be used.
    """
    dub = DubJob(
        original=f"{ORIGINAL_STEM}{video.path.suffix}",
        video_id=video.id,
        fit=new.fit,
        extend=new.extend,
        mix_db=new.mix,
        face=new.face,
        start_seconds=new.start_seconds,
        stop_seconds=new.stop_seconds,
        preview=new.preview,
        preview_seconds=new.preview_at,
    )
    dub.to_options()  # checks the values
    seconds = video.upload.seconds
    for name, value in (("from", new.start_seconds), ("preview_at", new.preview_at)):
        if value is not None and value >= seconds:
            raise RefusedError(f"{name} is {value:g} s, and the video has {seconds:g} s; expected less")
    return job_options(studio, new), dub


def _add_dub(
    studio: Studio, new: DubSettings, video: Video, source: str, content: bytes | Path | None
) -> dict[str, Any]:
    options, dub = _dub_job(studio, new, video)
    job = studio.jobs.add_dub(video.path, source, content, title=new.title or video.title, dub=dub, **options)
    return job.to_json()


@router.get("/jobs/{job}", summary="State of a job")
async def job_state(job: str, studio: TheStudio) -> dict[str, Any]:
    return studio.jobs.get(job).to_json()


@router.delete("/jobs/{job}", summary="Cancel a queued or running job; remove a finished one")
async def remove_job(job: str, studio: TheStudio) -> dict[str, Any]:
    cancelled = await studio.jobs.remove(job)
    return {"id": job, "state": "removed" if cancelled is None else cancelled.state}


@router.get("/jobs/{job}/video", summary="Video of a job, as MP4", response_class=FileResponse)
async def job_video(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, VIDEO)
    return FileResponse(path, media_type=MP4.media_type, filename=f"newscaster-{job}.mp4")


@router.get("/jobs/{job}/captions", summary="Captions of a job, as WebVTT", response_class=FileResponse)
async def job_captions(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, CAPTIONS)
    return FileResponse(path, media_type="text/vtt", filename=f"newscaster-{job}.vtt")


@router.get(
    "/jobs/{job}/report",
    summary="Report of a dub or a check of footage, as JSON",
    response_class=FileResponse,
)
async def job_report(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, REPORT)
    return FileResponse(path, media_type="application/json", filename=f"newscaster-{job}.json")


@router.get(
    "/jobs/{job}/original",
    summary="The video that was dubbed, in a form that browsers play",
    response_class=FileResponse,
)
async def job_original(job: str, studio: TheStudio) -> FileResponse:
    """The same seconds as the result; of a preview, three."""
    path = studio.jobs.file(job, PLAYABLE)
    media_type = _MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    return FileResponse(path, media_type=media_type, filename=f"original-{job}{path.suffix}")
