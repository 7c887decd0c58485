"""Held-out footage, prepared as the target video of an anchor.

Tracks the footage, checks that it shows the anchor's person, and finds head and mouth. `reconstruction`
renders videos from it; `metrics` measures them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.face.head_pose import Poses
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import Clip
from newscaster.media import TargetVideo, encode_target, read_frames
from newscaster.prepare.tracks import track_footage
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.identity import anchor_descriptor, spread
from newscaster.synthesis.target import Target
from newscaster.tracking.descriptor import (
    MAX_DISTANCE,
    MAX_MEAN_DISTANCE,
    MEAN_FRAMES,
    describe_faces,
    descriptor_distance,
    mean_descriptor,
)
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ImageU8, Progress

MIN_FRAMES = 25
"""Clips that show the face in fewer frames are skipped: they are too short to measure motion."""

_log = logging.getLogger("newscaster.evaluation")


@dataclass(frozen=True)
class HeldOut:
    """A clip of F frames with the pose of the anchor's head in each."""

    clip: Clip
    """Tracked at the anchor's frame rate."""
    poses: Poses
    """Smoothed, as in an anchor's target. A frame without a face has the pose of the nearest with one."""
    transforms: SurfaceWarp
    """Frame pixels to crop pixels, for the same poses."""
    shapes: ArrayF64
    """(F, 57, 2): the clip's own mouth on these poses; projected back, it lies at its detected place. NaN in
    frames without a face."""

    @staticmethod
    def of(clip: Clip, anchor: Anchor) -> HeldOut:
        """Fit an anchor's head to a clip that shows its person in at least one frame."""
        head = anchor.face.head
        poses = head.steady_poses(clip.landmarks, clip.present, fps=anchor.fps)
        present = np.flatnonzero(clip.present)
        nearest = present[np.abs(np.arange(clip.frames)[:, None] - present).argmin(axis=1)]
        mouths = clip.landmarks[:, list(MOUTH), :2].astype(np.float64)
        shapes = poses.unproject(mouths, head.points[list(MOUTH), 2])
        filled = poses[nearest]
        return HeldOut(clip, filled, anchor.info.crop.transforms(head, filled), shapes)

    def __repr__(self) -> str:
        return f"HeldOut({self.name!r}, {self.frames} frames)"

    @property
    def name(self) -> str:
        return self.clip.name

    @property
    def frames(self) -> int:
        """Number of frames, ``F``."""
        return self.clip.frames

    @property
    def present(self) -> ArrayBool:
        """(F,): the face was found."""
        return self.clip.present

    def images(self, start: int = 0, stop: int | None = None) -> Iterator[ImageU8]:
        """Yield the footage's own frames (H, W, 3), from ``start`` to before ``stop``."""
        record = self.clip.record
        stop = self.frames if stop is None else stop
        return read_frames(
            Path(record.source),
            fps=record.fps,
            start_frame=record.start_frame + start,
            stop_frame=record.start_frame + stop,
        )

    def target(self, anchor: Anchor) -> Target:
        """Return the clip as a target for the anchor, encoded as target videos inside anchors are."""
        landmarks = np.where(self.present[:, None, None], self.clip.landmarks, 0).astype(np.float32)
        face = replace(
            anchor.face,
            poses=self.poses,
            transforms=self.transforms,
            landmarks=landmarks,
            blend_weight=None,
            segment=None,
            thumbnails=None,
        )
        video = TargetVideo(encode_target(self.images(), anchor.fps), name=f"the target of '{self.name}'")
        # A target that loops is shown in the order of its frames.
        return Target(video, face, crop=anchor.info.crop, size=self.clip.record.frame_size, loops=True)


