"""The target: the segment of footage on which mouths will be rewritten.

Rates segments. A good one always shows the face, a steady head in its usual pose, an uncovered mouth and
sharp frames. At its ends, playback can reverse unnoticed. ``segments`` combines several segments into one
target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.errors import FootageError
from newscaster.face.crop import Mask
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head, Poses
from newscaster.face.measures import eyes_open
from newscaster.formats.dataset import Clip
from newscaster.safety.readers import MAX_TARGET_FRAMES
from newscaster.types import ArrayF32, ArrayF64

MAX_SECONDS = 40.0
"""Maximum length of a target; less for large frames, but at least the usual length."""
_USUAL_SECONDS = 12.0
_MAX_PIXELS = 1280 * 720 * 25 * MAX_SECONDS
"""Maximum number of pixels of all frames: at 0.5 to 1 bit each, about 70 MB."""
_LENGTHS_SECONDS = (40.0, 30.0, 20.0, 12.0, 9.0, 6.0, 4.0, 2.5, 1.2)
MIN_TARGET_SECONDS = 1.0
"""The face must be visible for this long without a break."""
_STEP_SECONDS = 0.4
_FINALISTS = 12
"""Number of segments, the best by pose, whose frames are judged."""
_TURN_SECONDS = 0.5
"""Maximum length cut from each end of a segment to end at a good frame."""
_FRAME_SIDE = 64
_FRAMES = 40

# Relative costs. A speed of one IOD per second is a nod. At 10 degrees off the usual pose, a person visibly
# looks elsewhere. Each costs as much as a length of 3.4 s instead of 12.
_COST_PER_SPEED = 1.0
_COST_PER_DEGREE = 0.1
_COST_OF_SHORTNESS = 0.4
_COST_PER_UNLIKENESS = 2.0
_COST_PER_BLUR = 1.0
_COST_OF_BLINK = 4.0
_COST_OF_HIDDEN = 20.0
"""Cost of a mouth that is not always free: for a tenth of the time, it exceeds any cost of movement."""


@dataclass(frozen=True)
class TargetSegment:
    """Frames ``start`` to ``stop`` of a clip; a lower ``cost`` is better."""

    clip: Clip
    start: int
    stop: int
    cost: float

    @property
    def frames(self) -> int:
        return self.stop - self.start


def longest_seconds(clip: Clip) -> float:
    """Return the maximum length of a target of this footage in seconds, which bounds its file size."""
    width, height = clip.record.frame_size
    fps = float(clip.record.fps)
    seconds = _MAX_PIXELS / (width * height * fps)
    return float(np.clip(seconds, _USUAL_SECONDS, min(MAX_SECONDS, MAX_TARGET_FRAMES / fps)))


def choose_segment(clips: Sequence[Clip], head: Head, mask: Mask) -> TargetSegment:
    """Return the best segment of at most `longest_seconds` among these clips.

    Raises:
        FootageError: none of them shows the face for a second without a break.
    """
    poses = [smooth_poses(clip, head) for clip in clips]
    usual = usual_angles(clips, poses)
    candidates: list[TargetSegment] = []
    for clip, pose in zip(clips, poses, strict=True):
        candidates += _candidates(clip, pose, usual)
    if not candidates:
        raise FootageError(
            f"no clip shows the face for {MIN_TARGET_SECONDS:g} s without a break, which a target needs. "
            f"Give footage in which the face is always visible, or name such a file as the target"
        )
    judged = judge_images(_finalists(candidates), clips, mask)
    winner = min(judged, key=lambda s: s.cost)
    return trim(winner, poses[clips.index(winner.clip)])


def usual_angles(clips: Sequence[Clip], poses: Sequence[Poses]) -> ArrayF64:
    """Return the median yaw, pitch and roll of the head, (3,)."""
    angles = np.concatenate([p.angles[clip.present] for p, clip in zip(poses, clips, strict=True)])
    return np.asarray(np.median(angles, axis=0) if len(angles) else np.zeros(3))


def smooth_poses(clip: Clip, head: Head) -> Poses:
    return head.steady_poses(clip.landmarks, clip.present, fps=clip.record.fps)


def speed_of(poses: Poses, fps: float) -> ArrayF64:
    """Return the speed of the head, (F,), in IOD per second; a rotation of 1 radian counts as 1 IOD."""
    if len(poses) < 2:
        return np.zeros(len(poses))
    scale = np.nanmedian(poses.scale)
    moved = np.linalg.norm(np.diff(poses.shift, axis=0), axis=1) / scale
    turned = np.radians(np.linalg.norm(np.diff(poses.angles, axis=0), axis=1))
    speed = (moved + turned) * fps
    return np.concatenate([speed[:1], speed])


def unrest(speed: ArrayF64, angle: ArrayF64) -> float:
    """Return the cost of a segment's movement, from speeds (F,) and angles to the usual pose (F,)."""
    # The first frame's speed belongs to the step before it.
    return float(_COST_PER_SPEED * np.nanmean(speed[1:]) + _COST_PER_DEGREE * angle.mean())


