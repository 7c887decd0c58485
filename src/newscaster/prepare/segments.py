"""Choice of the segments of a target: one that is long enough, or several with transitions between them.

Finds segments with invisible cuts between them: at a cut, head, eyes and image must be alike on both sides.
``target`` rates single segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.face.crop import Mask
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity, head_window, thumbnail
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head, Poses
from newscaster.face.transitions import find_transitions
from newscaster.formats.dataset import Clip
from newscaster.media import read_frames
from newscaster.prepare.target import (
    TargetSegment,
    choose_segment,
    judge_images,
    longest_seconds,
    smooth_poses,
    speed_of,
    unrest,
    usual_angles,
)
from newscaster.types import ImageU8

_LONG_ENOUGH = 0.6
"""A single segment of this fraction of the maximum target length is preferred to several."""
_WORTH_IT = 1.5
"""Several segments are used if their total length is this multiple of the best one's."""
_MIN_SECONDS = 1.2
_MAX_PIECES = 300
_CALM_FRACTION = 0.85
_MAX_LOOKED_AT = 120
"""Maximum number of segments whose frames are decoded."""
_SEEDS = 4


def choose_segments(clips: Sequence[Clip], head: Head, mask: Mask) -> list[TargetSegment]:
    """Choose the segments of a target of at most `longest_seconds`: the best one, or several with
    transitions.

    Raises:
        FootageError: no clip shows the face for a second without a break.
    """
    best = choose_segment(clips, head, mask)
    max_frames = round(longest_seconds(best.clip) * float(best.clip.record.fps))
    if best.frames >= _LONG_ENOUGH * max_frames:
        return [best]
    pieces = _pieces(clips, head, mask, like=best.clip)
    if sum(piece.frames for piece in pieces) < _WORTH_IT * best.frames:
        return [best]
    group = _Graph.of(pieces, head, mask).group(max_frames)
    if sum(piece.frames for piece in group) < _WORTH_IT * best.frames:
        return [best]
    return group  # not trimmed: the transition to another segment may be at an end


def _pieces(clips: Sequence[Clip], head: Head, mask: Mask, *, like: Clip) -> list[TargetSegment]:
    """Return the longest usable run of every clip, the calmest of them, with an uncovered mouth."""
    poses = [smooth_poses(clip, head) for clip in clips]
    usual, pieces = usual_angles(clips, poses), []
    for clip, pose in zip(clips, poses, strict=True):
        fps = float(clip.record.fps)
        if (clip.record.frame_size, clip.record.fps) != (like.record.frame_size, like.record.fps):
            continue
        start, stop = max(runs(clip.usable), key=lambda run: run[1] - run[0], default=(0, 0))
        if stop - start < _MIN_SECONDS * fps:
            continue
        part = slice(start, stop)
        angle = np.linalg.norm(pose.angles[part] - usual, axis=1)
        pieces.append(TargetSegment(clip, start, stop, unrest(speed_of(pose, fps)[part], angle)))
    if not pieces:
        return []
    pieces.sort(key=lambda piece: piece.cost)
    calm = pieces[: max(2, min(_MAX_PIECES, round(_CALM_FRACTION * len(pieces))))]
    judged = judge_images(calm, clips, mask)
    judged.sort(key=lambda piece: piece.cost)
    return judged[: max(2, round(_CALM_FRACTION * len(judged)))]


