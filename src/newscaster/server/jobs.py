"""Jobs: videos of long scripts and sound files, made one after the other, each in a process of its own.

A job is a folder: what is to be said, the video when it is made, and `job.json`, which is replaced at every
step. So a studio that is stopped, or killed, takes up its jobs again when it starts next. That takes for
granted that no other studio works in the folder, which a lease of the studio's sees to.

::

    queued ─► running ─┬► done
       │         │     ├► failed
       └─────────┴─────┴► cancelled         stopped while running: queued
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from newscaster.errors import NewscasterError, OutputError
from newscaster.media import FolderLease, atomic_write, remove_left_overs, sync_file
from newscaster.server.anchor_registry import Library
from newscaster.server.http_errors import (
    CONFLICT,
    NOT_FOUND,
    TOO_MANY,
    RefusedError,
    refusing_full_disk,
    sentence,
)
from newscaster.server.job_process import Work, run_work
from newscaster.server.settings import Limits
from newscaster.speech.plain_text import plain_text
from newscaster.system.os_errors import fault
from newscaster.texts import quoted, without_controls

_log = logging.getLogger("newscaster.server")

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
_STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)
_RECORD = "job.json"
VIDEO, CAPTIONS = "video.mp4", "captions.vtt"
_MAX_TITLE = 80


@dataclass(frozen=True, kw_only=True)
class Job:
    """A video that is to be made, is being made, or was."""

    id: str
    anchor: str
    """The anchor's id."""
    title: str
    """The first words of the script, or what the client calls the sound; shown, and nothing else."""
    source: str
    """The file in the job's folder that is to be said: script.txt, or a sound."""
    voice: str | None = None
    speed: float = 1.0
    openness: float = 1.0
    smoothness: float = 1.0
    created: str = ""
    state: str = QUEUED
    frames: int = 0
    """Frames made."""
    total: int = 0
    """Frames in all; 0 while that is not known."""
    seconds: float | None = None
    """Length of the video, when it is made."""
    error: str | None = None
    """Why it failed."""
    notes: Sequence[str] = ()
    """What may not be as intended, a line each: parts of the script, or audio without speech."""

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (QUEUED, RUNNING)

    @property
    def has_script(self) -> bool:
        """Whether a text is read."""
        return self.source.endswith(".txt")

    def to_json(self) -> dict[str, object]:
        """As the API shows it."""
        shown: dict[str, object] = {name: value for name, value in asdict(self).items() if name != "source"}
        shown["progress"] = 1.0 if self.state == DONE else self.frames / self.total if self.total else 0.0
        shown["video"] = f"/v1/jobs/{self.id}/video" if self.state == DONE else None
        shown["captions"] = f"/v1/jobs/{self.id}/captions" if self.state == DONE and self.has_script else None
        return shown


def _read_record(path: Path) -> Job:
    """A job as it was remembered.

    Raises:
        OSError: the file cannot be read.
        ValueError, TypeError, RecursionError: it is no record of this version.
    """
    text = path.read_text(encoding="utf-8")
    Job(**json.loads(text))  # fields of a later version are refused
    job = TypeAdapter(Job).validate_json(text, strict=True)
    if job.state not in _STATES or Path(job.source).name != job.source:
        raise ValueError(job.state)
    return job


