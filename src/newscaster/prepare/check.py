"""The report on footage, made before preparation: its quality, and what to change."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from newscaster.errors import MediaError
from newscaster.prepare.clips import choose_fps, find_footage, gap_notes, scan_notes
from newscaster.prepare.findings import gather
from newscaster.prepare.inspect_file import Inspection, InspectTask, inspect_file, segments_of
from newscaster.prepare.measures import measure
from newscaster.prepare.pool import worker_pool
from newscaster.prepare.report import Report, audio_notes, make_report
from newscaster.prepare.work import attempt
from newscaster.types import Progress

_SAMPLED_SECONDS = 45.0
"""A longer file is tracked in three segments of this total length."""
_TRACKED_SECONDS = 600.0
"""Maximum tracked length of all files. Tracked files are evenly spread; for the others, only the audio is
measured."""


def check(
    footage: Path | str | Iterable[Path | str],
    *,
    face: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check whether footage is good enough to train an anchor.

    All audio is measured. Faces are tracked throughout short files, and in three segments of 15 s of longer
    ones. At most 10 minutes are tracked, spread over the files. The report states how much was analysed.

    Args:
        footage: video files, and folders that are searched for them; audio is optional.
        face: number of the person to follow if there are several; 0 is the leftmost; None selects the person
            who speaks most.
        workers: number of worker processes; None: one per core.
        progress: called with files as they are done, phase "check".

    Raises:
        MediaError: a file is missing or not a video, or all are damaged.
        FootageError: there is no video, or no face has the number ``face``.
    """
    files, notes = find_footage(footage)
    fps = choose_fps([file.fps for file in files])
    every = max(1.0, sum(min(f.seconds, _SAMPLED_SECONDS) for f in files) / _TRACKED_SECONDS)
    tracked = {k for k in (int(i * every) for i in range(len(files))) if k < len(files)}
    tasks = [
        InspectTask(file, segments_of(file, fps, seconds=_SAMPLED_SECONDS) if i in tracked else (), face)
        for i, file in enumerate(files)
    ]
    by_index: dict[int, Inspection] = {}
    with worker_pool(workers, tasks=len(tasks)) as pool:
        faults = []
        for done, (index, outcome) in enumerate(pool.map(partial(attempt, inspect_file), tasks), 1):
            if outcome.result is not None:
                by_index[index] = outcome.result
            else:
                faults.append(outcome.fault)
            if progress is not None:
                progress("check", done, len(tasks))
    if not by_index:
        raise MediaError(faults[0])
    inspections = [by_index[i] for i in sorted(by_index)]
    notes += [f"skipped: {fault}" for fault in faults]
    notes += [i.audio_fault for i in inspections if i.audio_fault is not None]
    notes += gap_notes(i.footage for i in inspections)
    notes += scan_notes({i.footage.path: i.scan for i in inspections if i.scan is not None})
    if len(tracked) < len(files):
        notes.append(f"faces were tracked in {len(tracked)} of {len(files)} files, evenly spread")
    findings = gather(inspections, face=face)
    return make_report(findings, measure(findings), notes + audio_notes(findings))
