"""Face tracks and audio only, for footage with possibly different people in each file.

Networks for all people are trained on it, and the evaluation tracks its videos with it. An anchor needs the
whole of ``prepare.pipeline``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

from newscaster.errors import FootageError, MediaError
from newscaster.formats.dataset import Clip, read_record
from newscaster.prepare.clips import Footage, Segment, choose_fps, cut, find_footage, gap_notes
from newscaster.prepare.people import People, choose_person
from newscaster.prepare.persons import choose_known
from newscaster.prepare.pool import Workers, worker_pool
from newscaster.prepare.work import TrackTask, attempt, look, record_of, track
from newscaster.types import ArrayF32, Progress

_log = logging.getLogger(__name__)


def track_footage(
    footage: Iterable[Path | str],
    folder: Path | str,
    *,
    fps: Fraction | None = None,
    face: int | None = None,
    silent: bool = False,
    person: ArrayF32 | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Clip]:
    """Track one face of every file.

    Args:
        footage: video files, and folders that are searched for them.
        folder: folder for landmarks and audio; clips that are already there are kept.
        fps: frames per second; None uses each file's own: 25, 29.97 or 30.
        face: number of the face if there are several; 0 is the leftmost; None selects ``person``, or else the
            one that is visible and speaks most.
        silent: whether files without audio are tracked, too; otherwise they are skipped.
        person: face descriptor (128,) of the person to track, if ``face`` is None.
        workers: number of worker processes; None: one per core.
        progress: called with clips as they are done, phase "track".

    Returns:
        The clips in order, without files that show no such face. They have landmarks and speech, but no
        crops.

    Raises:
        MediaError: a file is missing, damaged or not a video.
    """
    files, skipped = find_footage(footage)
    for text in [*skipped, *gap_notes(files)]:
        _log.warning("%s", text)
    for file in files:
        if not (silent or file.has_audio):
            _log.warning("skipped: '%s' has no audio", file.path)
    files = [file for file in files if silent or file.has_audio]
    segments: list[Segment] = []
    for file in files:
        segments += cut([file], fps or choose_fps([file.fps]), taken=(s.name for s in segments))
    folders = {segment.name: Path(folder) / segment.name for segment in segments}
    stored = {name: read_record(clip_folder) for name, clip_folder in folders.items()}
    todo = []
    for segment in segments:
        record = stored[segment.name]
        if record is None or not record.same_origin(record_of(segment, face_asked=face)):
            todo.append(segment)
    with worker_pool(workers, tasks=len(todo)) as pool:
        selected = _select([segment.footage for segment in todo], face, person, files, pool)
        tasks = []
        for segment in (s for s in todo if s.footage.path in selected):
            people = selected[segment.footage.path]
            record = record_of(segment, face_asked=face, people=people)
            tasks.append(TrackTask(folders[segment.name], segment, people, record))
        for done, (_, tracked) in enumerate(pool.map(partial(attempt, track), tasks), 1):
            if tracked.fault is not None:
                _skip_damaged(tracked.fault, files)
            for text in tracked.result or ():
                _log.warning("%s", text)
            if progress is not None:
                progress("track", done, len(tasks))
    records = ((name, read_record(clip_folder)) for name, clip_folder in folders.items())
    return [Clip(folders[name], record) for name, record in records if record is not None and record.frames]


def _select(
    footage: Iterable[Footage],
    face: int | None,
    person: ArrayF32 | None,
    files: Sequence[Footage],
    pool: Workers,
) -> dict[Path, People]:
    """Select the person in each file; files without a face, and files that cannot be read, are missing."""
    unseen = list({file.path: file for file in footage}.values())
    selected = {}
    for index, outcome in pool.map(partial(attempt, look), unseen):
        path = unseen[index].path
        if outcome.result is None:
            _skip_damaged(outcome.fault, files)
            continue
        try:
            known = None if person is None or face is not None else choose_known(outcome.result, person)
            selected[path] = choose_person(outcome.result, face if known is None else known, path)
        except FootageError as error:
            _log.warning("skipped: %s", error)
    return selected


def _skip_damaged(fault: str | None, files: Sequence[Footage]) -> None:
    """Skip a damaged file; raise MediaError if it is the only one."""
    if len(files) == 1:
        raise MediaError(fault)
    _log.warning("skipped: %s", fault)
