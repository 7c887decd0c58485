"""What the worker process of footage runs: a check, or the training of an anchor, and what is shown of it."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from newscaster import media
from newscaster.server.job_process import without_folder
from newscaster.server.job_record import ANCHOR, FIGURES, PREVIEW, REPORT, TRAINING_WORK, Job
from newscaster.types import Progress

_THOUSANDTHS = 1000
_PROGRESS_TABLE = "progress.csv"
_RUNS = "rendering-*"
"""Folders of the trainings of rendering networks, in a working directory."""
_MAX_TABLE_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class FootageWork:
    """Inputs of a job that checks footage or trains an anchor; its outputs have fixed names in its folder."""

    starts_processes: ClassVar[bool] = True
    folder: Path
    job: Job

    def run(self, progress: Progress) -> dict[str, Any]:
        """Check the footage, or train the anchor. See :class:`newscaster.server.job_process.Task`."""
        assert self.job.footage is not None

        def report(phase: str, done: float, total: float) -> None:
            progress(phase, round(_THOUSANDTHS * done / total) if total else 0, _THOUSANDTHS)

        return self._check(report) if self.job.footage.check else self._train(report)

    @property
    def _footage(self) -> list[Path]:
        assert self.job.footage is not None
        return [self.folder / name for name in self.job.footage.files]

    def _check(self, progress: Progress) -> dict[str, Any]:
        from newscaster import pipelines

        assert self.job.footage is not None
        found = pipelines.check(self._footage, face=self.job.footage.face, progress=progress)
        shown = {"headline": found.headline, **found.to_json()}
        with media.atomic_write(self.folder / REPORT) as temporary:
            temporary.write_text(self._named(json.dumps(shown, indent=1)), encoding="utf-8")
        if found.images:
            with media.atomic_write(self.folder / PREVIEW) as temporary:
                found.images[0].save(temporary, "PNG")
        return {"seconds": round(found.total_seconds, 2)}

    def _train(self, progress: Progress) -> dict[str, Any]:
        from newscaster import pipelines

        footage = self.job.footage
        assert footage is not None
        pipelines.train(
            self._footage,
            self.folder / ANCHOR,
            consent=footage.consent,
            name=self.job.title,
            minutes=footage.minutes,
            renderer=footage.renderer,
            face=footage.face,
            work=self.folder / TRAINING_WORK,
            progress=progress,
        )
        figures, preview = training_figures(self.folder)
        with media.atomic_write(self.folder / FIGURES) as temporary:
            temporary.write_text(json.dumps(figures), encoding="utf-8")
        if preview is not None:
            shutil.copyfile(preview, self.folder / PREVIEW)
        return {}

    def _named(self, text: str) -> str:
        """Return a JSON text with the client's names of the videos."""
        assert self.job.footage is not None
        text = without_folder(text, self.folder)
        for name, title in zip(self.job.footage.files, self.job.footage.titles, strict=True):
            text = text.replace(name, json.dumps(title)[1:-1])
        return text


def training_figures(folder: Path) -> tuple[dict[str, float], Path | None]:
    """Return what a training shows of itself, while it runs or afterwards.

    Args:
        folder: folder of the job.

    Returns:
        Figures of the network on held-out frames, as last measured: `minutes` of training and `psnr_db`
        inside the mask, empty before the first measurement; and an image of its output, if there is one.
    """
    kept = folder / FIGURES
    if kept.is_file():
        preview = folder / PREVIEW
        return json.loads(kept.read_text(encoding="utf-8")), preview if preview.is_file() else None
    runs = sorted((folder / TRAINING_WORK).glob(_RUNS), key=lambda run: run.stat().st_mtime)
    if not runs:
        return {}, None
    preview = runs[-1] / PREVIEW
    return _last_figures(runs[-1] / _PROGRESS_TABLE), preview if preview.is_file() else None


def _last_figures(table: Path) -> dict[str, float]:
    try:
        text = table.read_bytes()[:_MAX_TABLE_BYTES].decode()
    except OSError:
        return {}
    measured = [row for row in csv.DictReader(text.splitlines()) if row.get("psnr")]
    if not measured:
        return {}
    return {"minutes": float(measured[-1]["minutes"]), "psnr_db": round(float(measured[-1]["psnr"]), 2)}
