"""Footage to take: the whole preparation, clip by clip, so that it can be killed and resumed.

::

    footage ──► look ─────► track ──────────────► head, region ─► crops ──► mask, stage ──► take
                who is there  landmarks and sound
                (per file)    (per clip)          (once)          (per clip)  (once)

Leaves what is done with one file or clip to ``work``, and the files on disk to
``newscaster.formats.dataset``.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError, MediaError
from newscaster.face.crop import FaceCrop, Mask, lower_face_mask
from newscaster.face.frame_similarity import head_window, thumbnail
from newscaster.face.geometry import eye_distance
from newscaster.face.head_pose import SMOOTHING_SECONDS, Head, Poses
from newscaster.face.surface_warp import Surface
from newscaster.formats.dataset import (
    Clip,
    Dataset,
    DatasetWriter,
    Target,
    TargetPart,
    read_record,
    write_blend_weights,
)
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
from newscaster.prepare.pool import Workers, worker_pool
from newscaster.prepare.progress import Progress
from newscaster.prepare.segments import choose_segments
from newscaster.prepare.synchronise import synchronise
from newscaster.prepare.target import TargetSegment
from newscaster.prepare.track_clips import track_clips
from newscaster.prepare.work import (
    CropTask,
    cut_crops,
)

_log = logging.getLogger("newscaster.prepare")

_MIN_CLIP_SECONDS = 0.5
CLIPS_NAMED = 3
_MAX_FIT_FRAMES = 4000
_FAR_FROM_SHAPE = 0.35
"""Region share: a mouth point that is further than this from where it usually is was not found rightly."""


def prepare(
    footage: Path | str | Iterable[Path | str],
    folder: Path | str,
    *,
    fps: Fraction | float | None = None,
    face: int | None = None,
    target: Path | str | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Dataset:
    """Prepare footage of one person talking.

    Clips without sound are kept for their pictures; a warning of the take names them.

    Args:
        footage: video files, and folders that are searched for them.
        folder: where the take goes. One that a preparation was interrupted on, or that more footage has been
            found for, is carried on with: clips that are finished and whose files have not changed are kept.
        fps: frames per second of the take; None takes the footage's own, of 25, 29.97 and 30.
        face: which person to follow if several are seen: 0 is the leftmost; None is who speaks most.
        target: the file to take the stage from, which need not be among the footage; None chooses.
        workers: how many processes work at once; None is one for each core.
        progress: called as work gets done.

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: nobody can be learnt from it: no face, too short, ``face`` not there.
        OutputError: the folder cannot be written, or another preparation is writing to it.
    """
    files, left_out = find_footage(footage)
    _check_length(sum(file.seconds for file in files), files)
    rate = choose_fps([file.fps for file in files]) if fps is None else _as_rate(fps)
    training = cut(files, rate)
    staging = training if target is None else _target_segments(Path(target), training, rate)
    job = Job(rate, face, training, staging, progress or (lambda _: None))
    with DatasetWriter(Path(folder)) as writer:
        for text in left_out:
            job.warn(text)
        job.warn_all(gap_notes({s.footage.path: s.footage for s in job.segments}.values()))
        with worker_pool(workers, tasks=len(job.segments)) as pool:
            clips = track_clips(job, writer, pool)
            used = _usable(job, clips)
            _tell_of_scan(job, {clip.record.source for clip in used}, pool)
            writer.begin()
            head, crop = _fit(used)
            clips |= synchronise(job, {clip.name: clip for clip in used}, head, pool)
            used = [clips[clip.name] for clip in used]
            _report_audio(job, used, head)
            mask = _crop(job, clips, head, crop, pool)
            _tell_of_hidden(job, clips, head, mask, pool)
        writer.write_face(head, mask)
        segments = choose_segments([clips[s.name] for s in job.staging if s.name in clips], head, mask)
        made = _write_target(job, writer, segments, head, crop, mask)
        names = [clip.name for clip in used]
        return writer.finish(fps=rate, crop=crop, clips=names, target=made, warnings=job.warnings)


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
            f"are good. Give more footage of the same person"
        )


def _target_segments(path: Path, training: Sequence[Segment], fps: Fraction) -> list[Segment]:
    file = read_footage(path)
    same = [segment for segment in training if segment.footage.path == file.path]
    return same or cut([file], fps, taken=(segment.name for segment in training))


def _usable(job: Job, clips: dict[str, Clip]) -> list[Clip]:
    """The training clips that show the face; FootageError unless they amount to something."""
    used, frames = [], 0
    files = list({s.footage.path: s.footage for s in job.training}.values())
    for segment in job.training:
        clip = clips.get(segment.name)
        if clip is None:
            continue
        seen = int(clip.present.sum())
        if seen < _MIN_CLIP_SECONDS * job.fps:
            job.warn(
                f"left out: the face is seen for {float(seen / job.fps):.1f} s only in '{clip.record.source}'"
            )
            continue
        used.append(clip)
        frames += seen
    if not used and len(job.faults) >= len(files):
        raise MediaError(job.faults[0])
    if not used:
        raise FootageError(
            f"no face was found in any of {len(files)} files (the first: '{files[0].path}'). Give footage "
            f"that shows one person's face from the front, at least a tenth of the picture high and well lit"
        )
    seconds = float(frames / job.fps)
    if seconds < MIN_SECONDS:
        _check_length(seconds, [c for c in files if c.seconds] or files, what="with the person's face")
    return used


def _report_audio(job: Job, clips: Sequence[Clip], head: Head) -> None:
    """Warn of clips that have frames only, or whose audio is not what the mouth says."""
    uses = [clip.audio_use(head) for clip in clips]
    for use, what, purpose in (
        ("no sound", "no sound", "used for the renderer only"),
        ("no speech", "no speech under a mouth that moves", "used for the renderer only"),
        ("silence", "no speech", "used for the renderer and the mouth at rest only"),
    ):
        some = [clip for clip, of_clip in zip(clips, uses, strict=True) if of_clip == use]
        if some:
            names = ", ".join(f"'{clip.name}'" for clip in some[:CLIPS_NAMED])
            more = f" and {len(some) - CLIPS_NAMED} more" if len(some) > CLIPS_NAMED else ""
            job.warn(f"{what} in {len(some)} of {len(clips)} clips, {purpose}: {names}{more}")


def _tell_of_scan(job: Job, sources: Collection[str], pool: Workers) -> None:
    """Say which files were found to be interlaced, or not to be, against their marks."""
    files = [Path(source) for source in sorted(sources)]
    found = {files[index]: scan for index, scan in pool.map(measured_scan, files)}
    for note in scan_notes(found):
        job.warn(note)


def _fit(clips: Sequence[Clip]) -> tuple[Head, FaceCrop]:
    """The person's head, and the region for the size of the face."""
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
    """Cut every clip's regions. Returns the mask that covers the training clips' mouths."""
    fingerprint = _fingerprint(head, crop)
    tasks = [CropTask(clip.folder, head, crop, fingerprint) for clip in clips.values()]
    names, done = list(clips), 0
    total = sum(clip.frames for clip in clips.values())
    mouths: dict[str, npt.NDArray[np.float32]] = {}
    for index, (frames, points) in pool.map(cut_crops, tasks):
        mouths[names[index]] = points
        done += frames
        job.report(Progress("crop", done, total))
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
    """Tells whether crops were made with this head and region: neither mask nor stage changes them."""
    digest = hashlib.sha256(head.points.astype(np.float32).tobytes())
    digest.update(repr((*crop.to_json().values(), SMOOTHING_SECONDS)).encode())
    return digest.hexdigest()[:16]


