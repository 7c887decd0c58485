"""Audio of tracked clips put in time with their frames, before anything is learnt from it.

By the same rules as the report on footage (`sync`): a constant lag is taken out. Audio that does not belong
to the mouth, or whose clock runs apart, is left out: of such clips the frames alone are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import opening
from newscaster.formats.dataset import Clip, read_record, write_audio, write_audio_fits
from newscaster.prepare.clips import Segment
from newscaster.prepare.heard_mouth import predicted_openings
from newscaster.prepare.job import Job
from newscaster.prepare.lag import SpokenSegment
from newscaster.prepare.pool import Workers
from newscaster.prepare.sync import AudioSync, Part, audio_syncs
from newscaster.prepare.work import readable_speech
from newscaster.speech.activity import speech_activity


@dataclass(frozen=True)
class AudioTask:
    """A tracked clip, and what its audio is to be."""

    folder: Path
    segment: Segment
    shift_ms: int = 0
    drop: bool = False


def hear(task: AudioTask) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """What a clip's audio predicts, (T,), and when there is speech in it, (T,).

    Audio that was left out before is read anew: with more footage it may be judged otherwise.
    """
    record = read_record(task.folder)
    assert record is not None, task.folder
    speech = Clip(task.folder, record).speech
    if record.audio_dropped:
        speech, _ = readable_speech(task.segment, record.frames)
    return predicted_openings(speech), speech_activity(speech)


def apply(task: AudioTask) -> None:
    """Store a clip's audio as it is to be, read anew from the footage."""
    record = read_record(task.folder)
    assert record is not None, task.folder
    speech = np.zeros(0, np.float32)
    if not task.drop:
        speech, _ = readable_speech(task.segment, record.frames, lag_seconds=task.shift_ms / 1000)
    write_audio(task.folder, record, speech, shift_ms=task.shift_ms, dropped=task.drop)


def synchronise(job: Job, clips: Mapping[str, Clip], head: Head, pool: Workers) -> dict[str, Clip]:
    """These clips with audio that goes with their frames, or none. The job warns of what was changed."""
    segments = {s.name: s for s in job.segments if s.name in clips}
    with_audio = [n for n, c in clips.items() if c.record.audio_dropped or c.has_speech]
    tasks = [AudioTask(clips[name].folder, segments[name]) for name in with_audio]
    spoken_segments: dict[Path, list[SpokenSegment]] = {}
    for index, (predicted, speaking) in pool.map(hear, tasks):
        clip, segment = clips[with_audio[index]], segments[with_audio[index]]
        mouth = opening(clip.mouth_shapes(head))
        fps = float(segment.fps)
        spoken = SpokenSegment(mouth, fps, predicted, speaking, segment.start_frame / fps)
        spoken_segments.setdefault(segment.footage.path, []).append(spoken)
    changes = []
    for sync in audio_syncs(spoken_segments):
        some = [name for name in with_audio if segments[name].footage.path in sync.files]
        changes += _changes(job, sync, {name: clips[name] for name in some}, segments)
    for _ in pool.map(apply, changes):
        pass
    stored = {name: read_record(clip.folder) for name, clip in clips.items()}
    return {name: Clip(clips[name].folder, record) for name, record in stored.items() if record is not None}


def _changes(
    job: Job, sync: AudioSync, clips: Mapping[str, Clip], segments: Mapping[str, Segment]
) -> list[AudioTask]:
    """What is to be done to the clips of some files, which is said."""
    drop = sync.state in ("unrelated", "drifts")
    lag_ms = round(1000 * sync.lag.seconds) if sync.lag is not None and sync.is_off and not drop else 0
    if drop:
        job.warn(f"{sync.described}; no motion is learnt from it, frames alone are used: {sync.named}")
    elif sync.state == "partly":
        moved = f"; the rest is moved by {-lag_ms:+d} ms" if lag_ms else ""
        job.warn(f"{sync.described}; no motion is learnt from these parts{moved}")
    elif lag_ms:
        job.warn(f"{sync.described}, moved by {-lag_ms:+d} ms: {sync.named}")
    elif sync.state == "unmeasured":
        job.warn(f"how audio and mouth go together could not be measured ({sync.described}): {sync.named}")
    tasks = []
    for name, clip in clips.items():
        write_audio_fits(
            clip.folder,
            _fits(clip, [part for part in sync.unfit if part.path == segments[name].footage.path]),
        )
        wanted = 0 if drop else clip.record.audio_shift_ms + lag_ms
        if (wanted, drop) != (clip.record.audio_shift_ms, clip.record.audio_dropped):
            tasks.append(AudioTask(clip.folder, segments[name], wanted, drop))
    return tasks


def _fits(clip: Clip, unfit: Sequence[Part]) -> npt.NDArray[np.bool_]:
    """(F,): frames of a clip that lie in none of these parts of its file."""
    seconds = (clip.record.start_frame + np.arange(clip.frames) + 0.5) / float(clip.record.fps)
    fits = np.ones(clip.frames, np.bool_)
    for part in unfit:
        fits &= (seconds < part.start_seconds) | (seconds >= part.stop_seconds)
    return fits
