"""Footage that an anchor has not learnt from, made ready to be the stage of what the anchor says.

Knows how it is tracked, whether it shows the anchor's person, and where head and mouth are in it. What is
made of it is left to `remaking`, what is measured to `comparing`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError
from newscaster.face.head_pose import Poses
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import Clip
from newscaster.media import TargetVideo, encode_target, read_frames
from newscaster.prepare import Progress
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

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MIN_FRAMES = 25
"""Clips that show the face in fewer frames are left out: nothing about motion can be said of them."""
_log = logging.getLogger("newscaster.evaluation")


@dataclass(frozen=True)
class HeldOut:
    """A clip of F frames, and how the anchor's head stands in each."""

    clip: Clip
    """Tracked at the anchor's frame rate."""
    poses: Poses
    """As an anchor's stage has them, smoothed. Frames without a face have those of the nearest that has."""
    transforms: SurfaceWarp
    """Picture to region pixels, of the same poses."""
    shapes: Array
    """(F, 57, 2): the clip's own mouth on these poses, so that put back it lies where it was found; NaN where
    there is no face."""

    @staticmethod
    def of(clip: Clip, anchor: Anchor) -> HeldOut:
        """Where an anchor's head is in a clip that shows its person in at least one frame."""
        head = anchor.face.head
        poses = head.steady_poses(clip.landmarks, clip.present, fps=anchor.fps)
        seen = np.flatnonzero(clip.present)
        nearest = seen[np.abs(np.arange(clip.frames)[:, None] - seen).argmin(axis=1)]
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
    def present(self) -> npt.NDArray[np.bool_]:
        """(F,): the face was found."""
        return self.clip.present

    def images(self, start: int = 0, stop: int | None = None) -> Iterator[Image]:
        """The footage's own frames (H, W, 3), from ``start`` to before ``stop``."""
        record = self.clip.record
        last = self.frames if stop is None else stop
        return read_frames(
            Path(record.source),
            fps=record.fps,
            start_frame=record.start_frame + start,
            stop_frame=record.start_frame + last,
        )

    def target(self, anchor: Anchor) -> Target:
        """The clip as a stage for the anchor, encoded as the stages inside anchors are."""
        seen = np.where(self.present[:, None, None], self.clip.landmarks, 0).astype(np.float32)
        face = replace(
            anchor.face,
            poses=self.poses,
            transforms=self.transforms,
            landmarks=seen,
            blend_weight=None,
            segment=None,
            thumbnails=None,
        )
        video = TargetVideo(encode_target(self.images(), anchor.fps), name=f"the stage of '{self.name}'")
        # A stage that goes round is shown in the order of its frames.
        return Target(video, face, crop=anchor.info.crop, size=self.clip.record.frame_size, loops=True)


def find_held_out(
    anchor: Anchor,
    footage: Iterable[Path | str],
    folder: Path,
    *,
    face: int | None = None,
    person: Floats | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[HeldOut]:
    """Track footage of an anchor's person.

    Args:
        anchor: who is to be seen.
        footage: video files, with sound or without, and folders that are searched for them.
        folder: where the tracks go.
        face: which face is followed if several are seen, from the left; None is the anchor's person.
        person: the anchor's :func:`anchor_descriptor`, if it is at hand.
        workers: how many processes track; None is one for each core, 0 none besides this one.
        progress: called with clips as they are tracked.

    Raises:
        MediaError: a file is missing, damaged or not a video.
        FootageError: no face is found, or somebody else's than the anchor's.
    """
    named = list(footage)
    person = anchor_descriptor(anchor.target) if person is None else person
    clips = track_footage(
        *(named, folder),
        fps=anchor.fps,
        face=face,
        silent=True,
        person=person,
        workers=workers,
        progress=progress,
    )
    found = []
    for clip in clips:
        seen = int(clip.present.sum())
        if seen < MIN_FRAMES:
            _log.warning(
                "left out: the face is seen in %d of %d frames of '%s', and %d are needed",
                *(seen, clip.frames, clip.record.source, MIN_FRAMES),
            )
            continue
        check_person(clip, anchor, person)
        found.append(HeldOut.of(clip, anchor))
    if not found:
        places = ", ".join(f"'{path}'" for path in named)
        raise FootageError(
            f"no face was found in {places} for {MIN_FRAMES} frames or more. Give footage that shows the "
            f"person of '{anchor.name}' talking, from the front"
        )
    return found


def clip_descriptors(clip: Clip) -> Floats:
    """Descriptors (n, 128) of frames spread over a clip; NaN rows if they could not be measured."""
    chosen = spread(np.flatnonzero(clip.present))
    record = clip.record
    frames: list[Image] = []
    for index in chosen:
        first = record.start_frame + int(index)
        frames += read_frames(Path(record.source), fps=record.fps, start_frame=first, stop_frame=first + 1)
    return describe_faces(frames, clip.landmarks[chosen][: len(frames)])


def check_person(clip: Clip, anchor: Anchor, person: Floats) -> None:
    """Raise FootageError unless a clip shows the anchor's person, whose descriptor (128,) is ``person``."""
    descriptors = clip_descriptors(clip)
    measured = int(np.isfinite(descriptors).all(axis=1).sum())
    limit = MAX_MEAN_DISTANCE if measured >= MEAN_FRAMES else MAX_DISTANCE
    distance = float(descriptor_distance(mean_descriptor(descriptors), person))
    if np.isnan(distance):
        what = f"'{clip.record.source}'" if np.isfinite(person).all() else "the anchor's own target video"
        raise FootageError(
            f"whether '{clip.record.source}' shows the person of the anchor '{anchor.name}' could not be "
            f"measured: the face in {what} is too small, blurred or turned away. Give footage that shows the "
            f"face from the front, at least 16 pixels between the outer eye corners"
        )
    if distance > limit:
        raise FootageError(
            f"'{clip.record.source}' seems to show somebody else than the anchor '{anchor.name}': the faces "
            f"are {distance:.2f} apart, and {limit:.2f} is the most for one person. Give footage of the "
            f"anchor's person; if several people are seen, name the right one: face=0 (leftmost), face=1 ..."
        )


def retracked(
    videos: Iterable[Path],
    folder: Path,
    *,
    fps: Fraction,
    face: int | None = None,
    person: Floats | None = None,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[Path, npt.NDArray[np.float32]]:
    """Landmarks (F, 478, 3) found in videos that were made, in pixels; NaN where there is no face.

    Paths are those that were given, relative or not. Videos in which nobody was found are missing.
    """
    named = list(videos)
    by_source: dict[Path, list[Clip]] = {}
    clips = track_footage(
        *(named, folder),
        fps=fps,
        face=face,
        silent=True,
        person=person,
        workers=workers,
        progress=progress,
    )
    for clip in clips:
        by_source.setdefault(Path(clip.record.source), []).append(clip)
    tracked = {video: by_source.get(video.resolve(), []) for video in named}
    return {video: _joined(parts) for video, parts in tracked.items() if parts}


def _joined(parts: Sequence[Clip]) -> npt.NDArray[np.float32]:
    """Landmarks of the clips of one file, each at its place; NaN between them."""
    starts = [clip.record.start_frame for clip in parts]
    frames = max(start + clip.frames for start, clip in zip(starts, parts, strict=True))
    landmarks = np.full((frames, *parts[0].landmarks.shape[1:]), np.nan, np.float32)
    for start, clip in zip(starts, parts, strict=True):
        landmarks[start : start + clip.frames] = clip.landmarks
    return landmarks