def find_held_out(
    anchor: Anchor,
    footage: Iterable[Path | str],
    folder: Path,
    *,
    face: int | None = None,
    person: ArrayF32 | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[HeldOut]:
    """Track footage of an anchor's person.

    Args:
        anchor: the anchor whose person the footage shows.
        footage: video files, with or without audio, and folders that are searched for them.
        folder: folder for the tracks.
        face: number of the face from the left if there are several; None selects the anchor's person.
        person: the anchor's :func:`anchor_descriptor`, if it is known.
        workers: number of tracking processes; None: one per core; 0: only this process.
        progress: called with clips as they are tracked.

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: no face is found, or the face is not the anchor's person.
    """
    paths = list(footage)
    person = anchor_descriptor(anchor.target) if person is None else person
    clips = track_footage(
        *(paths, folder),
        fps=anchor.fps,
        face=face,
        silent=True,
        person=person,
        workers=workers,
        progress=progress,
    )
    held_out = []
    for clip in clips:
        with_face = int(clip.present.sum())
        if with_face < MIN_FRAMES:
            _log.warning(
                "skipped: %d of %d frames of '%s' show the face; at least %d are needed",
                *(with_face, clip.frames, clip.record.source, MIN_FRAMES),
            )
            continue
        check_person(clip, anchor, person)
        held_out.append(HeldOut.of(clip, anchor))
    if not held_out:
        files = ", ".join(f"'{path}'" for path in paths)
        raise FootageError(
            f"no face was found in {files} for {MIN_FRAMES} frames or more. Give footage that shows the "
            f"person of '{anchor.name}' talking, from the front"
        )
    return held_out


def clip_descriptors(clip: Clip) -> ArrayF32:
    """Return descriptors (n, 128) of frames spread over a clip; rows that cannot be measured are NaN."""
    chosen = spread(np.flatnonzero(clip.present))
    record = clip.record
    frames: list[ImageU8] = []
    for index in chosen:
        first = record.start_frame + int(index)
        frames += read_frames(Path(record.source), fps=record.fps, start_frame=first, stop_frame=first + 1)
    return describe_faces(frames, clip.landmarks[chosen][: len(frames)])


def check_person(clip: Clip, anchor: Anchor, person: ArrayF32) -> None:
    """Raise FootageError unless a clip shows the anchor's person, with descriptor ``person`` (128,)."""
    descriptors = clip_descriptors(clip)
    measured = int(np.isfinite(descriptors).all(axis=1).sum())
    limit = MAX_MEAN_DISTANCE if measured >= MEAN_FRAMES else MAX_DISTANCE
    distance = float(descriptor_distance(mean_descriptor(descriptors), person))
    if np.isnan(distance):
        video = f"'{clip.record.source}'" if np.isfinite(person).all() else "the anchor's own target video"
        raise FootageError(
            f"cannot tell whether '{clip.record.source}' shows the person of the anchor '{anchor.name}': the "
            f"face in {video} is too small, blurred or turned away. Give footage that shows the face from "
            f"the front, with at least 16 pixels between the outer eye corners"
        )
    if distance > limit:
        raise FootageError(
            f"'{clip.record.source}' does not seem to show the person of the anchor '{anchor.name}': the "
            f"faces are {distance:.2f} apart; at most {limit:.2f} is accepted. Give footage of the anchor's "
            f"person; if it shows several people, select one: face=0 (leftmost), face=1 ..."
        )


def retracked(
    videos: Iterable[Path],
    folder: Path,
    *,
    fps: Fraction,
    face: int | None = None,
    person: ArrayF32 | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[Path, ArrayF32]:
    """Return landmarks (F, 478, 3) of reconstructed videos, in pixels; NaN in frames without a face.

    Keys are the paths as passed, relative or absolute. Videos without any face have no key.
    """
    paths = list(videos)
    by_source: dict[Path, list[Clip]] = {}
    clips = track_footage(
        *(paths, folder),
        fps=fps,
        face=face,
        silent=True,
        person=person,
        workers=workers,
        progress=progress,
    )
    for clip in clips:
        by_source.setdefault(Path(clip.record.source), []).append(clip)
    tracked = {path: by_source.get(path.resolve(), []) for path in paths}
    return {path: _joined(parts) for path, parts in tracked.items() if parts}


def _joined(parts: Sequence[Clip]) -> ArrayF32:
    """Return the landmarks of all clips of one file, each at its start frame; NaN between them."""
    starts = [clip.record.start_frame for clip in parts]
    frames = max(start + clip.frames for start, clip in zip(starts, parts, strict=True))
    landmarks = np.full((frames, *parts[0].landmarks.shape[1:]), np.nan, np.float32)
    for start, clip in zip(starts, parts, strict=True):
        landmarks[start : start + clip.frames] = clip.landmarks
    return landmarks