def _tell_of_hidden(job: Job, clips: dict[str, Clip], head: Head, mask: Mask, pool: Workers) -> None:
    """Store for every clip how much of a new mouth its frames may take, and warn if that is little.

    Raises:
        FootageError: the training clips show the mouth free for less than is needed.
    """
    names, small = list(clips), dict[str, npt.NDArray[np.uint8]]()
    for index, images in pool.map(small_components, list(clips.values())):
        small[names[index]] = images
    covered = _find_covered(job, clips, pool)
    training = [s.name for s in job.training if s.name in clips]
    _check_free([clips[n] for n in training], head, [covered[n] for n in training])
    every = [clips[n] for n in names]
    found = blend_weights(every, [small[n] for n in names], head, mask, [covered[n] for n in names])
    for name, blend_weight in zip(names, found, strict=True):
        write_blend_weights(clips[name].folder, blend_weight)
        clips[name] = Clip(clips[name].folder, clips[name].record)
    hidden = {n: int((clips[n].present & ~clips[n].usable).sum()) for n in names}
    frames = sum(int(clips[n].present.sum()) for n in names)
    worst = sorted((n for n in names if hidden[n]), key=lambda n: -hidden[n])
    if worst:
        shown = ", ".join(f"'{name}'" for name in worst[:CLIPS_NAMED])
        more = f" and {len(worst) - CLIPS_NAMED} more" if len(worst) > CLIPS_NAMED else ""
        job.warn(
            f"the mouth is turned away, cut off or hidden in {sum(hidden.values())} of {frames} frames, "
            f"which are left out of the renderer's training: {shown}{more}"
        )


