"""The stage: the stretch of footage that mouths will be rewritten on.

Knows what makes a stretch good: the face there all along, a steady head in its usual pose, nothing before the
mouth, a sharp picture, and ends at which the video can turn round unseen. Which several stretches make one
stage is for ``stretches``.
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

Array = npt.NDArray[np.float64]

MAX_SECONDS = 40.0
"""How long a stage is at most; less for large pictures, down to what is usual."""
_USUAL_SECONDS = 12.0
_MAX_PIXELS = 1280 * 720 * 25 * MAX_SECONDS
"""Of all its frames together: at 0.5 to 1 bit each, some 70 MB."""
_LENGTHS_SECONDS = (40.0, 30.0, 20.0, 12.0, 9.0, 6.0, 4.0, 2.5, 1.2)
MIN_TARGET_SECONDS = 1.0
"""The face must be seen for so long without a break."""
_STEP_SECONDS = 0.4
_FINALISTS = 12
"""Stretches whose pictures are looked at, of the best by pose alone."""
_TURN_SECONDS = 0.5
"""How far a stretch is cut to end at a good moment."""
_FRAME_SIDE = 64
_FRAMES = 40

# What costs as much as what. A speed of one outer-eye distance a second is a nod; 10 degrees off the usual
# pose is plainly somebody looking elsewhere; each counts as much as having 3.4 s instead of 12.
_COST_PER_SPEED = 1.0
_COST_PER_DEGREE = 0.1
_COST_OF_SHORTNESS = 0.4
_COST_PER_UNLIKENESS = 2.0
_COST_PER_BLUR = 1.0
_COST_OF_BLINK = 4.0
_COST_OF_HIDDEN = 20.0
"""Of a mouth that is not free all along: a tenth of the time is worse than all that movement costs."""


@dataclass(frozen=True)
class TargetSegment:
    """Frames ``start`` to ``stop`` of a clip; ``cost`` says how ill suited they are."""

    clip: Clip
    start: int
    stop: int
    cost: float

    @property
    def frames(self) -> int:
        return self.stop - self.start


def longest_seconds(clip: Clip) -> float:
    """How long a stage of this footage may be: its file is to be sent around, and to be read again."""
    width, height = clip.record.frame_size
    fps = float(clip.record.fps)
    seconds = _MAX_PIXELS / (width * height * fps)
    return float(np.clip(seconds, _USUAL_SECONDS, min(MAX_SECONDS, MAX_TARGET_FRAMES / fps)))


def choose_segment(clips: Sequence[Clip], head: Head, mask: Mask) -> TargetSegment:
    """The best stretch of at most `longest_seconds` among these clips.

    Raises:
        FootageError: none of them shows the face for a second on end.
    """
    poses = [smooth_poses(clip, head) for clip in clips]
    usual = usual_angles(clips, poses)
    found: list[TargetSegment] = []
    for clip, pose in zip(clips, poses, strict=True):
        found += _candidates(clip, pose, usual)
    if not found:
        raise FootageError(
            f"no clip shows the face for {MIN_TARGET_SECONDS:g} s on end, so that there is nothing to put a "
            f"mouth on. Give footage in which the face is seen all the time, or name such a file as the stage"
        )
    judged = judge_images(_finalists(found), clips, mask)
    winner = min(judged, key=lambda s: s.cost)
    return trim(winner, poses[clips.index(winner.clip)])


def usual_angles(clips: Sequence[Clip], poses: Sequence[Poses]) -> Array:
    """Yaw, pitch and roll that the head usually has, (3,)."""
    angles = np.concatenate([p.angles[clip.present] for p, clip in zip(poses, clips, strict=True)])
    return np.asarray(np.median(angles, axis=0) if len(angles) else np.zeros(3))


def smooth_poses(clip: Clip, head: Head) -> Poses:
    return head.steady_poses(clip.landmarks, clip.present, fps=clip.record.fps)


def speed_of(poses: Poses, fps: float) -> Array:
    """How fast the head moves, (F,): outer-eye distances a second; a turn by 1 radian counts as 1 of them."""
    if len(poses) < 2:
        return np.zeros(len(poses))
    scale = np.nanmedian(poses.scale)
    moved = np.linalg.norm(np.diff(poses.shift, axis=0), axis=1) / scale
    turned = np.radians(np.linalg.norm(np.diff(poses.angles, axis=0), axis=1))
    speed = (moved + turned) * fps
    return np.concatenate([speed[:1], speed])


def unrest(speed: Array, off: Array) -> float:
    """What a stretch's movement costs, of its speeds (F,) and its poses' distances from the usual (F,)."""
    # The first frame's speed is that of the step before it.
    return float(_COST_PER_SPEED * np.nanmean(speed[1:]) + _COST_PER_DEGREE * off.mean())


def _candidates(clip: Clip, poses: Poses, usual: Array) -> list[TargetSegment]:
    fps = float(clip.record.fps)
    speed = speed_of(poses, fps)
    off = np.linalg.norm(poses.angles - usual, axis=1)
    found = []
    longest = longest_seconds(clip)
    for start, stop in runs(clip.present):
        lengths = {round(s * fps) for s in _LENGTHS_SECONDS if s <= longest} | {
            min(stop - start, round(longest * fps))
        }
        for length in (n for n in lengths if MIN_TARGET_SECONDS * fps <= n <= stop - start):
            short = _USUAL_SECONDS * fps / length - 1
            for first in range(start, stop - length + 1, max(1, round(_STEP_SECONDS * fps))):
                part = slice(first, first + length)
                cost = unrest(speed[part], off[part])
                cost += _COST_OF_HIDDEN * float(1 - clip.blend_weight[part].mean())
                found.append(TargetSegment(clip, first, first + length, cost + _COST_OF_SHORTNESS * short))
    return found


def _finalists(segments: Sequence[TargetSegment]) -> list[TargetSegment]:
    """The best, without those that share more than half with a better one."""
    kept: list[TargetSegment] = []
    for one in sorted(segments, key=lambda s: s.cost):
        shared = (
            min(one.stop, other.stop) - max(one.start, other.start)
            for other in kept
            if other.clip is one.clip
        )
        if all(2 * frames <= one.frames for frames in shared):
            kept.append(one)
        if len(kept) == _FINALISTS:
            break
    return kept


def judge_images(segments: Sequence[TargetSegment], clips: Sequence[Clip], mask: Mask) -> list[TargetSegment]:
    """The stretches with what their pictures show added to the cost: something before the mouth, and blur."""
    hidden = np.asarray(Image.fromarray(mask.hidden).resize((_FRAME_SIDE,) * 2)).astype(bool)
    reference = _reference_images(clips)
    usual = np.median(reference, axis=0)
    typical = max(float(np.median(np.abs(reference - usual)[:, hidden].mean(axis=1))), 1.0)
    images = [_images(s.clip, np.linspace(s.start, s.stop - 1, min(_FRAMES, s.frames))) for s in segments]
    unlike = [np.abs(p - usual)[:, hidden].mean(axis=1) for p in images]
    sharp = np.array([float(np.median([_laplacian_variance(q) for q in p])) for p in images])
    judged = []
    for segment, far, detail in zip(segments, unlike, sharp, strict=True):
        # The mouth itself moves; only pictures that are far from it all count: a hand, a microphone, a
        # profile.
        strange = float(np.maximum(far / typical - 1.5, 0).mean())
        blur = max(0.0, float(np.median(sharp)) / max(detail, 1e-6) - 1)
        cost = segment.cost + _COST_PER_UNLIKENESS * strange + _COST_PER_BLUR * blur
        judged.append(TargetSegment(segment.clip, segment.start, segment.stop, cost))
    return judged


def _reference_images(clips: Sequence[Clip]) -> npt.NDArray[np.float32]:
    """Pictures spread over all clips: what the region usually looks like."""
    shown = [clip for clip in clips if clip.present.any()]
    chosen = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, _FRAMES).astype(int))]
    each = -(-_FRAMES // len(chosen))
    found = []
    for clip in chosen:
        frames = np.flatnonzero(clip.present)
        found.append(_images(clip, frames[np.linspace(0, len(frames) - 1, each).astype(int)]))
    return np.concatenate(found)


def _images(clip: Clip, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Small grey pictures (n, 64, 64) of a clip's region."""
    small = []
    for frame in frames.astype(int):
        image = Image.fromarray(clip.crops[frame]).convert("L").resize((_FRAME_SIDE,) * 2)
        small.append(np.asarray(image, np.float32))
    return np.stack(small)


def _laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var())


def trim(segment: TargetSegment, poses: Poses) -> TargetSegment:
    """Cut both ends by up to 0.5 s, to moments when the eyes are open and the head is still.

    The video turns round there: a head that stands still turns round unseen, a blink would run backwards.
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
