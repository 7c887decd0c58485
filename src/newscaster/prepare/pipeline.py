"""Footage to prepared dataset: the whole preparation, clip by clip, so that it can be killed and resumed.

::

    footage ──► look ─────► track ──────────────► head, crop ──► crops ────► mask, target ──► dataset
                people        landmarks, audio
                (per file)    (per clip)          (once)         (per clip)  (once)

``work`` processes single files and clips; ``newscaster.formats.dataset_writer`` writes the files.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError, MediaError
from newscaster.face.crop import FaceCrop, Mask, lower_face_mask
from newscaster.face.frame_similarity import head_window, thumbnail
from newscaster.face.geometry import eye_distance
from newscaster.face.head_pose import SMOOTHING_SECONDS, Head, Poses
from newscaster.face.surface_warp import Surface
from newscaster.formats.dataset import Clip, Dataset, Target, TargetPart, read_record
from newscaster.formats.dataset_writer import DatasetWriter, write_blend_weights
from newscaster.media import encode_target, measured_scan, read_frames
from newscaster.prepare.clips import (
    MIN_SECONDS,
    Footage,
    Segment,
    choose_fps,
    cut,
    find_footage,
    gap_notes,
    read_footage,
    scan_notes,
)
from newscaster.prepare.job import Job
from newscaster.prepare.mouth_occlusion import (
    MIN_FREE_SECONDS,
    covered_frames,
    describe_times,
    leaves_too_little,
    measure_face_crops,
)
from newscaster.prepare.occlusion import blend_weights, shows_mouth, small_components
from newscaster.prepare.people import FACE_ADVICE
from newscaster.prepare.pool import Workers, worker_pool
from newscaster.prepare.segments import choose_segments
from newscaster.prepare.synchronise import synchronise
from newscaster.prepare.target import TargetSegment
from newscaster.prepare.track_clips import track_clips
from newscaster.prepare.work import (
    CropTask,
    cut_crops,
)
from newscaster.types import ArrayBool, ArrayF32, ImageU8, Progress

_log = logging.getLogger("newscaster.prepare")

_MIN_CLIP_SECONDS = 0.5
CLIPS_NAMED = 3
_MAX_FIT_FRAMES = 4000
_FAR_FROM_SHAPE = 0.35
"""Maximum distance of a mouth point from its median, as a fraction of the crop's side; others are errors."""