def _check_free(clips: Sequence[Clip], head: Head, covered: Sequence[npt.NDArray[np.bool_]]) -> None:
    """Raise FootageError if the mouth is seen too little, by the rule of the report on footage."""
    poses = [head.poses(clip.landmarks, clip.present)[clip.present] for clip in clips]
    angles = np.concatenate([pose.angles for pose in poses])
    free_seconds, free, seen = 0.0, 0, len(angles)
    for clip, pose, hidden in zip(clips, poses, covered, strict=True):
        shown = shows_mouth(clip.landmarks[clip.present], pose, angles, clip.record.frame_size)
        count = int((shown & ~hidden[clip.present]).sum())
        free += count
        free_seconds += float(count / clip.record.fps)
    if leaves_too_little(1 - free / max(seen, 1), free_seconds):
        raise FootageError(
            f"the mouth is turned away, cut off or hidden in {seen - free} of {seen} frames, and "
            f"{free_seconds:.1f} s show it free; at least {MIN_FREE_SECONDS:g} s are needed. Give footage "
            f"that shows the face from the front and whole"
        )


def _find_covered(job: Job, clips: dict[str, Clip], pool: Workers) -> dict[str, npt.NDArray[np.bool_]]:
    """Frames (F,) of every clip in which something is before the mouth; a warning if there are any.

    Raises:
        FootageError: the training clips show the mouth free for less than is needed.
    """
    names, covered = list(clips), dict[str, npt.NDArray[np.bool_]]()
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
            f"something is before the mouth in {count} of {frames} frames ({times}), and {free_seconds:.1f} "
            f"s show it free; at least {MIN_FREE_SECONDS:g} s are needed. Give footage without hands, "
            f"microphones, masks and captions over the mouth"
        )
    total = sum(int(flags.sum()) for flags in covered.values())
    job.warn(f"something is before the mouth in {total} frames, which nothing is learnt from: {times}")
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
    thumbnails: list[npt.NDArray[np.uint8]] = []

    def even_frames() -> Iterable[npt.NDArray[np.uint8]]:
        for frame in itertools.chain.from_iterable(map(_frames_of, segments)):
            even = np.ascontiguousarray(frame[:height, :width])
            thumbnails.append(thumbnail(even, transforms[len(thumbnails)], mask, window))
            job.report(Progress("stage", len(thumbnails), len(landmarks)))
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


def _frames_of(segment: TargetSegment) -> Iterator[npt.NDArray[np.uint8]]:
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
            f"{kept} of {target.frames} frames of the stage keep the footage's own mouth, which is turned "
            f"away, cut off or hidden in them; in silence it may be seen to talk there"
        )
