"""Uploads: how many sound files may come in at once, and how much of the disk they may take.

The room for a file is reserved before a byte of it is read. What a sound file is, is left to `sound`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from newscaster.server.http_errors import DISK_FULL, TOO_MANY, RefusedError, refusing_full_disk
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import PARTIAL, receive_audio

_MIB = 1 << 20


class Uploads:
    """The sound files that clients send.

    Args:
        keep: the studio's folder. Files come in to `uploads` in it, which is made and emptied; those of jobs
            lie under `jobs`.
        limits: the studio's.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, keep: Path, limits: Limits) -> None:
        self.folder = keep / "uploads"
        self._keep, self._limits = keep, limits
        self._reserved: dict[object, int] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.iterdir():
            left.unlink(missing_ok=True)

    async def receive(self, stream: AsyncIterator[bytes], *, announced: str | None) -> tuple[Path, float]:
        """Write a request's body to a new file, which the caller removes; its length is in seconds.

        Args:
            stream: the body, which is not read before there is room for it.
            announced: its Content-Length; None: as much as an upload may have.

        Raises:
            RefusedError: too many come in, there is no room for it, or it is no sound file within limits.
        """
        size = int(announced) if announced is not None else self._limits.upload_bytes
        if len(self._reserved) >= self._limits.uploads:
            raise RefusedError(
                f"{self._limits.uploads} sound files are coming in, the most there may be. Send this one "
                "when another has arrived",
                status=TOO_MANY,
            )
        ticket = object()
        self._reserved[ticket] = size
        try:
            await asyncio.to_thread(self._check_room, sum(self._reserved.values()))
            with refusing_full_disk("the sound file"):
                return await receive_audio(stream, self.folder, limits=self._limits)
        finally:
            del self._reserved[ticket]

    def _check_room(self, reserved: int) -> None:
        """Make sure that all that was announced, `reserved` bytes, has room."""
        self.folder.mkdir(exist_ok=True)  # it may have been tidied away
        arrived = stored = 0
        for path in (*self.folder.iterdir(), *self._keep.glob("jobs/*/sound.*")):
            with suppress(FileNotFoundError):  # removed meanwhile
                size = path.stat().st_size
                if path.suffix == PARTIAL:
                    arrived += size
                else:
                    stored += size
        limit = self._limits.stored_upload_bytes
        if stored + reserved > limit:
            raise RefusedError(
                f"sound files take {(stored + reserved) // _MIB:,} MiB of the disk with this one, and "
                f"{limit // _MIB:,} MiB are the most they may. Remove jobs",
                status=DISK_FULL,
            )
        spare = self._limits.spare_disk_bytes
        if shutil.disk_usage(self.folder).free - max(reserved - arrived, 0) < spare:
            raise RefusedError(
                f"the disk is nearly full: uploads leave {spare // _MIB:,} MiB of it free. Remove jobs or "
                "recordings, or start the studio with another --keep",
                status=DISK_FULL,
            )
