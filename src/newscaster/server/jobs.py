"""Jobs: videos of long scripts and audio files, dubs, new anchors, and checks of footage, one after another.

Each runs in a worker process. A job is a folder: the speech, the finished video, and `job.json`, which is
replaced at every step. A dub also has the video that it dubs there, whatever becomes of the upload. An anchor
that a job made stays in the folder of the job, and is served until the job is removed. A studio that was
stopped or killed therefore resumes its jobs at the next start; a training continues. A lease of the
folder ensures that no other studio works in it.

::

    queued ─► running ─┬► done
       │         │     ├► failed
       └─────────┴─────┴► cancelled         stopped while running: queued
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from newscaster.errors import NewscasterError, OutputError
from newscaster.media import FolderLease, remove_left_overs
from newscaster.server.anchor_registry import Library
from newscaster.server.http_errors import (
    CLOSING,
    NOT_FOUND,
    TOO_MANY,
    RefusedError,
    refusing_full_disk,
    sentence,
)
from newscaster.server.ids import with_instance
from newscaster.server.job_process import run_work
from newscaster.server.job_record import (
    ANCHOR,
    CANCELLED,
    DONE,
    FAILED,
    PHOTO_STEM,
    QUEUED,
    RUNNING,
    SCRIPT,
    FootageJob,
    Job,
    PhotoJob,
)
from newscaster.server.job_store import JobStore
from newscaster.server.job_work import WorkSettings
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import JOB_AUDIO_STEM
from newscaster.speech.plain_text import plain_text
from newscaster.system.os_errors import fault
from newscaster.texts import quoted, without_controls

_log = logging.getLogger("newscaster.server")

_MAX_TITLE = 80
STOPPING = "the studio is stopping, and starts no more sessions and jobs. Try again in a few seconds"
"""Refusal of a studio that drains."""


class JobQueue:
    """The jobs of a studio, in order of arrival.

    Args:
        folder: folder of the jobs; created if missing.
        library: the anchors.
        limits: maximum numbers.
        work: settings of all jobs.
        lease: lease of the folder; no record is written after it is lost.
        instance: name of the studio, in ids.
        ended: called when a job is no longer running, with its id, its state and the seconds that it ran.
    """

    def __init__(
        self,
        folder: Path,
        library: Library,
        limits: Limits,
        *,
        work: WorkSettings | None = None,
        lease: FolderLease | None = None,
        instance: str | None = None,
        ended: Callable[[str, str, float], None] = lambda job_id, state, seconds: None,
    ) -> None:
        self._instance = instance
        self._ended, self._paused = ended, False
        self._store = JobStore(folder, lease=lease)
        self._library, self._limits = library, limits
        self._work_settings = work or WorkSettings()
        self._jobs: dict[str, Job] = {}
        self._changed = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._running: tuple[str, asyncio.Task[Mapping[str, Any]]] | None = None
        self._start_waiting()

    def start(self) -> None:
        """Start working."""
        self._worker = asyncio.create_task(self._work(), name="jobs")

    def pause(self) -> None:
        """Accept and start no more jobs; the running one goes on."""
        self._paused = True

    @property
    def is_running(self) -> bool:
        """Whether a job is running."""
        return self._running is not None

    async def stop(self) -> None:
        """Stop working; the running job restarts at the next start."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def list(self) -> list[Job]:
        """Return all jobs, newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            RefusedError: there is no such job.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise RefusedError(f"there is no job {quoted(job_id)}", status=NOT_FOUND) from None

    def check_open(self) -> None:
        """Check that jobs are accepted.

        Raises:
            RefusedError: the studio is stopping.
        """
        if self._paused:
            raise RefusedError(STOPPING, status=CLOSING)

    def check_room(self) -> None:
        """Check that one more job is allowed.

        Raises:
            RefusedError: too many jobs are open, or stored, or the studio is stopping.
        """
        self.check_open()
        waiting = sum(job.is_open for job in self._jobs.values())
        if waiting >= self._limits.jobs:
            raise RefusedError(
                f"{waiting} jobs are queued or running, the maximum. Wait for one, or cancel one",
                status=TOO_MANY,
            )
        if len(self._jobs) - waiting >= self._limits.kept_jobs:
            raise RefusedError(
                f"{self._limits.kept_jobs} finished jobs are stored, the maximum. Remove some",
                status=TOO_MANY,
            )

    def add_script(self, text: str, *, words: str | None = None, **options: Any) -> Job:
        """Add a job that reads a text; `words` is its plain text if known, `options` are fields of Job."""
        title = without_controls(plain_text(text).text if words is None else words)
        return self._add(title, SCRIPT, text.encode(), **options)

    def add_audio(self, audio: Path, *, title: str, **options: Any) -> Job:
        """Add a job that speaks an audio file, which is moved into its folder."""
        return self._add(without_controls(title), f"{JOB_AUDIO_STEM}{audio.suffix}", audio, **options)

    def add_dub(
        self, video: Path, source: str, content: bytes | Path | None, *, title: str, **options: Any
    ) -> Job:
        """Add a job that dubs a video.

        Args:
            video: the video, which is not moved; `options` has the `dub`.
            source: name of the speech in the folder of the job.
            content: the speech: bytes, a file that is moved, or None for the video's own audio.
            title: name of the video, for display.
            options: fields of Job.
        """
        videos = {options["dub"].original: video}
        return self._add(without_controls(title), source, content, videos=videos, **options)

    def add_photo(self, photo: Path, *, name: str, made: PhotoJob) -> Job:
        """Add a job that makes an anchor of a photograph, which is moved into its folder.

        Args:
            photo: the file.
            name: of the anchor.
            made: how it is made.
        """
        return self._add(name, f"{PHOTO_STEM}{photo.suffix}", photo, photo=made)

    def add_footage(self, videos: Sequence[Path], *, name: str, footage: FootageJob) -> Job:
        """Add a job that checks footage, or trains an anchor of it.

        Args:
            videos: the files, which are not moved.
            name: of the anchor; of a check, for display only.
            footage: what is done with them; its `files` are their names in the folder of the job.
        """
        named = dict(zip(footage.files, videos, strict=True))
        return self._add(without_controls(name), footage.files[0], None, videos=named, footage=footage)

    def _add(
        self,
        title: str,
        source: str,
        content: bytes | Path | None,
        *,
        videos: Mapping[str, Path] = MappingProxyType({}),
        **options: Any,
    ) -> Job:
        self.check_room()
        created = datetime.now(UTC).isoformat(timespec="microseconds")  # the order of the queue
        title = title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 1] + "…"
        job_id = with_instance(self._instance, secrets.token_hex(8))
        options.setdefault("anchor", job_id)
        job = Job(id=job_id, title=title, source=source, created=created, **options)
        with refusing_full_disk("a job"):
            self._store.add(job, content, videos)
        self._jobs[job.id] = job
        self._changed.set()
        return job

    async def remove(self, job_id: str) -> Job | None:
        """Cancel and return an open job, or delete a finished one and return None."""
        job = self.get(job_id)
        if not job.is_open:
            if self._running is not None and self._running[0] == job_id:  # its process is still ending
                await asyncio.wait([self._running[1]])
                self.get(job_id)  # another request may have removed it meanwhile
            del self._jobs[job_id]
            if job.makes_anchor:
                self._library.discard(job.anchor)
            await asyncio.to_thread(self._store.remove, job)
            return None
        self._update(job_id, state=CANCELLED)
        if self._running is not None and self._running[0] == job_id:
            self._running[1].cancel()
        return self._jobs[job_id]

    def file(self, job_id: str, name: str) -> Path:
        """Return an output file of a job, such as VIDEO, or its original if it has no playable copy.

        Raises:
            RefusedError: the job is not done, or has no such file.
        """
        return self._store.output(self.get(job_id), name)

    def script(self, job_id: str) -> Path:
        """Return the text that a job reads.

        Raises:
            RefusedError: there is no such job, or it reads none.
        """
        return self._store.script(self.get(job_id))

    def training_folder(self, job_id: str) -> Path:
        """Return the folder of a job that trains an anchor.

        Raises:
            RefusedError: there is no such job, or it trains none.
        """
        return self._store.training(self.get(job_id))

    def uses_video(self, video_id: str) -> bool:
        """Whether an open job needs this upload."""
        return any(job.is_open and video_id in job.video_ids for job in self.list())

    def _put(self, job: Job) -> None:
        """Store a job, on disk first.

        Raises:
            OutputError: the record cannot be written, or another studio has taken the folder over.
        """
        self._store.put(job)
        self._jobs[job.id] = job

    def _start_waiting(self) -> None:
        """Load stored jobs; queue those that were running."""
        for job in self._store.load():
            self._jobs[job.id] = job
            if job.state == RUNNING:
                self._put(replace(job, state=QUEUED, phase=None, frames=0, total=0))
            if job.state == DONE and job.makes_anchor:
                try:
                    self._library.add(job.anchor, self._store.folder(job) / ANCHOR)
                except NewscasterError as error:
                    _log.warning("the anchor '%s' is not served: %s", job.title, error)

    async def _work(self) -> None:
        while True:
            job = next((job for job in self._jobs.values() if job.state == QUEUED), None)
            if job is None or self._paused:
                self._changed.clear()
                await self._changed.wait()
                continue
            started = time.monotonic()
            try:
                await self._do(job)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                reason = sentence(error) if isinstance(error, NewscasterError) else fault(error)
                if reason is None:
                    _log.exception("job %s failed", job.id, extra={"job": job.id})
                self._update(job.id, state=FAILED, error=reason or f"internal error ({error!r})")
            finally:
                state = self._jobs[job.id].state if job.id in self._jobs else CANCELLED
                self._ended(job.id, state, time.monotonic() - started)

    async def _do(self, job: Job) -> None:
        folder = self._store.folder(job)
        if job.photo is None and job.footage is None and not self._library.serves(job.anchor):
            reason = f"the anchor {quoted(job.anchor)} is no longer served"
            self._update(job.id, state=FAILED, error=reason)
            return
        remove_left_overs(folder)
        self._update(job.id, state=RUNNING, phase=None, frames=0, total=0)
        task = asyncio.create_task(self._make(job, folder))
        self._running = (job.id, task)
        try:
            result = await task
        except asyncio.CancelledError:
            if job.id not in self._jobs or self._jobs[job.id].state == CANCELLED:
                self._update(job.id)  # again: the disk may have room now
                return  # only the job was cancelled, not the queue
            task.cancel()
            self._update(job.id, state=QUEUED, phase=None, frames=0, total=0)
            raise
        finally:
            self._running = None
            if job.footage is not None and self._jobs.get(job.id, job).state != QUEUED:
                await asyncio.to_thread(self._store.remove_footage, job)  # nothing goes on from it
        if job.makes_anchor and result["state"] == DONE:
            await asyncio.to_thread(self._library.add, job.anchor, folder / ANCHOR)
        self._update(job.id, **result)

    async def _make(self, job: Job, folder: Path) -> Mapping[str, Any]:
        """Run the worker, and remove its partial files."""
        work = await self._work_settings.task(job, folder, self._library)
        try:
            return await run_work(work, progress=partial(self._count, job.id))
        finally:
            # The next start removes them; an error here would hide that of the worker.
            with suppress(OSError):
                remove_left_overs(work.folder)

    def _update(self, job_id: str, **changes: Any) -> None:
        """Change a job, unless it was removed meanwhile.

        The change applies even if the record cannot be written: the next start then restarts the job.
        """
        if job_id not in self._jobs:
            return
        job = replace(self._jobs[job_id], **changes)
        try:
            self._put(job)
        except OutputError as error:
            _log.warning("%s", error)
            self._jobs[job_id] = job

    def _count(self, job_id: str, phase: str, done: float, total: float) -> None:
        """Update the progress, in memory only."""
        if job_id in self._jobs:
            self._jobs[job_id] = replace(
                self._jobs[job_id], frames=round(done), total=round(total), phase=phase or None
            )
