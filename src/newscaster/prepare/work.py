"""What worker processes do with footage: look at it, track a clip, cut a clip's regions.

Each function takes one task and leaves its result on disk, finished or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from newscaster.errors import MediaError
from newscaster.face.crop import FaceCrop, cut_crop
from newscaster.face.head_pose import Head
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import (
    SPEECH_RATE,
    Clip,
    ClipRecord,
    read_record,
    write_track,
    write_transforms,
    writing_crops,
)
from newscaster.media import read_audio, read_frames
from newscaster.prepare.clips import Footage, Segment
from newscaster.prepare.following import follow_person
from newscaster.prepare.grouping import group_sightings
from newscaster.prepare.people import People, Person
from newscaster.prepare.persons import times_text
from newscaster.prepare.sightings import sightings_in
from newscaster.prepare.speaking import weigh_persons

_LOOK_FPS = Fraction(1)
_LOOK_SECONDS = 12.0
"""A file up to this long is read through at `_LOOK_FPS`. In a longer one places are looked up, six and one
more for each two minutes: each costs as much as decoding from the key frame before it, which may be 10 s
away."""
_LOOK_PLACES = 6
_LOOK_MORE_EVERY_SECONDS = 120.0
_POINTS_PER_CLIP = 64
_SHORT_BYTES = 2**28
"""A short file whose pictures take more than this is decoded twice rather than kept in memory."""

Task = TypeVar("Task")
Result = TypeVar("Result")
ImageArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Attempt(Generic[Result]):
    """What a worker made of a task, or why the media file could not be read."""

    result: Result | None
    fault: str | None


def attempt(work: Callable[[Task], Result], task: Task) -> Attempt[Result]:
    """Do a task; a damaged file is its fault alone, and must not end the work on other files."""
    try:
        return Attempt(work(task), None)
    except MediaError as error:
        return Attempt(None, str(error))


def sampled_frames(footage: Footage) -> Iterator[tuple[float, ImageArray]]:
    """Frames spread over a file, and their times in seconds, to see who is in it."""
    if footage.seconds <= _LOOK_SECONDS and not footage.video.gaps:
        yield from enumerate(read_frames(footage.path, fps=_LOOK_FPS))
        return
    count = _LOOK_PLACES + int(footage.seconds / _LOOK_MORE_EVERY_SECONDS)
    for second in seconds_with_frames(footage, count):
        for frame in read_frames(footage.path, fps=Fraction(1), start_frame=second, stop_frame=second + 1):
            yield second, frame


def seconds_with_frames(footage: Footage, count: int) -> list[int]:
    """Up to `count` whole seconds of a file, spread evenly over the time in which it has frames."""
    end = round(footage.end_seconds)
    runs = [
        range(start, max(end if stop is None else stop, start + 1))
        for start, stop in footage.parts(_LOOK_FPS)
    ]
    seconds = sorted({second for run in runs for second in run})
    return [seconds[i] for i in np.linspace(0, len(seconds) - 1, min(count, len(seconds))).astype(int)]


def look(footage: Footage, frames: Sequence[ImageArray] | None = None) -> tuple[Person, ...]:
    """The people in a file, from left to right, as sampled frames show them.

    Args:
        footage: the file.
        frames: one frame per second of it; None reads some.
    """
    sampled = sampled_frames(footage) if frames is None else enumerate(frames)
    persons = group_sightings(sightings_in(frame, float(second)) for second, frame in sampled)
    return weigh_persons(footage, persons, read_speech=lambda s, frames: readable_speech(s, frames)[0])


@dataclass(frozen=True)
class TrackTask:
    """A clip to track."""

    folder: Path
    segment: Segment
    people: People
    record: ClipRecord
    """As it will be, but for what only reading the footage can tell."""


def record_of(segment: Segment, *, face_asked: int | None, people: People | None = None) -> ClipRecord:
    """The record of a clip that is yet to be tracked."""
    footage = segment.footage
    return ClipRecord(
        source=str(footage.path),
        size_bytes=footage.size_bytes,
        mtime_ns=footage.mtime_ns,
        start_frame=segment.start_frame,
        stop_frame=segment.stop_frame,
        fps=segment.fps,
        frame_size=(footage.video.width, footage.video.height),
        face_asked=face_asked,
        face=people.chosen if people else 0,
        people=len(people.persons) if people else 0,
    )


def track(task: TrackTask) -> tuple[str, ...]:
    """Track the person's face through a clip, read the clip's audio, and store both.

    Returns what the user should know: why the audio was left out, and when somebody else is seen.
    """
    segment = task.segment
    return _track(task.folder, task.record, segment, task.people, segment.frames())


def _track(
    folder: Path, record: ClipRecord, segment: Segment, people: People, frames: Iterable[ImageArray]
) -> tuple[str, ...]:
    found = follow_person(frames, people, fps=float(segment.fps))
    speech, fault = readable_speech(segment, len(found.present))
    write_track(folder, record, landmarks=found.landmarks, present=found.present, speech=speech)
    notes = [] if fault is None else [fault]
    if found.others.any():
        seconds = (np.flatnonzero(found.others) + segment.start_frame) / float(segment.fps)
        notes.append(
            f"left out: {len(seconds) / float(segment.fps):.1f} s of '{segment.footage.path}' show somebody "
            f"else, or could not be measured ({times_text(seconds.tolist())})"
        )
    return tuple(notes)


@dataclass(frozen=True)
class ShortTask:
    """A clip that is a whole short file: see :func:`is_short`."""

    folder: Path
    segment: Segment
    face: int | None


def is_short(segment: Segment, segments_of_file: int) -> bool:
    """Whether a clip is all of its file, and its pictures fit in memory."""
    video = segment.footage.video
    size_bytes = 3 * video.width * video.height * segment.expected_frames
    footage = segment.footage
    is_whole = segments_of_file == 1 and not footage.video.gaps
    return is_whole and footage.seconds <= _LOOK_SECONDS and size_bytes <= _SHORT_BYTES


def look_and_track(task: ShortTask) -> tuple[tuple[Person, ...], tuple[str, ...]]:
    """:func:`look` and :func:`track` in one, so that the frames are decoded once.

    Returns the people in the file, and what :func:`track` returns. If there is not exactly one person,
    nothing is stored: who is meant depends on the other files.
    """
    segment = task.segment
    frames = list(read_frames(segment.footage.path, fps=segment.fps))
    persons = look(segment.footage, frames[:: round(segment.fps / _LOOK_FPS)])
    if len(persons) != 1 or task.face not in (None, 0):
        return persons, ()
    people = People(persons, 0)
    record = record_of(segment, face_asked=task.face, people=people)
    return persons, _track(task.folder, record, segment, people, frames)


def readable_speech(
    segment: Segment, frames: int, *, lag_seconds: float = 0.0
) -> tuple[npt.NDArray[np.float32], str | None]:
    """:func:`read_speech`; none, and the reason, if the audio is damaged: the frames are good without it."""
    try:
        return read_speech(segment, frames, lag_seconds=lag_seconds), None
    except MediaError as error:
        return np.zeros(0, np.float32), audio_left_out(error)


def audio_left_out(error: MediaError) -> str:
    """The line for a file whose frames alone are used."""
    return f"audio left out, its frames are used: {error}"


def read_speech(segment: Segment, frames: int, *, lag_seconds: float = 0.0) -> npt.NDArray[np.float32]:
    """The sound under a clip's frames, as a player would play it: 16 kHz mono, cut or padded to their length.

    ``lag_seconds`` is by how much the file has it late; it is taken out. (0,) where the footage has no sound.

    Raises:
        MediaError: it holds samples that are not numbers.
    """
    if not segment.footage.has_audio or not frames:
        return np.zeros(0, np.float32)
    samples = np.zeros(round(frames * SPEECH_RATE / segment.fps), np.float32)
    start = float(segment.start_frame / segment.fps) + lag_seconds
    stop = float((segment.start_frame + frames) / segment.fps) + lag_seconds
    first = min(
        len(samples), round(max(0.0, -start) * SPEECH_RATE)
    )  # nothing is heard before the file begins
    if stop <= 0:
        return samples
    found = read_audio(
        segment.footage.path, rate=SPEECH_RATE, start_seconds=max(0.0, start), stop_seconds=stop
    )[: len(samples) - first]
    check_finite(found, segment.footage.path)
    samples[first : first + len(found)] = found
    return samples


def check_finite(samples: npt.NDArray[np.float32], path: Path) -> None:
    """Raise MediaError if audio holds NaN or infinity."""
    if not np.isfinite(samples).all():
        raise MediaError(
            f"the sound of '{path}' holds samples that are not numbers (NaN or infinite). Export it again"
        )


@dataclass(frozen=True)
class CropTask:
    """A tracked clip whose regions are to be cut."""

    folder: Path
    head: Head
    crop: FaceCrop
    fingerprint: str


def cut_crops(task: CropTask) -> tuple[int, npt.NDArray[np.float32]]:
    """Cut a clip's regions unless that is done. Returns its frames, and some of its mouths."""
    record = read_record(task.folder)
    assert record is not None, f"'{task.folder}' is not tracked"
    clip = Clip(task.folder, record)
    if record.cropped_with != task.fingerprint:
        poses = task.head.steady_poses(clip.landmarks, clip.present, fps=record.fps)
        transforms = task.crop.transforms(task.head, poses)
        frames = read_frames(
            Path(record.source),
            fps=record.fps,
            start_frame=record.start_frame,
            stop_frame=record.start_frame + record.frames,
        )
        with writing_crops(task.folder, frames=record.frames, side=task.crop.side) as crops:
            for i, frame in enumerate(frames):
                if clip.present[i]:
                    crops[i] = cut_crop(frame, transforms[i], task.crop.side)
        record = write_transforms(task.folder, record, transforms, task.fingerprint)
        clip = Clip(task.folder, record)
    return record.frames, some_mouths(clip)


def some_mouths(clip: Clip) -> npt.NDArray[np.float32]:
    """Up to 64 mouths (n, 57, 2) of a clip in region pixels, spread over it."""
    frames = np.flatnonzero(clip.present)
    frames = frames[:: -(-len(frames) // _POINTS_PER_CLIP) or 1]
    points = clip.landmarks[frames][:, list(MOUTH), :2]
    return clip.transforms[frames].apply(points).astype(np.float32)