@dataclass(frozen=True)
class _Graph:
    """Segments as nodes; edges connect segments with similar faces."""

    pieces: list[TargetSegment]
    similarity: FrameSimilarity
    """Frame similarity of all pieces, one after another; without images."""
    poses: list[Poses]
    meetings: list[tuple[int, int]]
    """Pieces a < b with at least one pair of frames with similar faces."""
    head: Head
    mask: Mask

    @staticmethod
    def of(pieces: list[TargetSegment], head: Head, mask: Mask) -> _Graph:
        """Build the graph of pieces of footage with one frame size and rate."""
        poses = [smooth_poses(piece.clip, head)[piece.start : piece.stop] for piece in pieces]
        similarity = FrameSimilarity.of(
            np.concatenate([piece.clip.landmarks[piece.start : piece.stop] for piece in pieces]),
            Poses(np.concatenate([p.matrix for p in poses]), np.concatenate([p.shift for p in poses])),
            head,
            fps=float(pieces[0].clip.record.fps),
            segment=np.repeat(np.arange(len(pieces)), [piece.frames for piece in pieces]),
        )
        return _Graph(pieces, similarity, poses, _meetings(similarity), head, mask)

    def group(self, max_frames: int) -> list[TargetSegment]:
        """Return pieces with about `max_frames` in total, each with an invisible transition to another."""
        neighbours: dict[int, set[int]] = {}
        for a, b in self.meetings:
            neighbours.setdefault(a, set()).add(b)
            neighbours.setdefault(b, set()).add(a)
        window = head_window(
            [piece.clip.landmarks for piece in self.pieces], self.pieces[0].clip.record.frame_size
        )
        images: dict[int, ImageU8] = {}
        longest: list[int] = []
        # Pieces with most neighbours first: their groups are the largest.
        for seed in sorted(neighbours, key=lambda i: (-len(neighbours[i]), self.pieces[i].cost))[:_SEEDS]:
            if seed in longest:
                continue
            group = self._connected(self._grow(seed, neighbours, max_frames, images, window), images)
            if self._frames(group) > self._frames(longest):
                longest = group
        return [self.pieces[i] for i in longest]

    def _frames(self, chosen: Sequence[int]) -> int:
        return sum(self.pieces[i].frames for i in chosen)

    def _grow(
        self,
        seed: int,
        neighbours: dict[int, set[int]],
        max_frames: int,
        images: dict[int, ImageU8],
        window: tuple[int, int, int, int],
    ) -> list[int]:
        chosen, tried = [seed], set[tuple[int, int]]()
        while self._frames(chosen) < max_frames:
            pairs = [(a, b) for a in chosen for b in neighbours[a] if b not in chosen and (a, b) not in tried]
            fitting = [
                p for p in pairs if self._frames(chosen) + self.pieces[p[1]].frames <= 1.1 * max_frames
            ]
            if not fitting:
                break
            a, b = min(fitting, key=lambda pair: (self.pieces[pair[1]].cost, pair))
            tried.add((a, b))
            for i in (a, b):
                if i not in images and len(images) < _MAX_LOOKED_AT:
                    images[i] = self._thumbnails(i, window)
            if a in images and b in images and self._meet(a, b, images):
                chosen.append(b)
        return chosen

    def _thumbnails(self, index: int, window: tuple[int, int, int, int]) -> ImageU8:
        """Decode a piece, and return the thumbnails of its frames."""
        piece = self.pieces[index]
        record = piece.clip.record
        first = record.start_frame + piece.start
        frames = read_frames(
            Path(record.source), fps=record.fps, start_frame=first, stop_frame=first + piece.frames
        )
        transforms = piece.clip.transforms[piece.start : piece.stop]
        return np.stack([thumbnail(f, transforms[i], self.mask, window) for i, f in enumerate(frames)])

    def _meet(self, a: int, b: int, images: dict[int, ImageU8]) -> bool:
        """Return whether there is a transition from one piece to the other, images included."""
        return len(self._connected([a, b], images)) == 2

    def _connected(self, chosen: list[int], images: dict[int, ImageU8]) -> list[int]:
        """Return the pieces that transitions reach from the first one, scaled by all of these pieces."""
        if len(chosen) == 1:
            return chosen
        part = np.concatenate([np.arange(*self.similarity.bounds[i]) for i in chosen])
        together = FrameSimilarity(
            self.similarity.head[part],
            self.similarity.eyes[part],
            self.similarity.blinks[part],
            np.repeat(np.arange(len(chosen)), [self.pieces[i].frames for i in chosen]),
            self.similarity.fps,
            np.concatenate([images[i] for i in chosen]),
        )
        transitions = find_transitions(together)
        source, target = together.segment[transitions.source], together.segment[transitions.target]
        reached = np.arange(len(chosen)) == 0
        for _ in chosen:
            reached[target[reached[source]]] = True
        return [i for i, is_reached in zip(chosen, reached, strict=True) if is_reached]


def _meetings(similarity: FrameSimilarity) -> list[tuple[int, int]]:
    """Return pairs of segments with similar faces in at least one pair of frames outside blinks."""
    middle = similarity.head.mean(axis=1)
    reach = UNSEEN * similarity.usual[0]
    low = np.array([middle[a:b].min(axis=0) for a, b in similarity.bounds]) - reach
    high = np.array([middle[a:b].max(axis=0) for a, b in similarity.bounds])
    near = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(axis=-1)
    pairs = []
    for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        first, second = (slice(*similarity.bounds[i]) for i in (a, b))
        change = similarity.changes_of_face(first, second)
        change[similarity.blinks[first]] = np.inf
        change[:, similarity.blinks[second]] = np.inf
        if (change[1:-1, 1:-1] <= UNSEEN).any():  # nothing follows the outermost frames
            pairs.append((int(a), int(b)))
    return pairs
