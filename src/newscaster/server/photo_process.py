"""What the worker process of a photograph runs: it makes an anchor of the person. Formats of photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from newscaster.server.job_process import without_folder
from newscaster.server.job_record import ANCHOR, Job
from newscaster.types import Progress

KINDS = "JPEG, PNG, WebP, TIFF or BMP"


@dataclass(frozen=True, kw_only=True)
class PhotoWork:
    """Inputs of a job that makes an anchor of a photograph; its output has a fixed name in its folder."""

    starts_processes: ClassVar[bool] = False
    folder: Path
    job: Job

    def run(self, progress: Progress) -> dict[str, Any]:
        """Make the anchor. See :class:`newscaster.server.job_process.Task`."""
        from newscaster.consent import valid_consent
        from newscaster.synthesis.photo_anchor import anchor_of_photo

        photo, notes = self.job.photo, list[str]()
        assert photo is not None
        anchor_of_photo(
            self.folder / self.job.source,
            self.folder / ANCHOR,
            name=self.job.title,
            consent=valid_consent(photo.consent),
            face=photo.face,
            motion=photo.motion,
            blinks=photo.blinks,
            progress=lambda phase, done, total: progress("", done, total),
            warn=notes.append,
        )
        return {"notes": [without_folder(note, self.folder) for note in notes]}


def photo_suffix(head: bytes) -> str | None:
    """Return the suffix of a photograph from its first 12 bytes; None: not an accepted format."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    for mark, suffix in (
        (b"\xff\xd8\xff", ".jpg"),
        (b"\x89PNG\r\n\x1a\n", ".png"),
        (b"II*\0", ".tif"),
        (b"MM\0*", ".tif"),
        (b"BM", ".bmp"),
    ):
        if head.startswith(mark):
            return suffix
    return None
