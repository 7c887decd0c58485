"""Face tracks and sound alone, of footage that may show somebody else in every file.

What networks for everyone are trained on, and what made videos are measured by; an anchor needs the whole of
``prepare.pipeline``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError, MediaError
from newscaster.formats.dataset import Clip, read_record
from newscaster.prepare.clips import Footage, Segment, choose_fps, cut, find_footage, gap_notes
from newscaster.prepare.people import People, choose_person
from newscaster.prepare.persons import choose_known
from newscaster.prepare.pool import Workers, worker_pool
from newscaster.prepare.progress import Progress
from newscaster.prepare.work import TrackTask, attempt, look, record_of, track

Floats = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)


def track_footage(
    footage: Iterable[Path | str],
    folder: Path | str,
    *,
    fps: Fraction | None = None,
    face: int | None = None,
    silent: bool = False,
    person: Floats | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[Clip]:
    """Track one face of every file.

    Args:
        footage: video files, and folders that are searched for them.
        folder: where landmarks and sound go; clips that are there already are kept.
        fps: frames per second; None is each file's own, of 25, 29.97 and 30.
        face: which one if several are seen: 0 is the leftmost; None is ``person``, or else the one that is
            seen and speaks most.
        silent: whether files without sound are tracked, too; otherwise they are left out.
        person: a face descriptor (128,): whoever of a file agrees with it is tracked, if ``face`` is None.
        workers: how many processes work at once; None is one for each core.
        progress: called with clips as they are done, phase "track".

    Returns:
        The clips in order, without files that show no such face. They have landmarks and speech, but no
        regions.

    Raises:
        MediaError: a file is missing, damaged or not a video.
    """
    files, left_out = find_footage(footage)
    for text in [*left_out, *gap_notes(files)]:
        _log.warning("%s", text)
    for file in files:
        if not (silent or file.has_audio):
            _log.warning("left out: '%s' has no sound", file.path)
    files = [file for file in files if silent or file.has_audio]
    segments: list[Segment] = []
    for file in files:
        segments += cut([file], fps or choose_fps([file.fps]), taken=(s.name for s in segments))
    places = {segment.name: Path(folder) / segment.name for segment in segments}
    stored = {name: read_record(place) for name, place in places.items()}
    todo = []
    for segment in segments:
        record = stored[segment.name]
        if record is None or not record.same_origin(record_of(segment, face_asked=face)):
            todo.append(segment)
    with worker_pool(workers, tasks=len(todo)) as pool:
        meant = _meant([segment.footage for segment in todo], face, person, files, pool)
        tasks = []
        for segment in (s for s in todo if s.footage.path in meant):
            people = meant[segment.footage.path]
            record = record_of(segment, face_asked=face, people=people)
            tasks.append(TrackTask(places[segment.name], segment, people, record))
        for done, (_, tracked) in enumerate(pool.map(partial(attempt, track), tasks), 1):
            if tracked.fault is not None:
                _leave_out(tracked.fault, files)
            for text in tracked.result or ():
                _log.warning("%s", text)
            if progress is not None:
                progress(Progress("track", done, len(tasks)))
    records = ((name, read_record(place)) for name, place in places.items())
    return [Clip(places[name], record) for name, record in records if record is not None and record.frames]


def _meant(
    footage: Iterable[Footage],
    face: int | None,
    person: Floats | None,
    files: Sequence[Footage],
    pool: Workers,
) -> dict[Path, People]:
    """Who is followed in each file, without those that show nobody or cannot be read."""
    unseen = list({file.path: file for file in footage}.values())
    meant = {}
    for index, found in pool.map(partial(attempt, look), unseen):
        path = unseen[index].path
        if found.result is None:
            _leave_out(found.fault, files)
            continue
        try:
            known = None if person is None or face is not None else choose_known(found.result, person)
            meant[path] = choose_person(found.result, face if known is None else known, path)
        except FootageError as error:
            _log.warning("left out: %s", error)
    return meant


def _leave_out(fault: str | None, files: Sequence[Footage]) -> None:
    """Go on without a damaged file, if there are others."""
    if len(files) == 1:
        raise MediaError(fault)
    _log.warning("left out: %s", fault)
