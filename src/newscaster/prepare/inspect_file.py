"""Analysis of one file for the report, in a worker process: faces, sharpness, exposure and audio.

Nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from newscaster.errors import MediaError
from newscaster.formats.dataset import SPEECH_RATE
from newscaster.media import MeasuredScan, measured_scan, read_audio_blocks
from newscaster.prepare.clips import Footage, Segment, sampled_segments, segments_without_gaps
from newscaster.prepare.following import PersonFollower
from newscaster.prepare.mouth_occlusion import OcclusionMeter
from newscaster.prepare.people import People, box_of, choose_person
from newscaster.prepare.predicted_opening import predicted_openings
from newscaster.prepare.thumbnails import Mouth, Shown, mouth_of
from newscaster.prepare.work import audio_ignored, check_finite, look, read_speech
from newscaster.speech.activity import speech_activity
from newscaster.speech.voice_activity import SpeechMeter
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ImageU8

_FRAMES_PER_SEGMENT = 8
_FACE_WIDTH_PX = 128
"""Faces are resized to this width before their sharpness is measured: finer detail is not needed."""
_CLIPPED_LEVEL = 0.985
_BLOCK_SECONDS = 60
_MOUTH_EVERY = 4
_MOUTHS_PER_SEGMENT = 24
_SHOWN_PER_SEGMENT = 6
_OCCLUSION_EVERY = 3
"""Every third frame is searched for occluders: one that matters stays for longer."""


@dataclass(frozen=True)
class InspectTask:
    """A file to analyse."""

    footage: Footage
    tracked_segments: tuple[Segment, ...]
    """Segments to track; if empty, only the audio is measured."""
    face: int | None


@dataclass(frozen=True)
class AudioLevels:
    """Levels of the whole audio of a file."""

    seconds: float
    speech_seconds: float
    speech_energy: float
    """Sum of squares of the samples during speech."""
    pause_energy: float
    """Sum of squares of the other samples."""
    clipped_samples: int


@dataclass(frozen=True)
class TrackedSegment:
    """A segment of a file in which the person's face was tracked."""

    segment: Segment
    landmarks: ArrayF32
    present: ArrayBool
    speech: ArrayF32
    sharpness: tuple[float, ...]
    """Sharpness of sampled frames: see :func:`sharpness_of`."""
    brightness: tuple[float, ...]
    """Median luma of the face in the same frames, 0 to 255."""
    mouths: tuple[Mouth, ...]
    """Sampled mouths, from closed to wide open."""
    shown: tuple[Shown, ...]
    """Frames for the report."""
    occlusion: ArrayF64
    """(F, 2): covered fractions of lips and lower face; NaN in frames that were not measured."""
    predicted: ArrayF64
    """(T,) at 25 Hz: opening predicted from the audio, see `predicted_opening`; (0,) without audio."""
    others: tuple[float, ...] = ()
    """Times in the file at which the tracked face is someone else's, or could not be measured."""


@dataclass(frozen=True)
class Inspection:
    """Results for one file."""

    footage: Footage
    tracked: bool
    """Whether faces were tracked."""
    people: People | None
    """None if there is no face."""
    tracked_segments: tuple[TrackedSegment, ...]
    audio: AudioLevels | None
    scan: MeasuredScan | None = None
    """Measured scan, interlaced or progressive; None if it was not measured."""
    audio_fault: str | None = None
    """Reason why the audio was ignored, if it was."""


def inspect_file(task: InspectTask) -> Inspection:
    """Analyse one file. Damaged audio is ignored.

    Raises:
        MediaError: its video is damaged.
        FootageError: the requested face does not exist.
    """
    footage = task.footage
    tracked = len(task.tracked_segments) > 0
    audio, fault = _audio_of(footage)
    if fault is not None:
        footage = replace(footage, has_audio=False)
    persons = look(footage) if tracked else ()
    people = choose_person(persons, task.face, footage.path) if persons else None
    segments = [replace(segment, footage=footage) for segment in task.tracked_segments] if people else []
    tracked_segments = [_track(segment, people) for segment in segments] if people else []
    scan = measured_scan(footage.path) if tracked else None
    return Inspection(footage, tracked, people, tuple(tracked_segments), audio, scan, fault)


def _audio_of(footage: Footage) -> tuple[AudioLevels | None, str | None]:
    """Measure the audio of a file; return None and the reason if it cannot be read."""
    if not footage.has_audio:
        return None, None
    try:
        blocks = read_audio_blocks(footage.path, block_samples=_BLOCK_SECONDS * SPEECH_RATE)
        return measure_audio(_finite(blocks, footage.path)), None
    except MediaError as error:
        return None, audio_ignored(error)


