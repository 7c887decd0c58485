"""Limits of uploads: concurrent audio files, and disk space.

Space is reserved before a byte of a file is read. `speech_upload` checks the files themselves.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from newscaster.server.http_errors import DISK_FULL, TOO_MANY, RefusedError, refusing_full_disk
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import JOB_AUDIO_STEM, PARTIAL, receive_audio

_MIB = 1 << 20


class Uploads:
    """Uploads of audio files.

    Args:
        keep: folder of the studio. Uploads go to its folder `uploads`, which is created and emptied; files of
            jobs are under `jobs`.
        limits: limits of the studio.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, keep: Path, limits: Limits) -> None:
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
        size = int(content_length) if content_length is not None else self._limits.upload_bytes
        if len(self._reserved) >= self._limits.uploads:
            raise RefusedError(
                f"{self._limits.uploads} audio files are being uploaded, the maximum. Send this one when "
                "another is complete",
                status=TOO_MANY,
            )
        ticket = object()
        self._reserved[ticket] = size
        try:
            await asyncio.to_thread(self._check_room, sum(self._reserved.values()))
            with refusing_full_disk("the audio file"):
                return await receive_audio(stream, self.folder, limits=self._limits)
        finally:
            del self._reserved[ticket]

    def _check_room(self, reserved: int) -> None:
        """Check that there is space for `reserved` bytes of uploads in progress.

        Raises:
            RefusedError: there is not.
        """
        self.folder.mkdir(exist_ok=True)  # it may have been deleted
        arrived = stored = 0
        for path in (*self.folder.iterdir(), *self._keep.glob(f"jobs/*/{JOB_AUDIO_STEM}.*")):
            with suppress(FileNotFoundError):  # removed meanwhile
                size = path.stat().st_size
                if path.suffix == PARTIAL:
                    arrived += size
                else:
                    stored += size
        limit = self._limits.stored_upload_bytes
        if stored + reserved > limit:
            raise RefusedError(
                f"audio files would take {(stored + reserved) // _MIB:,} MiB of the disk with this one; the "
                f"maximum is {limit // _MIB:,} MiB. Remove jobs",
                status=DISK_FULL,
            )
        spare = self._limits.spare_disk_bytes
        if shutil.disk_usage(self.folder).free - max(reserved - arrived, 0) < spare:
            raise RefusedError(
                f"the disk is nearly full: uploads must leave {spare // _MIB:,} MiB free. Remove jobs or "
                "recordings, or start the studio with another --data-dir",
                status=DISK_FULL,
            )
