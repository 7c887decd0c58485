"""Tracking of all clips of a preparation: who is in each file, who is followed, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from newscaster.errors import FootageError, MediaError
from newscaster.formats.dataset import Clip, DatasetWriter, read_record
from newscaster.prepare.clips import (
    Footage,
    Segment,
)
from newscaster.prepare.job import Job
from newscaster.prepare.people import People, Person
from newscaster.prepare.persons import Seen, choose_people
from newscaster.prepare.pool import Workers
from newscaster.prepare.progress import Progress
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
    """Track every clip that is not yet; all that have frames, by name."""
    todo = [s for s in job.segments if not _is_tracked(job, writer, s)]
    pieces = Counter(segment.footage.path for segment in job.segments)
    short = [s for s in todo if is_short(s, pieces[s.footage.path])]
    if todo:
        writer.begin()
    total = sum(segment.expected_frames for segment in job.segments)
    done = total - sum(segment.expected_frames for segment in todo)
    looked: dict[Path, tuple[Person, ...]] = {}
    unread: set[Path] = set()
    quick = [ShortTask(writer.clip_folder(s.name), s, job.face) for s in short]
    for index, found in pool.map(partial(attempt, look_and_track), quick):
        path = short[index].footage.path
        if found.result is None:
            _leave_out(job, found.fault)
            unread.add(path)
        else:
            looked[path], notes = found.result
            job.warn_all(notes)
        done += short[index].expected_frames
        job.report(Progress("track", done, total))
    unseen = [s.footage for s in job.segments if s.footage.path not in looked.keys() | unread]
    looked |= _look(job, unseen, pool)
    meant = _choose(job, looked)
    tasks = []
    for segment in (s for s in job.segments if s.footage.path in meant):
        people = meant[segment.footage.path]
        if not _is_tracked(job, writer, segment, people):
            record = record_of(segment, face_asked=job.face, people=people)
            tasks.append(TrackTask(writer.clip_folder(segment.name), segment, people, record))
    for index, tracked in pool.map(partial(attempt, track), tasks):
        if tracked.fault is not None:
            _leave_out(job, tracked.fault)
        job.warn_all(tracked.result or ())
        if tasks[index].segment not in short:
            done += tasks[index].segment.expected_frames
        job.report(Progress("track", min(done, total), total))
    return _stored_clips(job, writer, meant)


def _stored_clips(job: Job, writer: DatasetWriter, meant: dict[Path, People]) -> dict[str, Clip]:
    """Tracked clips of the files in which somebody is followed, by name."""
    clips = {}
    for segment in (s for s in job.segments if s.footage.path in meant):
        stored = read_record(writer.clip_folder(segment.name))
        if stored is not None and stored.frames and _is_tracked(job, writer, segment):
            clips[segment.name] = Clip(writer.clip_folder(segment.name), stored)
    return clips


def _look(job: Job, footage: Sequence[Footage], pool: Workers) -> dict[Path, tuple[Person, ...]]:
    """Who is in each file. Descriptors are not stored, so that tracked files are looked at again."""
    files = list({file.path: file for file in footage}.values())
    looked = {}
    for count, (index, found) in enumerate(pool.map(partial(attempt, look), files), start=1):
        job.report(Progress("look", count, len(files)))
        if found.result is None:
            _leave_out(job, found.fault)
        else:
            looked[files[index].path] = found.result
    return looked


def _leave_out(job: Job, fault: str | None) -> None:
    """Go on without a damaged file, if there are others."""
    assert fault is not None
    job.faults.append(fault)
    if len({s.footage.path for s in job.segments}) == 1:
        raise MediaError(fault)
    job.warn(f"left out: {fault}")


def _choose(job: Job, looked: dict[Path, tuple[Person, ...]]) -> dict[Path, People]:
    """Who is followed in each file, without those that do not show the person."""
    files = list({s.footage.path: s.footage for s in job.segments}.values())
    seen = [Seen(f.path, f.seconds, looked[f.path]) for f in files if f.path in looked]
    choice = choose_people(seen, job.face, others=len(files) > 1)
    job.warn_all(choice.warnings)
    for path in {segment.footage.path for segment in job.staging} & looked.keys() - choice.people.keys():
        if all(segment.footage.path == path for segment in job.staging):
            raise FootageError(
                f"the stage '{path}' does not show the person of the other footage. Name footage of the same "
                f"person"
            )
    return choice.people


def _is_tracked(job: Job, writer: DatasetWriter, segment: Segment, people: People | None = None) -> bool:
    """Whether a clip is on disk already: tracked with this person, if ``people`` says who is meant."""
    record = read_record(writer.clip_folder(segment.name))
    if record is None or not record.same_origin(record_of(segment, face_asked=job.face)):
        return False
    return people is None or (record.face, record.people) == (people.chosen, len(people.persons))
