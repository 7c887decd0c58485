"""The folders of jobs: their records, the files that they read, and those that they have made.

Every record is on disk before it counts, so that a studio that was killed resumes its jobs. `jobs` decides
what runs.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from newscaster.media import FolderLease, atomic_write, sync_file
from newscaster.server.http_errors import CONFLICT, NOT_FOUND, RefusedError
from newscaster.server.job_record import (
    DONE,
    FOOTAGE_STEM,
    PLAYABLE,
    RECORD,
    SCRIPT,
    TRAINING_WORK,
    Job,
    read_record,
)

_log = logging.getLogger("newscaster.server")


class JobStore:
    """The folders of all jobs.

    Args:
        folder: of all jobs; created if missing.
        lease: lease of the folder; no record is written after it is lost.
    """

    def __init__(self, folder: Path, *, lease: FolderLease | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lease = folder, lease

    def folder(self, job: Job) -> Path:
        """Return the folder of a job."""
        return self._folder / job.id

    def load(self) -> list[Job]:
        """Return the stored jobs in order of arrival. Remove folders without a record."""
        for folder in self._folder.iterdir():
            if folder.is_dir() and not (folder / RECORD).exists():  # killed before the reply
                shutil.rmtree(folder, ignore_errors=True)
        stored = []
        for record in self._folder.glob(f"*/{RECORD}"):
            try:
                job = read_record(record)
            except (OSError, ValueError, TypeError, RecursionError):
                _log.warning("'%s' is not a job of this version; it is ignored", record)
                continue
            if job.id == record.parent.name:
                stored.append(job)
        return sorted(stored, key=lambda job: job.created)

    def add(self, job: Job, content: bytes | Path | None, videos: Mapping[str, Path]) -> None:
        """Write the folder of a new job; remove it on failure.

        Args:
            job: the job.
            content: its speech: bytes, a file that is moved, or None for the audio of the video.
            videos: of a dub or footage, by their names in the folder; their content is shared, or copied.

        Raises:
            OSError: it cannot be written.
            OutputError: the record cannot be written, or another studio has taken the folder over.
        """
        self._folder.mkdir(exist_ok=True)  # it may have been deleted
        folder = self.folder(job)
        folder.mkdir()
        try:
            _write_sources(folder, job, content, videos)
            self.put(job)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def put(self, job: Job) -> None:
        """Write the record of a job.

        Raises:
            OutputError: it cannot be written, or another studio has taken the folder over.
        """
        if self._lease is not None:
            self._lease.confirm()
        with atomic_write(self.folder(job) / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(job), indent=1), encoding="utf-8")

    def remove(self, job: Job) -> None:
        """Remove the folder of a job."""
        folder = self.folder(job)
        # First: after a kill here, the next start removes the folder.
        (folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def remove_footage(self, job: Job) -> None:
        """Remove the footage of a job, and what was prepared from it."""
        folder = self.folder(job)
        shutil.rmtree(folder / TRAINING_WORK, ignore_errors=True)
        for path in folder.glob(f"{FOOTAGE_STEM}-*"):
            path.unlink(missing_ok=True)

    def output(self, job: Job, name: str) -> Path:
        """Return an output file of a job, such as VIDEO, or its original if it has no playable copy.

        Raises:
            RefusedError: the job is not done, or has no such file.
        """
        if job.state != DONE:
            raise RefusedError(f"the job is {job.state}; its files exist once it is done", status=CONFLICT)
        path = self.folder(job) / name
        if name == PLAYABLE and job.dub is not None and not path.is_file():
            path = path.with_name(job.dub.original)
        if not path.is_file():
            raise RefusedError(f"the job has no {name}", status=NOT_FOUND)
        return path

    def script(self, job: Job) -> Path:
        """Return the text that a job reads.

        Raises:
            RefusedError: it reads none.
        """
        if job.source != SCRIPT:
            raise RefusedError("the job has no script", status=NOT_FOUND)
        return self.folder(job) / SCRIPT

    def training(self, job: Job) -> Path:
        """Return the folder of a job that trains an anchor.

        Raises:
            RefusedError: it trains none.
        """
        if job.footage is None or job.footage.check:
            raise RefusedError("the job trains no anchor", status=NOT_FOUND)
        return self.folder(job)


def _write_sources(folder: Path, job: Job, content: bytes | Path | None, videos: Mapping[str, Path]) -> None:
    """Write the files that a job reads to its folder.

    Args:
        folder: folder of the job.
        job: the job.
        content: its speech: bytes, a file that is moved, or None for the audio of the video.
        videos: of a dub or footage, by their names in the folder; their content is shared, or copied.

    Raises:
        OSError: they cannot be written.
    """
    source = folder / job.source
    for name, video in videos.items():
        _link(video, folder / name)
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        shutil.move(content, source)
    sync_file(source)


def _link(video: Path, path: Path) -> None:
    """Make a file that shares the content of another; copy it if that is not possible."""
    try:
        os.link(video, path)
    except OSError:
        shutil.copyfile(video, path)
