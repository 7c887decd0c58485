"""Correction of the audio of tracked clips before training.

Follows the same rules as the report on footage (`sync`). A constant lag is corrected. Audio that does not
belong to the mouth, or that drifts, is dropped: only the frames of such clips are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import opening
from newscaster.formats.dataset import Clip, read_record
from newscaster.formats.dataset_writer import write_audio, write_audio_fits
from newscaster.prepare.clips import Segment
from newscaster.prepare.job import Job
from newscaster.prepare.lag import SpokenSegment
from newscaster.prepare.pool import Workers
from newscaster.prepare.predicted_opening import predicted_openings
from newscaster.prepare.sync import AudioSync, Part, audio_syncs
from newscaster.prepare.work import readable_speech
from newscaster.speech.activity import speech_activity
from newscaster.types import ArrayBool, ArrayF64


@dataclass(frozen=True)
class AudioTask:
    """A tracked clip, with the shift of its audio, or the decision to drop it."""

    folder: Path
    segment: Segment
    shift_ms: int = 0
    drop: bool = False


def analyse_audio(task: AudioTask) -> tuple[ArrayF64, ArrayBool]:
    """Return the opening predicted from a clip's audio, (T,), and its voice activity, (T,).

    Audio that was dropped before is read again: with more footage, the decision may change.
    """
    record = read_record(task.folder)
    assert record is not None, task.folder
    speech = Clip(task.folder, record).speech
    if record.audio_dropped:
        speech, _ = readable_speech(task.segment, record.frames)
    return predicted_openings(speech), speech_activity(speech)


def store_audio(task: AudioTask) -> None:
    """Read a clip's audio from the footage again, and store it shifted, or drop it."""
    record = read_record(task.folder)
    assert record is not None, task.folder
    speech = np.zeros(0, np.float32)
    if not task.drop:
        speech, _ = readable_speech(task.segment, record.frames, lag_seconds=task.shift_ms / 1000)
    write_audio(task.folder, record, speech, shift_ms=task.shift_ms, dropped=task.drop)


def synchronise(job: Job, clips: Mapping[str, Clip], head: Head, pool: Workers) -> dict[str, Clip]:
    """Shift or drop the audio of clips so that it fits their frames, and warn of every change."""
    segments = {s.name: s for s in job.segments if s.name in clips}
    with_audio = [n for n, c in clips.items() if c.record.audio_dropped or c.has_speech]
    tasks = [AudioTask(clips[name].folder, segments[name]) for name in with_audio]
    spoken_segments: dict[Path, list[SpokenSegment]] = {}
    for index, (predicted, speaking) in pool.map(analyse_audio, tasks):
        clip, segment = clips[with_audio[index]], segments[with_audio[index]]
        mouth = opening(clip.mouth_shapes(head))
        fps = float(segment.fps)
        spoken = SpokenSegment(mouth, fps, predicted, speaking, segment.start_frame / fps)
        spoken_segments.setdefault(segment.footage.path, []).append(spoken)
    changes = []
    for sync in audio_syncs(spoken_segments):
        names = [name for name in with_audio if segments[name].footage.path in sync.files]
        changes += _changes(job, sync, {name: clips[name] for name in names}, segments)
    for _ in pool.map(store_audio, changes):
        pass
    stored = {name: read_record(clip.folder) for name, clip in clips.items()}
    return {name: Clip(clips[name].folder, record) for name, record in stored.items() if record is not None}


def _changes(
    job: Job, sync: AudioSync, clips: Mapping[str, Clip], segments: Mapping[str, Segment]
) -> list[AudioTask]:
    """Return the changes to the audio of the clips of some files, and warn of them."""
    drop = sync.state in ("unrelated", "drifts")
    lag_ms = round(1000 * sync.lag.seconds) if sync.lag is not None and sync.is_off and not drop else 0
    if drop:
        job.warn(f"{sync.described}; no motion is learnt from it, only the frames are used: {sync.named}")
    elif sync.state == "partly":
        shift = f"; the rest is shifted by {-lag_ms:+d} ms" if lag_ms else ""
        job.warn(f"{sync.described}; no motion is learnt from these parts{shift}")
    elif lag_ms:
        job.warn(f"{sync.described}, shifted by {-lag_ms:+d} ms: {sync.named}")
    elif sync.state == "unmeasured":
        job.warn(f"the sync of audio and mouth could not be measured ({sync.described}): {sync.named}")
    tasks = []
    for name, clip in clips.items():
        write_audio_fits(
            clip.folder,
            _fits(clip, [part for part in sync.unfit if part.path == segments[name].footage.path]),
        )
        shift_ms = 0 if drop else clip.record.audio_shift_ms + lag_ms
        if (shift_ms, drop) != (clip.record.audio_shift_ms, clip.record.audio_dropped):
            tasks.append(AudioTask(clip.folder, segments[name], shift_ms, drop))
    return tasks


def _fits(clip: Clip, unfit: Sequence[Part]) -> ArrayBool:
    """Return the frames (F,) of a clip outside these parts of its file."""
    seconds = (clip.record.start_frame + np.arange(clip.frames) + 0.5) / float(clip.record.fps)
    fits = np.ones(clip.frames, np.bool_)
    for part in unfit:
        fits &= (seconds < part.start_seconds) | (seconds >= part.stop_seconds)
    return fits