class JobQueue:
    """The jobs of a studio, in the order in which they came.

    Args:
        folder: where they are kept; made where it is missing.
        library: the anchors.
        limits: how many.
        backend: see `newscaster.open`.
        lease: the right to write to the folder; no record is written after it is lost.
    """

    def __init__(
        self,
        folder: Path,
        library: Library,
        limits: Limits,
        *,
        backend: str | None = None,
        lease: FolderLease | None = None,
        timestamp: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lease = lease
        self._folder, self._library, self._limits, self._backend = folder, library, limits, backend
        self._timestamp = timestamp
        self._jobs: dict[str, Job] = {}
        self._news = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._running: tuple[str, asyncio.Task[Mapping[str, Any]]] | None = None
        self._start_waiting()

    def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work(), name="jobs")

    async def stop(self) -> None:
        """Stop working; the job that runs is begun anew at the next start."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def list(self) -> list[Job]:
        """All jobs, the newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, known: str) -> Job:
        """A job by its id.

        Raises:
            RefusedError: there is none.
        """
        try:
            return self._jobs[known]
        except KeyError:
            raise RefusedError(f"there is no job {quoted(known)}", status=NOT_FOUND) from None

    def check_room(self) -> None:
        """Refuse a further job where there are too many.

        Raises:
            RefusedError: too many wait, or are kept.
        """
        waiting = sum(job.is_open for job in self._jobs.values())
        if waiting >= self._limits.jobs:
            raise RefusedError(
                f"{waiting} jobs wait or run, the most there may be. Wait for one, or cancel one",
                status=TOO_MANY,
            )
        if len(self._jobs) - waiting >= self._limits.kept_jobs:
            raise RefusedError(
                f"{self._limits.kept_jobs} finished jobs are kept, the most there may be. Remove some",
                status=TOO_MANY,
            )

    def add_script(self, text: str, *, words: str | None = None, **options: Any) -> Job:
        """A job that has a text read; `words` is its plain text if known, `options` are fields of Job."""
        title = without_controls(plain_text(text).text if words is None else words)
        title = title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 1] + "…"
        return self._add(title, "script.txt", text.encode(), **options)

    def add_audio(self, audio: Path, *, title: str, **options: Any) -> Job:
        """A job that has a sound file spoken, which is moved into its folder."""
        return self._add(without_controls(title), f"sound{audio.suffix}", audio, **options)

    def _add(self, title: str, source: str, content: bytes | Path, **options: Any) -> Job:
        self.check_room()
        created = datetime.now(UTC).isoformat(timespec="microseconds")  # jobs are taken up in this order
        job = Job(id=secrets.token_hex(8), title=title, source=source, created=created, **options)
        folder = self._folder / job.id
        with refusing_full_disk("a job"):
            self._write(job, folder, content)
        self._news.set()
        return job

    def _write(self, job: Job, folder: Path, content: bytes | Path) -> None:
        """Write a new job's folder, or nothing.

        Raises:
            OSError: it cannot be written.
            OutputError: the disk takes no record, or another studio has taken the folder over.
        """
        self._folder.mkdir(exist_ok=True)  # it may have been tidied away
        folder.mkdir()
        source = job.source
        try:
            if isinstance(content, bytes):
                (folder / source).write_bytes(content)
            else:
                shutil.move(content, folder / source)
            sync_file(folder / source)
            self._put(job)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def remove(self, known: str) -> Job | None:
        """Cancel a job that waits or runs, which is then kept as cancelled; delete one that is finished."""
        job = self.get(known)
        if not job.is_open:
            if self._running is not None and self._running[0] == known:  # its process still ends
                await asyncio.wait([self._running[1]])
                self.get(known)  # another request may have removed it meanwhile
            del self._jobs[known]
            folder = self._folder / known
            (folder / _RECORD).unlink(missing_ok=True)  # first: killed here, it is removed later
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            return None
        self._remember(known, state=CANCELLED)
        if self._running is not None and self._running[0] == known:
            self._running[1].cancel()
        return self._jobs[known]

    def file(self, known: str, name: str) -> Path:
        """A file that a job has made: VIDEO or CAPTIONS.

        Raises:
            RefusedError: the job is not done, or makes none.
        """
        job = self.get(known)
        if job.state != DONE:
            raise RefusedError(
                f"the job is {job.state}; its files are there when it is done", status=CONFLICT
            )
        path = self._folder / job.id / name
        if not path.is_file():
            raise RefusedError(f"the job has no {name}", status=NOT_FOUND)
        return path

    def _put(self, job: Job) -> None:
        """Remember a job, on disk first.

        Raises:
            OutputError: the disk takes no record, or another studio has taken the folder over.
        """
        if self._lease is not None:
            self._lease.confirm()
        with atomic_write(self._folder / job.id / _RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(job), indent=1), encoding="utf-8")
        self._jobs[job.id] = job

    def _start_waiting(self) -> None:
        """Find the jobs of earlier; what was running waits again. Folders of no job are removed."""
        for folder in self._folder.iterdir():
            if folder.is_dir() and not (folder / _RECORD).exists():  # killed before the client was answered
                shutil.rmtree(folder, ignore_errors=True)
        found = []
        for record in self._folder.glob(f"*/{_RECORD}"):
            try:
                job = _read_record(record)
            except (OSError, ValueError, TypeError, RecursionError):
                _log.warning("'%s' is no job of this version, and is left alone", record)
                continue
            if job.id == record.parent.name:
                found.append(job)
        for job in sorted(found, key=lambda job: job.created):
            self._jobs[job.id] = job
            if job.state == RUNNING:
                self._put(replace(job, state=QUEUED, frames=0, total=0))

    async def _work(self) -> None:
        while True:
            job = next((job for job in self._jobs.values() if job.state == QUEUED), None)
            if job is None:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                await self._do(job)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                said = sentence(error) if isinstance(error, NewscasterError) else fault(error)
                if said is None:
                    _log.exception("job %s failed", job.id)
                self._remember(job.id, state=FAILED, error=said or f"it broke off ({error!r})")

    async def _do(self, job: Job) -> None:
        folder = self._folder / job.id
        if job.anchor not in self._library.ids:
            said = f"the anchor {quoted(job.anchor)} is not served any more"
            self._remember(job.id, state=FAILED, error=said)
            return
        remove_left_overs(folder)
        self._remember(job.id, state=RUNNING, frames=0, total=0)
        work = Work(
            anchor=self._library.path(job.anchor),
            backend=self._backend,
            source=folder / job.source,
            video=folder / VIDEO,
            captions=folder / CAPTIONS if job.has_script else None,
            voice=job.voice,
            speed=job.speed,
            openness=job.openness,
            smoothness=job.smoothness,
            timestamp=self._timestamp,
        )
        task = asyncio.create_task(self._make(work, job.id))
        self._running = (job.id, task)
        try:
            result = await task
        except asyncio.CancelledError:
            if job.id not in self._jobs or self._jobs[job.id].state == CANCELLED:
                self._remember(job.id)  # again: there may be room for it now
                return  # the job, not the queue
            task.cancel()
            self._remember(job.id, state=QUEUED, frames=0, total=0)
            raise
        finally:
            self._running = None
        self._remember(job.id, **result)

    async def _make(self, work: Work, known: str) -> Mapping[str, Any]:
        """Do the work, and remove what it leaves half made."""
        try:
            return await run_work(work, progress=lambda *count: self._count(known, *count))
        finally:
            with suppress(OSError):  # the next start removes it; here it would hide why the work ended
                remove_left_overs(work.video.parent)

    def _remember(self, known: str, **changes: Any) -> None:
        """How a job stands now, if it was not removed meanwhile.

        Even if the disk takes no record: the next start begins the job anew, then.
        """
        if known not in self._jobs:
            return
        job = replace(self._jobs[known], **changes)
        try:
            self._put(job)
        except OutputError as error:
            _log.warning("%s", error)
            self._jobs[known] = job

    def _count(self, known: str, frames: int, total: int) -> None:
        """Progress; not worth a file."""
        if known in self._jobs:
            self._jobs[known] = replace(self._jobs[known], frames=frames, total=total)
