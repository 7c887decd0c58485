"""Which stretches of footage make a stage: one that is long enough, or several that meet.

Knows how to find stretches from which one can cut to others unseen, at moments when head, eyes and picture
are the same in both. What makes a single stretch good is for ``stage``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

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

ImageArray = npt.NDArray[np.uint8]

_LONG_ENOUGH = 0.6
"""Of the longest stage: one stretch of so much is better than many."""
_WORTH_IT = 1.5
"""Several stretches are taken where they come to so many times the best one's length."""
_MIN_SECONDS = 1.2
_MAX_PIECES = 300
_CALM_FRACTION = 0.85
_MAX_LOOKED_AT = 120
"""Stretches whose pictures are decoded."""
_SEEDS = 4


def choose_segments(clips: Sequence[Clip], head: Head, mask: Mask) -> list[TargetSegment]:
    """The stretches of a stage of at most `longest_seconds`: the best one, or several that meet unseen.

    Raises:
        FootageError: no clip shows the face for a second on end.
    """
    best = choose_segment(clips, head, mask)
    wanted = round(longest_seconds(best.clip) * float(best.clip.record.fps))
    if best.frames >= _LONG_ENOUGH * wanted:
        return [best]
    pieces = _pieces(clips, head, mask, like=best.clip)
    if sum(piece.frames for piece in pieces) < _WORTH_IT * best.frames:
        return [best]
    group = _Graph.of(pieces, head, mask).group(wanted)
    if sum(piece.frames for piece in group) < _WORTH_IT * best.frames:
        return [best]
    return group  # whole: what is cut off at an end may be where another stretch was to be joined


def _pieces(clips: Sequence[Clip], head: Head, mask: Mask, *, like: Clip) -> list[TargetSegment]:
    """The longest run of every clip that shows the face and is calm, with nothing before the mouth."""
    poses = [smooth_poses(clip, head) for clip in clips]
    usual, found = usual_angles(clips, poses), []
    for clip, pose in zip(clips, poses, strict=True):
        fps = float(clip.record.fps)
        if (clip.record.frame_size, clip.record.fps) != (like.record.frame_size, like.record.fps):
            continue
        start, stop = max(runs(clip.usable), key=lambda run: run[1] - run[0], default=(0, 0))
        if stop - start < _MIN_SECONDS * fps:
            continue
        part = slice(start, stop)
        off = np.linalg.norm(pose.angles[part] - usual, axis=1)
        found.append(TargetSegment(clip, start, stop, unrest(speed_of(pose, fps)[part], off)))
    if not found:
        return []
    found.sort(key=lambda piece: piece.cost)
    calm = found[: max(2, min(_MAX_PIECES, round(_CALM_FRACTION * len(found))))]
    judged = judge_images(calm, clips, mask)
    judged.sort(key=lambda piece: piece.cost)
    return judged[: max(2, round(_CALM_FRACTION * len(judged)))]


