"""Limits of uploads: concurrent audio and video files and photographs, and disk space.

Space is reserved before a byte of a file is read. `speech_upload` and `video_upload` check the files
themselves.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from newscaster.server.http_errors import DISK_FULL, TOO_MANY, RefusedError, refusing_full_disk
from newscaster.server.job_record import ANCHOR, FOOTAGE_STEM, ORIGINAL_STEM, PHOTO_STEM
from newscaster.server.photo_process import KINDS as PHOTO_KINDS
from newscaster.server.photo_process import photo_suffix
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import JOB_AUDIO_STEM, PARTIAL, Accepted, receive, receive_audio
from newscaster.server.video_upload import UploadedVideo, receive_video

_MIB = 1 << 20


class Count(Protocol):
    """Counts an upload."""

    def __call__(self, kind: str, *, accepted: bool) -> None: ...


class Uploads:
    """Uploads of audio and video files.

    Args:
        keep: folder of the studio. Uploads go to its folder `uploads`, which is created and emptied; files of
            jobs are under `jobs`, and videos under `videos`.
        limits: limits of the studio.
        count: called with the kind of each upload, `audio` or `video`, and `accepted`.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, keep: Path, limits: Limits, *, count: Count = lambda kind, *, accepted: None) -> None:
        self._count = count
        self.folder = keep / "uploads"
        self._keep, self._limits = keep, limits
        self._reserved: dict[object, int] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            path.unlink(missing_ok=True)

    async def receive(
        self, stream: AsyncIterator[bytes], *, content_length: str | None
    ) -> tuple[Path, float]:
        """Write the body of a request to a new file.

        Args:
            stream: the body, which is read once space is reserved.
            content_length: its Content-Length; None: reserve the maximum size of an upload.

        Returns:
            The file, which the caller removes, and its length in seconds.

        Raises:
            RefusedError: too many uploads, no space, or not an audio file within limits.
        """
        with self._counting("audio"), refusing_full_disk("the audio file"):
            async with self._reserving(content_length, self._limits.upload_bytes):
                return await receive_audio(stream, self.folder, limits=self._limits)

    async def receive_video(
        self, stream: AsyncIterator[bytes], *, content_length: str | None
    ) -> UploadedVideo:
        """Write the body of a request to a new file; the same as :meth:`receive` for a video.

        Raises:
            RefusedError: too many uploads, no space, or not a video within limits.
        """
        with self._counting("video"), refusing_full_disk("the video"):
            async with self._reserving(content_length, self._limits.video_bytes):
                return await receive_video(stream, self.folder, limits=self._limits)

    async def receive_photo(self, stream: AsyncIterator[bytes], *, content_length: str | None) -> Path:
        """Write the body of a request to a new file; the same as :meth:`receive` for a photograph.

        Only its first bytes are checked: the process that makes an anchor of it decodes it.

        Raises:
            RefusedError: too many uploads, no space, too large, or of another format.
        """
        accepted = Accepted(suffix_of=photo_suffix, name="a photograph", kinds=PHOTO_KINDS)
        most = self._limits.photo_bytes
        with self._counting("photo"), refusing_full_disk("the photograph"):
            async with self._reserving(content_length, most):
                return await receive(stream, self.folder, accepted, lambda path: path, self._limits, most)

    @contextmanager
    def _counting(self, kind: str) -> Iterator[None]:
        accepted = False
        try:
            yield
            accepted = True
        finally:
            self._count(kind, accepted=accepted)

    @asynccontextmanager
    async def _reserving(self, content_length: str | None, most: int) -> AsyncIterator[None]:
        """Reserve space for an upload.

        Raises:
            RefusedError: too many uploads, or no space.
        """
        if len(self._reserved) >= self._limits.uploads:
            raise RefusedError(
                f"{self._limits.uploads} files are being uploaded, the maximum. Send this one when another "
                "is complete",
                status=TOO_MANY,
            )
        ticket = object()
        self._reserved[ticket] = int(content_length) if content_length is not None else most
        try:
            await asyncio.to_thread(self._check_room, sum(self._reserved.values()))
            yield
        finally:
            del self._reserved[ticket]

    def _check_room(self, reserved: int) -> None:
        """Check that there is space for `reserved` bytes of uploads in progress.

        Raises:
            RefusedError: there is not.
        """
        self.folder.mkdir(exist_ok=True)  # it may have been deleted
        arrived, stored = 0, {}  # a job shares the content of its video with the upload
        for path in self._stored():
            with suppress(FileNotFoundError):  # removed meanwhile
                status = path.stat()
                if path.suffix == PARTIAL:
                    arrived += status.st_size
                else:
                    stored[status.st_dev, status.st_ino] = status.st_size
        limit = self._limits.stored_upload_bytes
        total = sum(stored.values()) + reserved
        if total > limit:
            raise RefusedError(
                f"uploaded files would take {total // _MIB:,} MiB of the disk with this one; the maximum is "
                f"{limit // _MIB:,} MiB. Remove jobs and uploaded videos",
                status=DISK_FULL,
            )
        spare = self._limits.spare_disk_bytes
        if shutil.disk_usage(self.folder).free - max(reserved - arrived, 0) < spare:
            raise RefusedError(
                f"the disk is nearly full: uploads must leave {spare // _MIB:,} MiB free. Remove jobs or "
                "recordings, or start the studio with another --data-dir",
                status=DISK_FULL,
            )

    def _stored(self) -> Iterator[Path]:
        """Yield the uploaded files, wherever they are now, and what was made of videos."""
        yield from self.folder.iterdir()
        for stem in (JOB_AUDIO_STEM, ORIGINAL_STEM, PHOTO_STEM, FOOTAGE_STEM, ANCHOR):
            yield from self._keep.glob(f"jobs/*/{stem}*")
        yield from self._keep.glob("videos/**/*")
