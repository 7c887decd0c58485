"""Tasks of worker processes: find the people in a file, track a clip, cut a clip's crops.

Each function takes one task and writes its result to disk, completely or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from newscaster.errors import MediaError
from newscaster.face.crop import FaceCrop, cut_crop
from newscaster.face.head_pose import Head
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import SPEECH_RATE, Clip, ClipRecord, read_record
from newscaster.formats.dataset_writer import write_track, write_transforms, writing_crops
from newscaster.media import read_audio, read_frames
from newscaster.prepare.clips import Footage, Segment
from newscaster.prepare.following import follow_person
from newscaster.prepare.grouping import group_sightings
from newscaster.prepare.people import People, Person
from newscaster.prepare.persons import times_text
from newscaster.prepare.sightings import sightings_in
from newscaster.prepare.speaking import weigh_persons
from newscaster.types import ArrayF32, ImageU8

_LOOK_FPS = Fraction(1)
_LOOK_SECONDS = 12.0
"""A file up to this long is read completely at `_LOOK_FPS`. In a longer one, six frames are sampled, and one
more for every two minutes. Each costs the decoding from the previous key frame, which may be 10 s away."""
_LOOK_PLACES = 6
_LOOK_MORE_EVERY_SECONDS = 120.0
_POINTS_PER_CLIP = 64
_SHORT_BYTES = 2**28
"""A short file whose frames take more than this is decoded twice instead of kept in memory."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Attempt(Generic[Result]):
    """The result of a task, or the reason why the media file could not be read."""

    result: Result | None
    fault: str | None


def attempt(work: Callable[[Task], Result], task: Task) -> Attempt[Result]:
    """Run a task, and return a MediaError as a fault: it must not end the work on other files."""
    try:
        return Attempt(work(task), None)
    except MediaError as error:
        return Attempt(None, str(error))


def sampled_frames(footage: Footage) -> Iterator[tuple[float, ImageU8]]:
    """Yield frames spread over a file, with their times in seconds."""
    if footage.seconds <= _LOOK_SECONDS and not footage.video.gaps:
        yield from enumerate(read_frames(footage.path, fps=_LOOK_FPS))
        return
    count = _LOOK_PLACES + int(footage.seconds / _LOOK_MORE_EVERY_SECONDS)
    for second in seconds_with_frames(footage, count):
        for frame in read_frames(footage.path, fps=Fraction(1), start_frame=second, stop_frame=second + 1):
            yield second, frame


def seconds_with_frames(footage: Footage, count: int) -> list[int]:
    """Return up to `count` integer seconds of a file, spread evenly over the time with frames."""
    end = round(footage.end_seconds)
    runs = [
        range(start, max(end if stop is None else stop, start + 1))
        for start, stop in footage.parts(_LOOK_FPS)
    ]
    seconds = sorted({second for run in runs for second in run})
    return [seconds[i] for i in np.linspace(0, len(seconds) - 1, min(count, len(seconds))).astype(int)]


def look(footage: Footage, frames: Sequence[ImageU8] | None = None) -> tuple[Person, ...]:
    """Find the people in a file, from left to right, in sampled frames.

    Args:
        footage: the file.
        frames: one frame per second of it; None reads a sample.
    """
    return look_at(footage, sampled_frames(footage) if frames is None else enumerate(frames))


def look_at(footage: Footage, sampled: Iterable[tuple[float, ImageU8]]) -> tuple[Person, ...]:
    """Find the people in frames of a file, each with its time in seconds, from left to right."""
    return weigh_persons(
        footage, _people_at(sampled), read_speech=lambda s, frames: readable_speech(s, frames)[0]
    )


def people_in(footage: Footage, frames: Sequence[ImageU8] | None = None) -> tuple[Person, ...]:
    """Find the people in a file as :func:`look` does, without measuring who of them speaks."""
    return _people_at(sampled_frames(footage) if frames is None else enumerate(frames))


def _people_at(sampled: Iterable[tuple[float, ImageU8]]) -> tuple[Person, ...]:
    return group_sightings(sightings_in(frame, float(second)) for second, frame in sampled)


@dataclass(frozen=True)
class TrackTask:
    """A clip to track."""

    folder: Path
    segment: Segment
    people: People
    record: ClipRecord
    """Record of the clip, without the values that are known only after reading the footage."""