@dataclass(frozen=True)
class _Graph:
    """Stretches, and where their faces meet."""

    pieces: list[TargetSegment]
    similarity: FrameSimilarity
    """Of all pieces, one after another; without pictures."""
    poses: list[Poses]
    meetings: list[tuple[int, int]]
    """Pieces a < b whose faces are alike at some moment."""
    head: Head
    mask: Mask

    @staticmethod
    def of(pieces: list[TargetSegment], head: Head, mask: Mask) -> _Graph:
        """The graph of pieces of footage of one size and rate."""
        poses = [smooth_poses(piece.clip, head)[piece.start : piece.stop] for piece in pieces]
        similarity = FrameSimilarity.of(
            np.concatenate([piece.clip.landmarks[piece.start : piece.stop] for piece in pieces]),
            Poses(np.concatenate([p.matrix for p in poses]), np.concatenate([p.shift for p in poses])),
            head,
            fps=float(pieces[0].clip.record.fps),
            segment=np.repeat(np.arange(len(pieces)), [piece.frames for piece in pieces]),
        )
        return _Graph(pieces, similarity, poses, _meetings(similarity), head, mask)

    def group(self, wanted: int) -> list[TargetSegment]:
        """Pieces of about `wanted` frames together, each of which meets another one of them unseen."""
        neighbours: dict[int, set[int]] = {}
        for a, b in self.meetings:
            neighbours.setdefault(a, set()).add(b)
            neighbours.setdefault(b, set()).add(a)
        window = head_window(
            [piece.clip.landmarks for piece in self.pieces], self.pieces[0].clip.record.frame_size
        )
        images: dict[int, ImageArray] = {}
        found: list[int] = []
        # Those with most neighbours first: what they lead to is the largest.
        for seed in sorted(neighbours, key=lambda i: (-len(neighbours[i]), self.pieces[i].cost))[:_SEEDS]:
            if seed in found:
                continue
            grown = self._connected(self._grow(seed, neighbours, wanted, images, window), images)
            if self._frames(grown) > self._frames(found):
                found = grown
        return [self.pieces[i] for i in found]

    def _frames(self, chosen: Sequence[int]) -> int:
        return sum(self.pieces[i].frames for i in chosen)

    def _grow(
        self,
        seed: int,
        neighbours: dict[int, set[int]],
        wanted: int,
        images: dict[int, ImageArray],
        window: tuple[int, int, int, int],
    ) -> list[int]:
        chosen, tried = [seed], set[tuple[int, int]]()
        while self._frames(chosen) < wanted:
            pairs = [(a, b) for a in chosen for b in neighbours[a] if b not in chosen and (a, b) not in tried]
            room = [p for p in pairs if self._frames(chosen) + self.pieces[p[1]].frames <= 1.1 * wanted]
            if not room:
                break
            a, b = min(room, key=lambda pair: (self.pieces[pair[1]].cost, pair))
            tried.add((a, b))
            for i in (a, b):
                if i not in images and len(images) < _MAX_LOOKED_AT:
                    images[i] = self._look(i, window)
            if a in images and b in images and self._meet(a, b, images):
                chosen.append(b)
        return chosen

    def _look(self, index: int, window: tuple[int, int, int, int]) -> ImageArray:
        """The thumbnails of a piece."""
        piece = self.pieces[index]
        record = piece.clip.record
        first = record.start_frame + piece.start
        frames = read_frames(
            Path(record.source), fps=record.fps, start_frame=first, stop_frame=first + piece.frames
        )
        transforms = piece.clip.transforms[piece.start : piece.stop]
        return np.stack([thumbnail(f, transforms[i], self.mask, window) for i, f in enumerate(frames)])

    def _meet(self, a: int, b: int, images: dict[int, ImageArray]) -> bool:
        """Whether one can cut from one piece to the other, pictures and all."""
        return len(self._connected([a, b], images)) == 2

    def _connected(self, chosen: list[int], images: dict[int, ImageArray]) -> list[int]:
        """Those of some pieces that one comes to from the first, by what is usual for all of them."""
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
        return [i for i, found in zip(chosen, reached, strict=True) if found]


def _meetings(similarity: FrameSimilarity) -> list[tuple[int, int]]:
    """The stretches whose faces are alike at some moment outside blinks."""
    middle = similarity.head.mean(axis=1)
    reach = UNSEEN * similarity.usual[0]
    low = np.array([middle[a:b].min(axis=0) for a, b in similarity.bounds]) - reach
    high = np.array([middle[a:b].max(axis=0) for a, b in similarity.bounds])
    near = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(axis=-1)
    found = []
    for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        one, other = (slice(*similarity.bounds[i]) for i in (a, b))
        change = similarity.changes_of_face(one, other)
        change[similarity.blinks[one]] = np.inf
        change[:, similarity.blinks[other]] = np.inf
        if (change[1:-1, 1:-1] <= UNSEEN).any():  # at the very ends nothing goes on
            found.append((int(a), int(b)))
    return found