def prepare(
    footage: Path | str | Iterable[Path | str],
    folder: Path | str,
    *,
    fps: Fraction | float | None = None,
    face: int | None = None,
    target: Path | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Prepare footage of one person talking.

    Clips without audio are kept for their frames; a warning of the dataset names them.

    Args:
        footage: video files, and folders that are searched for them.
        folder: folder for the dataset. An interrupted preparation is resumed, also with more footage:
            finished clips whose files have not changed are kept.
        fps: frames per second of the dataset; None uses the footage's own: 25, 29.97 or 30.
        face: number of the person to follow if there are several; 0 is the leftmost; None selects the person
            who speaks most.
        target: file to choose the target from, which need not be part of the footage; None uses the footage.
        workers: number of worker processes; None: one per core.
        progress: called in the phases "look" (long files only), "track", "crop" and "target", in this order.
            Counts files in "look", otherwise frames; the total is approximate: it comes from file headers.

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: the footage cannot be used: no face, too short, or no face with the number ``face``.
        OutputError: the folder cannot be written, or another preparation is writing to it.
    """
    files, skipped = find_footage(footage)
    _check_length(sum(file.seconds for file in files), files)
    rate = choose_fps([file.fps for file in files]) if fps is None else _as_rate(fps)
    training = cut(files, rate)
    candidates = training if target is None else _target_segments(Path(target), training, rate)
    job = Job(rate, face, training, candidates, progress or (lambda phase, done, total: None))
    with DatasetWriter(Path(folder)) as writer:
        job.warn_all(skipped)
        job.warn_all(gap_notes({s.footage.path: s.footage for s in job.segments}.values()))
        with worker_pool(workers, tasks=len(job.segments)) as pool:
            clips = track_clips(job, writer, pool)
            used = _usable(job, clips)
            _warn_of_scan(job, {clip.record.source for clip in used}, pool)
            writer.begin()
            head, crop = _fit(used)
            clips |= synchronise(job, {clip.name: clip for clip in used}, head, pool)
            used = [clips[clip.name] for clip in used]
            _report_audio(job, used, head)
            mask = _crop(job, clips, head, crop, pool)
            _store_blend_weights(job, clips, head, mask, pool)
        writer.write_face(head, mask)
        available = [clips[s.name] for s in job.target_candidates if s.name in clips]
        segments = choose_segments(available, head, mask)
        written = _write_target(job, writer, segments, head, crop, mask)
        names = [clip.name for clip in used]
        return writer.finish(fps=rate, crop=crop, clips=names, target=written, warnings=job.warnings)


def _as_rate(fps: Fraction | float) -> Fraction:
    rate = Fraction(fps).limit_denominator(1001)
    if not 10 <= rate <= 120:
        raise FootageError(f"fps is {fps}; accepted are 10 to 120 frames per second. 25 suits most footage")
    return rate


def _check_length(seconds: float, files: Sequence[Footage], *, what: str = "of video") -> None:
    unknown = any(file.video.duration_seconds is None for file in files)
    if seconds < MIN_SECONDS and not unknown:
        raise FootageError(
            f"there are {seconds:.1f} s {what} in {len(files)} file{'s' if len(files) != 1 else ''} "
            f"(the first: '{files[0].path}'); at least {MIN_SECONDS:g} s are needed, and 3 to 10 minutes "
            f"are recommended. Give more footage of the same person"
        )


def _target_segments(path: Path, training: Sequence[Segment], fps: Fraction) -> list[Segment]:
    file = read_footage(path)
    of_file = [segment for segment in training if segment.footage.path == file.path]
    return of_file or cut([file], fps, taken=(segment.name for segment in training))


def _usable(job: Job, clips: dict[str, Clip]) -> list[Clip]:
    """Return the training clips that show the face; raise FootageError if they are too short."""
    used, frames = [], 0
    files = list({s.footage.path: s.footage for s in job.training}.values())
    for segment in job.training:
        clip = clips.get(segment.name)
        if clip is None:
            continue
        with_face = int(clip.present.sum())
        if with_face < _MIN_CLIP_SECONDS * job.fps:
            job.warn(
                f"skipped: '{clip.record.source}' shows the face for only {float(with_face / job.fps):.1f} s"
            )
            continue
        used.append(clip)
        frames += with_face
    if not used and len(job.faults) >= len(files):
        raise MediaError(job.faults[0])
    if not used:
        raise FootageError(
            f"no face was found in any of {len(files)} files (the first: '{files[0].path}'). {FACE_ADVICE}"
        )
    seconds = float(frames / job.fps)
    if seconds < MIN_SECONDS:
        _check_length(seconds, [c for c in files if c.seconds] or files, what="with the person's face")
    return used


def _report_audio(job: Job, clips: Sequence[Clip], head: Head) -> None:
    """Warn of clips without audio, and of clips without speech."""
    uses = [clip.audio_use(head) for clip in clips]
    for use, reason, purpose in (
        ("no sound", "no audio", "used for the renderer only"),
        ("no speech", "no speech under a moving mouth", "used for the renderer only"),
        ("silence", "no speech", "used for the renderer and the mouth at rest only"),
    ):
        affected = [clip for clip, of_clip in zip(clips, uses, strict=True) if of_clip == use]
        if affected:
            names = ", ".join(f"'{clip.name}'" for clip in affected[:CLIPS_NAMED])
            more = f" and {len(affected) - CLIPS_NAMED} more" if len(affected) > CLIPS_NAMED else ""
            job.warn(f"{reason} in {len(affected)} of {len(clips)} clips, {purpose}: {names}{more}")


def _warn_of_scan(job: Job, sources: Collection[str], pool: Workers) -> None:
    """Warn of files that are interlaced, or progressive, against their marks."""
    files = [Path(source) for source in sorted(sources)]
    job.warn_all(scan_notes({files[index]: scan for index, scan in pool.map(measured_scan, files)}))


def _fit(clips: Sequence[Clip]) -> tuple[Head, FaceCrop]:
    """Fit the person's head, and choose the crop for the size of the face."""
    total = sum(int(clip.present.sum()) for clip in clips)
    stride = -(-total // _MAX_FIT_FRAMES)
    kept, offset = [], 0
    for clip in clips:
        frames = np.flatnonzero(clip.present)
        kept.append(clip.landmarks[frames[(-offset) % stride :: stride]])
        offset += len(frames)
    landmarks = np.concatenate(kept)
    head, crop = Head.fit(landmarks), FaceCrop.for_face(float(np.median(eye_distance(landmarks))))
    return head, replace(crop, surface=Surface.where_turned(head, head.poses(landmarks)))


def _crop(job: Job, clips: dict[str, Clip], head: Head, crop: FaceCrop, pool: Workers) -> Mask:
    """Cut every clip's crops, and return the mask that covers the training clips' mouths."""
    fingerprint = _fingerprint(head, crop)
    tasks = [CropTask(clip.folder, head, crop, fingerprint) for clip in clips.values()]
    names, done = list(clips), 0
    total = sum(clip.frames for clip in clips.values())
    mouths: dict[str, ArrayF32] = {}
    for index, (frames, points) in pool.map(cut_crops, tasks):
        mouths[names[index]] = points
        done += frames
        job.report("crop", done, total)
    points = np.concatenate([mouths[s.name] for s in job.training if s.name in mouths])
    far = np.abs(points - np.median(points, axis=0)).max(axis=(1, 2)) > _FAR_FROM_SHAPE * crop.side
    points = points[~far][:: -(-len(points) // _MAX_FIT_FRAMES)]
    for name in names:
        stored = read_record(clips[name].folder)
        assert stored is not None, name
        assert stored.cropped_with == fingerprint, name
        clips[name] = Clip(clips[name].folder, stored)
    return lower_face_mask(points, crop)


def _fingerprint(head: Head, crop: FaceCrop) -> str:
    """Return a hash of head and crop, which determine the crops; mask and target do not change them."""
    digest = hashlib.sha256(head.points.astype(np.float32).tobytes())
    digest.update(repr((*crop.to_json().values(), SMOOTHING_SECONDS)).encode())
    return digest.hexdigest()[:16]


def _store_blend_weights(job: Job, clips: dict[str, Clip], head: Head, mask: Mask, pool: Workers) -> None:
    """Store the blend weights of every clip, and warn of frames whose mouth cannot be rewritten.

    Raises:
        FootageError: the training clips show the mouth uncovered for too short a time.
    """
    names, small = list(clips), dict[str, ImageU8]()
    for index, images in pool.map(small_components, list(clips.values())):
        small[names[index]] = images
    covered = _find_covered(job, clips, pool)
    training = [s.name for s in job.training if s.name in clips]
    _check_free([clips[n] for n in training], head, [covered[n] for n in training])
    every = [clips[n] for n in names]
    weights = blend_weights(every, [small[n] for n in names], head, mask, [covered[n] for n in names])
    for name, blend_weight in zip(names, weights, strict=True):
        write_blend_weights(clips[name].folder, blend_weight)
        clips[name] = Clip(clips[name].folder, clips[name].record)
    hidden = {n: int((clips[n].present & ~clips[n].usable).sum()) for n in names}
    frames = sum(int(clips[n].present.sum()) for n in names)
    worst = sorted((n for n in names if hidden[n]), key=lambda n: -hidden[n])
    if worst:
        shown = ", ".join(f"'{name}'" for name in worst[:CLIPS_NAMED])
        more = f" and {len(worst) - CLIPS_NAMED} more" if len(worst) > CLIPS_NAMED else ""
        job.warn(
            f"the mouth is turned away, cut off or covered in {sum(hidden.values())} of {frames} frames, "
            f"which the renderer's training skips: {shown}{more}"
        )


def _check_free(clips: Sequence[Clip], head: Head, covered: Sequence[ArrayBool]) -> None:
    """Raise FootageError if the mouth is visible too little, by the rule of the report on footage."""
    poses = [head.poses(clip.landmarks, clip.present)[clip.present] for clip in clips]
    angles = np.concatenate([pose.angles for pose in poses])
    free_seconds, free, frames = 0.0, 0, len(angles)
    for clip, pose, hidden in zip(clips, poses, covered, strict=True):
        shown = shows_mouth(clip.landmarks[clip.present], pose, angles, clip.record.frame_size)
        count = int((shown & ~hidden[clip.present]).sum())
        free += count
        free_seconds += float(count / clip.record.fps)
    if leaves_too_little(1 - free / max(frames, 1), free_seconds):
        raise FootageError(
            f"the mouth is turned away, cut off or covered in {frames - free} of {frames} frames, and fully "
            f"visible for {free_seconds:.1f} s; at least {MIN_FREE_SECONDS:g} s are needed. Give footage "
            f"that shows the whole face from the front"
        )


def _find_covered(job: Job, clips: dict[str, Clip], pool: Workers) -> dict[str, ArrayBool]:
    """Find the frames (F,) of every clip with a covered mouth, and warn of them.

    Raises:
        FootageError: the training clips show the mouth uncovered for too short a time.
    """
    names, covered = list(clips), dict[str, ArrayBool]()
    for index, measured in pool.map(measure_face_crops, list(clips.values())):
        clip = clips[names[index]]
        covered[names[index]] = covered_frames(measured, clip.present, float(clip.record.fps))
    training = [s.name for s in job.training if s.name in clips]
    frames = sum(int(clips[n].present.sum()) for n in training)
    count = sum(int(covered[n].sum()) for n in training)
    if not any(flags.any() for flags in covered.values()):
        return covered
    times = describe_times(
        [
            (Path(c.record.source).name, covered[n], c.record.start_frame, float(c.record.fps))
            for n, c in clips.items()
        ]
    )
    free_seconds = float((frames - count) / job.fps)
    if leaves_too_little(count / max(frames, 1), free_seconds):
        raise FootageError(
            f"something covers the mouth in {count} of {frames} frames ({times}), and {free_seconds:.1f} s "
            f"show it uncovered; at least {MIN_FREE_SECONDS:g} s are needed. Give footage without hands, "
            f"microphones, masks and captions over the mouth"
        )
    total = sum(int(flags.sum()) for flags in covered.values())
    job.warn(f"something covers the mouth in {total} frames, which are not used for training: {times}")
    return covered


def _write_target(
    job: Job, writer: DatasetWriter, segments: Sequence[TargetSegment], head: Head, crop: FaceCrop, mask: Mask
) -> Target:
    poses = [
        head.steady_poses(s.clip.landmarks, s.clip.present, fps=s.clip.record.fps)[s.start : s.stop]
        for s in segments
    ]
    together = Poses(np.concatenate([p.matrix for p in poses]), np.concatenate([p.shift for p in poses]))
    landmarks = np.concatenate([s.clip.landmarks[s.start : s.stop] for s in segments])
    transforms = crop.transforms(head, together)
    record = segments[0].clip.record
    width, height = (side - side % 2 for side in record.frame_size)  # H.264 wants even sides
    window = head_window([landmarks], (width, height))
    thumbnails: list[ImageU8] = []

    def even_frames() -> Iterable[ImageU8]:
        for frame in itertools.chain.from_iterable(map(_frames_of, segments)):
            even = np.ascontiguousarray(frame[:height, :width])
            thumbnails.append(thumbnail(even, transforms[len(thumbnails)], mask, window))
            job.report("target", len(thumbnails), len(landmarks))
            yield even

    video = encode_target(even_frames(), record.fps)
    parts = tuple(
        TargetPart(s.clip.record.source, s.clip.record.start_frame + s.start, s.frames) for s in segments
    )
    target = Target(
        video=writer.folder / "stage.mp4",
        source=parts[0].source,
        start_frame=parts[0].start_frame,
        size=(width, height),
        landmarks=landmarks,
        poses=together,
        transforms=transforms,
        parts=parts,
        blend_weight=np.concatenate([s.clip.blend_weight[s.start : s.stop] for s in segments]),
        thumbnails=np.stack(thumbnails),
    )
    _report_target(job, target)
    writer.write_target(video, target)
    return target


def _frames_of(segment: TargetSegment) -> Iterator[ImageU8]:
    record = segment.clip.record
    first = record.start_frame + segment.start
    return read_frames(
        Path(record.source), fps=record.fps, start_frame=first, stop_frame=first + segment.frames
    )


def _report_target(job: Job, target: Target) -> None:
    assert target.blend_weight is not None
    kept = int((target.blend_weight < 1).sum())
    if kept:
        job.warn(
            f"{kept} of {target.frames} frames of the target keep the footage's own mouth, because it is "
            f"turned away, cut off or covered there; it may move during silence"
        )