def record_of(segment: Segment, *, face_asked: int | None, people: People | None = None) -> ClipRecord:
    """Return the record of a clip before it is tracked."""
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

    Returns notes for the user: why the audio was ignored, and when another person is visible.
    """
    segment = task.segment
    return _track(task.folder, task.record, segment, task.people, segment.frames())


def _track(
    folder: Path, record: ClipRecord, segment: Segment, people: People, frames: Iterable[ImageU8]
) -> tuple[str, ...]:
    followed = follow_person(frames, people, fps=float(segment.fps))
    speech, fault = readable_speech(segment, len(followed.present))
    write_track(folder, record, landmarks=followed.landmarks, present=followed.present, speech=speech)
    notes = [] if fault is None else [fault]
    if followed.others.any():
        seconds = (np.flatnonzero(followed.others) + segment.start_frame) / float(segment.fps)
        notes.append(
            f"skipped: {len(seconds) / float(segment.fps):.1f} s of '{segment.footage.path}' show someone "
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
    """Return whether a clip is all of its file, and its frames fit in memory."""
    video = segment.footage.video
    size_bytes = 3 * video.width * video.height * segment.expected_frames
    footage = segment.footage
    is_whole = segments_of_file == 1 and not footage.video.gaps
    return is_whole and footage.seconds <= _LOOK_SECONDS and size_bytes <= _SHORT_BYTES


def look_and_track(task: ShortTask) -> tuple[tuple[Person, ...], tuple[str, ...]]:
    """Run :func:`look` and :func:`track`, and decode the frames only once.

    Returns the people in the file, and the notes of :func:`track`. Unless there is exactly one person,
    nothing is stored: the selection depends on the other files.
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
) -> tuple[ArrayF32, str | None]:
    """Run :func:`read_speech`; return (0,) and the reason if the audio is damaged: the frames are still
    used.
    """
    try:
        return read_speech(segment, frames, lag_seconds=lag_seconds), None
    except MediaError as error:
        return np.zeros(0, np.float32), audio_ignored(error)


def audio_ignored(error: MediaError) -> str:
    """Return the note for a file of which only the frames are used."""
    return f"audio ignored, only the frames are used: {error}"


def read_speech(segment: Segment, frames: int, *, lag_seconds: float = 0.0) -> ArrayF32:
    """Read the audio of a clip's frames, as a player plays it: 16 kHz mono, cut or padded to their length.

    ``lag_seconds`` is the delay of the audio in the file, which is corrected. (0,) if the footage has no
    audio.

    Raises:
        MediaError: it contains samples that are not numbers.
    """
    if not segment.footage.has_audio or not frames:
        return np.zeros(0, np.float32)
    samples = np.zeros(round(frames * SPEECH_RATE / segment.fps), np.float32)
    start = float(segment.start_frame / segment.fps) + lag_seconds
    stop = float((segment.start_frame + frames) / segment.fps) + lag_seconds
    first = min(len(samples), round(max(0.0, -start) * SPEECH_RATE))  # silence before the file starts
    if stop <= 0:
        return samples
    audio = read_audio(
        segment.footage.path, rate=SPEECH_RATE, start_seconds=max(0.0, start), stop_seconds=stop
    )[: len(samples) - first]
    check_finite(audio, segment.footage.path)
    samples[first : first + len(audio)] = audio
    return samples


def check_finite(samples: ArrayF32, path: Path) -> None:
    """Raise MediaError if audio holds NaN or infinity."""
    if not np.isfinite(samples).all():
        raise MediaError(
            f"the audio of '{path}' has samples that are not numbers (NaN or infinite). Export it again"
        )


@dataclass(frozen=True)
class CropTask:
    """A tracked clip, and the head and crop to cut it with."""

    folder: Path
    head: Head
    crop: FaceCrop
    fingerprint: str


def cut_crops(task: CropTask) -> tuple[int, ArrayF32]:
    """Cut a clip's crops unless that is done. Returns its number of frames, and sampled mouths."""
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


def some_mouths(clip: Clip) -> ArrayF32:
    """Return up to 64 mouths (n, 57, 2) of a clip in crop pixels, spread over it."""
    frames = np.flatnonzero(clip.present)
    frames = frames[:: -(-len(frames) // _POINTS_PER_CLIP) or 1]
    points = clip.landmarks[frames][:, list(MOUTH), :2]
    return clip.transforms[frames].apply(points).astype(np.float32)
