"""The report on footage, made before anything is prepared: what it is good for and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from newscaster.errors import MediaError
from newscaster.prepare.clips import choose_fps, find_footage, gap_notes, scan_notes
from newscaster.prepare.findings import gather
from newscaster.prepare.inspect_file import Inspection, InspectTask, inspect_file, segments_of
from newscaster.prepare.measures import measure
from newscaster.prepare.pool import worker_pool
from newscaster.prepare.progress import Progress
from newscaster.prepare.report import Report, audio_notes, make_report
from newscaster.prepare.work import attempt

_SAMPLED_SECONDS = 45.0
"""A longer file is tracked in three stretches that come to this."""
_TRACKED_SECONDS = 600.0
"""Files are tracked until this much has been; of those left over, evenly spread, only the sound is
measured."""


def check(
    footage: Path | str | Iterable[Path | str],
    *,
    face: int | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Look at footage and say what it is good for.

    The sound is measured in full. Faces are followed in full in short files, in three stretches of 15 s in
    longer ones, and in 10 minutes altogether at most, spread over the files; the report says how much was
    looked at.

    Args:
        footage: video files, and folders that are searched for them; sound is not required here.
        face: which person to follow if several are seen: 0 is the leftmost; None is who speaks most.
        workers: how many processes work at once; None is one for each core.
        progress: called with files as they are done, phase "check".

    Raises:
        MediaError: a file is missing or not a video, or all are damaged.
        FootageError: there is no video, or ``face`` is not there.
    """
    files, notes = find_footage(footage)
    fps = choose_fps([file.fps for file in files])
    every = max(1.0, sum(min(f.seconds, _SAMPLED_SECONDS) for f in files) / _TRACKED_SECONDS)
    tracked = {k for k in (int(i * every) for i in range(len(files))) if k < len(files)}
    tasks = [
        InspectTask(file, segments_of(file, fps, seconds=_SAMPLED_SECONDS) if i in tracked else (), face)
        for i, file in enumerate(files)
    ]
    found: dict[int, Inspection] = {}
    with worker_pool(workers, tasks=len(tasks)) as pool:
        faults = []
        for done, (index, made) in enumerate(pool.map(partial(attempt, inspect_file), tasks), 1):
            if made.result is not None:
                found[index] = made.result
            else:
                faults.append(made.fault)
            if progress is not None:
                progress(Progress("check", done, len(tasks)))
    if not found:
        raise MediaError(faults[0])
    inspections = [found[i] for i in sorted(found)]
    notes += [f"left out: {fault}" for fault in faults]
    notes += [i.audio_fault for i in inspections if i.audio_fault is not None]
    notes += gap_notes(i.footage for i in inspections)
    notes += scan_notes({i.footage.path: i.scan for i in inspections if i.scan is not None})
    if len(tracked) < len(files):
        notes.append(f"faces were followed in {len(tracked)} of {len(files)} files, evenly spread")
    findings = gather(inspections, face=face)
    return make_report(findings, measure(findings), notes + audio_notes(findings))