def _finite(blocks: Iterator[ArrayF32], path: Path) -> Iterator[ArrayF32]:
    for block in blocks:
        check_finite(block, path)
        yield block


def _track(segment: Segment, people: People) -> TrackedSegment:
    follower = PersonFollower(people, fps=float(segment.fps))
    length = segment.expected_frames
    every = max(1, length // _FRAMES_PER_SEGMENT)
    faces: list[ArrayF32] = []
    mouths: list[Mouth] = []
    shown: list[Shown] = []
    meter = OcclusionMeter(every=_OCCLUSION_EVERY)
    for i, frame in enumerate(segment.frames()):
        points = follower.step(frame)
        if points is None:
            continue
        meter.add(i, frame, points)
        if i % every == every // 2:
            faces.append(_grey_face(frame, points))
        if i % _MOUTH_EVERY == 0:
            mouths.append(mouth_of(frame, points))
        if len(shown) < _SHOWN_PER_SEGMENT and i >= (len(shown) + 0.5) * length / _SHOWN_PER_SEGMENT:
            shown.append(Shown.of(frame, points, i))
    followed = follower.finish()
    landmarks, present = followed.landmarks, followed.present
    shown = [image for image in shown if present[image.frame]]
    mouths.sort(key=lambda mouth: mouth.opening)
    spread = np.linspace(0, len(mouths) - 1, min(_MOUTHS_PER_SEGMENT, len(mouths))).astype(int)
    speech = read_speech(segment, len(present))
    return TrackedSegment(
        segment,
        landmarks,
        present,
        speech,
        tuple(sharpness_of(face) for face in faces),
        tuple(float(np.median(face)) for face in faces),
        tuple(mouths[k] for k in spread),
        tuple(shown),
        meter.fractions(len(present)),
        predicted_openings(speech),
        tuple(((np.flatnonzero(followed.others) + segment.start_frame) / float(segment.fps)).tolist()),
    )


def _grey_face(frame: ImageU8, landmarks: ArrayF32) -> ArrayF32:
    """Return the face (H, 128) in grey, in the orientation of the frame."""
    left, top, right, bottom = (float(v) for v in box_of(landmarks))
    height, width = frame.shape[:2]
    box = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if box[2] - box[0] < 2 or box[3] - box[1] < 2:
        return np.zeros((_FACE_WIDTH_PX, _FACE_WIDTH_PX), np.float32)
    size = _FACE_WIDTH_PX, max(8, round(_FACE_WIDTH_PX * (box[3] - box[1]) / (box[2] - box[0])))
    image = Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(image.convert("L"), np.float32)


def sharpness_of(face: ArrayF32) -> float:
    """Return the standard deviation of the Laplacian of a grey face (H, 128) over that of the face.

    The variance of the Laplacian is a common measure of focus (Pech-Pacheco et al. 2000). It grows with
    contrast and depends on scale; both are normalised here. A completely blurred face has 0.
    """
    inner = face[1:-1, 1:-1]
    around = face[:-2, 1:-1] + face[2:, 1:-1] + face[1:-1, :-2] + face[1:-1, 2:]
    return float((around - 4 * inner).std() / max(float(face.std()), 1.0))


def measure_audio(blocks: Iterator[ArrayF32]) -> AudioLevels:
    """Measure 16 kHz mono audio block by block. Noise and music do not count as speech."""
    meter = SpeechMeter()
    samples = clipped = 0
    speech_samples, speech, pause = 0, 0.0, 0.0
    for block in blocks:
        finite = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
        meter.push(finite)
        step = SPEECH_RATE // 25
        active = np.repeat(speech_activity(finite), step)[: len(finite)]
        active = np.pad(active, (0, len(finite) - len(active)))
        squares = finite.astype(np.float64) ** 2
        samples += len(finite)
        clipped += int((np.abs(finite) >= _CLIPPED_LEVEL).sum())
        speech_samples += int(active.sum())
        speech += float(squares[active].sum())
        pause += float(squares[~active].sum())
    if not meter.finish():
        speech_samples, speech, pause = 0, 0.0, pause + speech
    return AudioLevels(samples / SPEECH_RATE, speech_samples / SPEECH_RATE, speech, pause, clipped)


def segments_of(footage: Footage, fps: Fraction, *, seconds: float) -> tuple[Segment, ...]:
    """Return the segments of a file to track: all of it, or three with a total length of `seconds`."""
    if footage.seconds <= seconds:
        return tuple(segments_without_gaps(footage, fps))
    return tuple(sampled_segments(footage, fps, seconds=seconds / 3, places=(0.05, 0.5, 0.95)))
