"""The endpoints that make anchors: of photographs, and of footage, which can be checked first.

See `api` for the rules of all endpoints.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import FileResponse

from newscaster import pipelines
from newscaster.consent import valid_consent
from newscaster.formats.anchor_info import check_labels
from newscaster.models.registry import UNTRAINED
from newscaster.server.api_requests import PHOTO_BODY, TheStudio, new_router, uploaded_photo
from newscaster.server.footage_process import training_figures
from newscaster.server.http_errors import NOT_FOUND, RefusedError
from newscaster.server.job_record import ANCHOR, FOOTAGE_STEM, FootageJob, PhotoJob
from newscaster.server.schemas import Footage, NewFootageAnchor, NewPhotoAnchor
from newscaster.server.studio import Studio
from newscaster.server.videos import Video

router = new_router()


@router.post(
    "/jobs/photo",
    status_code=202,
    summary="Make an anchor of the person in a photograph",
    openapi_extra=PHOTO_BODY,
)
async def new_photo_anchor(
    new: Annotated[NewPhotoAnchor, Query()], request: Request, studio: TheStudio
) -> dict[str, Any]:
    """When the job is done, its `anchor` is an id of `/v1/anchors`, until the job is removed."""
    studio.jobs.check_room()
    name = _checked_name(new.name, new.consent)
    made = PhotoJob(consent=new.consent, motion=new.motion, blinks=new.blinks, face=new.face)
    async with uploaded_photo(request, studio) as photo:
        return studio.jobs.add_photo(photo, name=name, made=made).to_json()


@router.post(
    "/jobs/check", status_code=202, summary="Check whether uploaded videos are good enough for an anchor"
)
async def new_check(new: Footage, studio: TheStudio) -> dict[str, Any]:
    """The `report` of the job has the verdict, each measure with advice, and notes."""
    pipelines.need_training()
    videos = _videos(studio, new)
    job = _footage_job(videos, check=True, face=new.face)
    return studio.jobs.add_footage(
        [video.path for video in videos], name=videos[0].title, footage=job
    ).to_json()


@router.post("/jobs/train", status_code=202, summary="Train an anchor of the person in uploaded videos")
async def new_training(new: NewFootageAnchor, studio: TheStudio) -> dict[str, Any]:
    """When the job is done, its `anchor` is an id of `/v1/anchors`, until the job is removed.

    A training that was stopped with the studio goes on at its next start. `training` of the job is the path
    of its figures.
    """
    pipelines.need_training()
    name = _checked_name(new.name, new.consent)
    longest = studio.settings.limits.training_minutes
    if new.minutes > longest:
        raise RefusedError(f"minutes is {new.minutes:g}; the maximum is {longest:g}")
    if new.minutes == 0 and new.renderer not in UNTRAINED:
        raise RefusedError(
            f"minutes is 0, but the renderer {new.renderer} needs training. Give a time, such as 12, or the "
            f"renderer {min(UNTRAINED)}"
        )
    videos = _videos(studio, new)
    job = _footage_job(videos, consent=new.consent, minutes=new.minutes, renderer=new.renderer, face=new.face)
    return studio.jobs.add_footage([video.path for video in videos], name=name, footage=job).to_json()


@router.get("/jobs/{job}/training", summary="How a training goes: figures on held-out frames, and an image")
async def training(job: str, studio: TheStudio) -> dict[str, Any]:
    """`held_out` is null before the first measurement, after about two minutes of training."""
    figures, preview = await _figures(job, studio)
    shown = f"/v1/jobs/{job}/preview" if preview is not None else None
    return {"held_out": figures or None, "preview": shown}


@router.get(
    "/jobs/{job}/preview",
    summary="Image of a training: held-out frames beside what the network makes of them, as PNG",
    response_class=FileResponse,
)
async def training_preview(job: str, studio: TheStudio) -> FileResponse:
    _, preview = await _figures(job, studio)
    if preview is None:
        raise RefusedError("the job has no image of its training yet", status=NOT_FOUND)
    return FileResponse(preview, media_type="image/png")


@router.get("/jobs/{job}/anchor", summary="Anchor that a job has made", response_class=FileResponse)
async def job_anchor(job: str, studio: TheStudio) -> FileResponse:
    path = studio.jobs.file(job, ANCHOR)
    return FileResponse(path, media_type="application/octet-stream", filename=f"newscaster-{job}.anchor")


async def _figures(job: str, studio: Studio) -> Any:
    folder = studio.jobs.training_folder(job)
    with suppress(OSError):  # it ends meanwhile
        return await asyncio.to_thread(training_figures, folder)
    return {}, None


def _checked_name(name: str, consent: str) -> str:
    """Return the name of a new anchor.

    Raises:
        InputError: it cannot be used, or there is no consent.
    """
    name = name.strip()
    check_labels(name, ())
    valid_consent(consent)
    return name


def _videos(studio: Studio, new: Footage) -> list[Video]:
    studio.jobs.check_room()
    return [studio.videos.get(video_id) for video_id in dict.fromkeys(new.videos)]


def _footage_job(videos: list[Video], **options: Any) -> FootageJob:
    return FootageJob(
        files=tuple(f"{FOOTAGE_STEM}-{number}{video.path.suffix}" for number, video in enumerate(videos)),
        titles=tuple(video.title for video in videos),
        video_ids=tuple(video.id for video in videos),
        **options,
    )