def _candidates(clip: Clip, poses: Poses, usual: ArrayF64) -> list[TargetSegment]:
    fps = float(clip.record.fps)
    speed = speed_of(poses, fps)
    angle = np.linalg.norm(poses.angles - usual, axis=1)
    candidates = []
    longest = longest_seconds(clip)
    for start, stop in runs(clip.present):
        lengths = {round(s * fps) for s in _LENGTHS_SECONDS if s <= longest} | {
            min(stop - start, round(longest * fps))
        }
        for length in (n for n in lengths if MIN_TARGET_SECONDS * fps <= n <= stop - start):
            short = _USUAL_SECONDS * fps / length - 1
            for first in range(start, stop - length + 1, max(1, round(_STEP_SECONDS * fps))):
                part = slice(first, first + length)
                cost = unrest(speed[part], angle[part])
                cost += _COST_OF_HIDDEN * float(1 - clip.blend_weight[part].mean())
                cost += _COST_OF_SHORTNESS * short
                candidates.append(TargetSegment(clip, first, first + length, cost))
    return candidates


def _finalists(segments: Sequence[TargetSegment]) -> list[TargetSegment]:
    """Return the best segments, without those that overlap a better one by more than half."""
    kept: list[TargetSegment] = []
    for segment in sorted(segments, key=lambda s: s.cost):
        overlaps = (
            min(segment.stop, better.stop) - max(segment.start, better.start)
            for better in kept
            if better.clip is segment.clip
        )
        if all(2 * frames <= segment.frames for frames in overlaps):
            kept.append(segment)
        if len(kept) == _FINALISTS:
            break
    return kept


def judge_images(segments: Sequence[TargetSegment], clips: Sequence[Clip], mask: Mask) -> list[TargetSegment]:
    """Add the cost of occluders and of blur in the frames to that of the segments."""
    hidden = np.asarray(Image.fromarray(mask.hidden).resize((_FRAME_SIDE,) * 2)).astype(bool)
    reference = _reference_images(clips)
    usual = np.median(reference, axis=0)
    typical = max(float(np.median(np.abs(reference - usual)[:, hidden].mean(axis=1))), 1.0)
    images = [_images(s.clip, np.linspace(s.start, s.stop - 1, min(_FRAMES, s.frames))) for s in segments]
    differences = [np.abs(p - usual)[:, hidden].mean(axis=1) for p in images]
    details = np.array([float(np.median([_laplacian_variance(q) for q in p])) for p in images])
    judged = []
    for segment, difference, detail in zip(segments, differences, details, strict=True):
        # The mouth itself moves. Only much larger differences count: a hand, a microphone, a profile.
        unlikeness = float(np.maximum(difference / typical - 1.5, 0).mean())
        blur = max(0.0, float(np.median(details)) / max(detail, 1e-6) - 1)
        cost = segment.cost + _COST_PER_UNLIKENESS * unlikeness + _COST_PER_BLUR * blur
        judged.append(TargetSegment(segment.clip, segment.start, segment.stop, cost))
    return judged


def _reference_images(clips: Sequence[Clip]) -> ArrayF32:
    """Return small images of the crop, spread over all clips, as a reference."""
    with_face = [clip for clip in clips if clip.present.any()]
    chosen = [with_face[i] for i in np.unique(np.linspace(0, len(with_face) - 1, _FRAMES).astype(int))]
    each = -(-_FRAMES // len(chosen))
    images = []
    for clip in chosen:
        frames = np.flatnonzero(clip.present)
        images.append(_images(clip, frames[np.linspace(0, len(frames) - 1, each).astype(int)]))
    return np.concatenate(images)


def _images(clip: Clip, frames: npt.NDArray[Any]) -> ArrayF32:
    """Return small grey images (n, 64, 64) of a clip's crops."""
    small = []
    for frame in frames.astype(int):
        image = Image.fromarray(clip.crops[frame]).convert("L").resize((_FRAME_SIDE,) * 2)
        small.append(np.asarray(image, np.float32))
    return np.stack(small)


def _laplacian_variance(grey: ArrayF32) -> float:
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var())


def trim(segment: TargetSegment, poses: Poses) -> TargetSegment:
    """Cut both ends by up to 0.5 s, to frames with open eyes and a still head.

    Playback reverses there. With a still head, this is invisible; a blink would run backwards.
    """
    fps = float(segment.clip.record.fps)
    room = min(round(_TURN_SECONDS * fps), segment.frames // 8)
    if room < 1:
        return segment
    part = slice(segment.start, segment.stop)
    opened = eyes_open(segment.clip.landmarks[part])
    closed = np.maximum(1 - opened / max(float(np.median(opened)), 1e-6), 0)
    cost = speed_of(poses[part], fps) + _COST_OF_BLINK * closed
    start = int(np.argmin(cost[: room + 1]))
    stop = len(cost) - int(np.argmin(cost[::-1][: room + 1]))
    return TargetSegment(segment.clip, segment.start + start, segment.start + stop, segment.cost)
