"""Tracking of all clips of a preparation: finds the people in each file, and tracks the selected one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from newscaster.errors import FootageError, MediaError
from newscaster.formats.dataset import Clip, read_record
from newscaster.formats.dataset_writer import DatasetWriter
from newscaster.prepare.clips import (
    Footage,
    Segment,
)
from newscaster.prepare.job import Job
from newscaster.prepare.people import People, Person
from newscaster.prepare.persons import Seen, choose_people
from newscaster.prepare.pool import Workers
from newscaster.prepare.work import (
    ShortTask,
    TrackTask,
    attempt,
    is_short,
    look,
    look_and_track,
    record_of,
    track,
)


def track_clips(job: Job, writer: DatasetWriter, pool: Workers) -> dict[str, Clip]:
    """Track every clip that is not tracked yet; return all clips with frames, by name."""
    todo = [s for s in job.segments if not _is_tracked(job, writer, s)]
    pieces = Counter(segment.footage.path for segment in job.segments)
    short = [s for s in todo if is_short(s, pieces[s.footage.path])]
    if todo:
        writer.begin()
    total = sum(segment.expected_frames for segment in job.segments)
    done = total - sum(segment.expected_frames for segment in todo)
    people_of: dict[Path, tuple[Person, ...]] = {}
    unread: set[Path] = set()
    quick = [ShortTask(writer.clip_folder(s.name), s, job.face) for s in short]
    for index, outcome in pool.map(partial(attempt, look_and_track), quick):
        path = short[index].footage.path
        if outcome.result is None:
            _skip_damaged(job, outcome.fault)
            unread.add(path)
        else:
            people_of[path], notes = outcome.result
            job.warn_all(notes)
        done += short[index].expected_frames
        job.report("track", done, total)
    unseen = [s.footage for s in job.segments if s.footage.path not in people_of.keys() | unread]
    people_of |= _look(job, unseen, pool)
    selected = _choose(job, people_of)
    tasks = []
    for segment in (s for s in job.segments if s.footage.path in selected):
        people = selected[segment.footage.path]
        if not _is_tracked(job, writer, segment, people):
            record = record_of(segment, face_asked=job.face, people=people)
            tasks.append(TrackTask(writer.clip_folder(segment.name), segment, people, record))
    for index, tracked in pool.map(partial(attempt, track), tasks):
        if tracked.fault is not None:
            _skip_damaged(job, tracked.fault)
        job.warn_all(tracked.result or ())
        if tasks[index].segment not in short:
            done += tasks[index].segment.expected_frames
        job.report("track", min(done, total), total)
    return _stored_clips(job, writer, selected)


def _stored_clips(job: Job, writer: DatasetWriter, selected: dict[Path, People]) -> dict[str, Clip]:
    """Return the tracked clips of the files with a selected person, by name."""
    clips = {}
    for segment in (s for s in job.segments if s.footage.path in selected):
        stored = read_record(writer.clip_folder(segment.name))
        if stored is not None and stored.frames and _is_tracked(job, writer, segment):
            clips[segment.name] = Clip(writer.clip_folder(segment.name), stored)
    return clips


def _look(job: Job, footage: Sequence[Footage], pool: Workers) -> dict[Path, tuple[Person, ...]]:
    """Find the people in each file. Descriptors are not stored; tracked files are therefore read again."""
    files = list({file.path: file for file in footage}.values())
    people_of = {}
    for count, (index, outcome) in enumerate(pool.map(partial(attempt, look), files), start=1):
        job.report("look", count, len(files))
        if outcome.result is None:
            _skip_damaged(job, outcome.fault)
        else:
            people_of[files[index].path] = outcome.result
    return people_of


def _skip_damaged(job: Job, fault: str | None) -> None:
    """Skip a damaged file; raise MediaError if it is the only one."""
    assert fault is not None
    job.faults.append(fault)
    if len({s.footage.path for s in job.segments}) == 1:
        raise MediaError(fault)
    job.warn(f"skipped: {fault}")


def _choose(job: Job, people_of: dict[Path, tuple[Person, ...]]) -> dict[Path, People]:
    """Select the person in each file; files that do not show the person are missing."""
    files = list({s.footage.path: s.footage for s in job.segments}.values())
    seen = [Seen(f.path, f.seconds, people_of[f.path]) for f in files if f.path in people_of]
    choice = choose_people(seen, job.face, others=len(files) > 1)
    job.warn_all(choice.warnings)
    targets = {segment.footage.path for segment in job.target_candidates}
    for path in targets & people_of.keys() - choice.people.keys():
        if targets == {path}:
            raise FootageError(
                f"the target '{path}' does not show the person of the other footage. Name footage of the "
                f"same person"
            )
    return choice.people


def _is_tracked(job: Job, writer: DatasetWriter, segment: Segment, people: People | None = None) -> bool:
    """Return whether a clip is already on disk, tracked with the selected person of ``people`` if given."""
    record = read_record(writer.clip_folder(segment.name))
    if record is None or not record.same_origin(record_of(segment, face_asked=job.face)):
        return False
    return people is None or (record.face, record.people) == (people.chosen, len(people.persons))
