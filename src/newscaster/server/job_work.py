"""What the worker process of a job runs: the record of the job, and settings of the studio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from newscaster.server.anchor_registry import Library, merged
from newscaster.server.dub_process import DubWork
from newscaster.server.footage_process import FootageWork
from newscaster.server.job_process import Task, Work
from newscaster.server.job_record import CAPTIONS, VIDEO, Job
from newscaster.server.photo_process import PhotoWork
from newscaster.speech.spoken import Pronunciations


@dataclass(frozen=True, kw_only=True)
class WorkSettings:
    """Settings of a studio for all of its jobs."""

    backend: str | None = None
    """See `newscaster.open`."""
    timestamp: str | None = None
    """Address of a time-stamp authority for signatures; None: no time stamps."""
    pronunciations: Pronunciations | None = None
    """How words of texts are read; None: the user's own file, if there is one."""
    track_folder: Callable[[str], Path | None] = lambda video_id: None
    """Returns the folder for face tracks of an upload, by its id; None keeps none."""

    async def task(self, job: Job, folder: Path, library: Library) -> Task:
        """Return what the worker process of a job runs in the folder of the job.

        Raises:
            NewscasterError: the anchor of the job cannot be fetched.
        """
        if job.photo is not None:
            return PhotoWork(folder=folder, job=job)
        if job.footage is not None:
            return FootageWork(folder=folder, job=job)
        anchor = await asyncio.to_thread(library.path, job.anchor)
        words = merged(self.pronunciations, job.pronunciations)
        if job.dub is not None:
            return DubWork(
                anchor=anchor,
                backend=self.backend,
                folder=folder,
                job=job,
                cache=self.track_folder(job.dub.video_id),
                timestamp=self.timestamp,
                pronunciations=words,
            )
        return Work(
            anchor=anchor,
            backend=self.backend,
            source=folder / job.source,
            video=folder / VIDEO,
            captions=folder / CAPTIONS if job.has_script else None,
            voice=job.voice,
            speed=job.speed,
            openness=job.openness,
            smoothness=job.smoothness,
            timestamp=self.timestamp,
            pronunciations=words,
            background=job.background,
            title=job.strap_title,
            subtitle=job.strap_subtitle,
        )
