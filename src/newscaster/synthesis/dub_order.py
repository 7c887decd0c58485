"""Which frame of a given video each frame of a dubbed one shows, and which of them keep their mouths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.face.geometry import runs
from newscaster.synthesis.dub_options import Extend, KeptFrames
from newscaster.synthesis.video_target import VideoTarget
from newscaster.types import ArrayF64, ArrayI64

_MIN_LOOP_SECONDS = 1.0


def extended_order(targets: Sequence[VideoTarget], total: int, extend: Extend) -> ArrayI64:
    """Return which frame of a video each frame of the result shows, (total,).

    Args:
        targets: the video, once for each person in it.
        total: frames of the result; those beyond the video are repeated ones.
        extend: see :class:`DubOptions`.
    """
    frames = np.arange(len(targets[0]), dtype=np.int64)
    if total <= len(frames):
        return frames[:total]
    if extend == "freeze":
        repeated = frames[-1:]
    elif extend == "loop":
        repeated = frames
    else:
        repeated = frames[_best_return(targets) :]
    more = itertools.islice(itertools.cycle(repeated.tolist()), total - len(frames))
    return np.concatenate([frames, np.fromiter(more, np.int64)])


def _best_return(targets: Sequence[VideoTarget]) -> int:
    """Return the frame of the last shot that follows best on the last frame of the video.

    All people of the last frame are in it, and the one who changes most changes least.
    """
    track = targets[0].track
    start, stop = track.shots[-1]
    shortest = round(_MIN_LOOP_SECONDS * track.fps)
    seen = [target for target in targets if target.track.present[-1]]
    if not seen:
        return start
    present = np.all([target.track.present[start:stop] for target in seen], axis=0)
    candidates = np.flatnonzero(present[: max(0, stop - start - shortest)])
    if not len(candidates):
        return start
    changes = np.stack([_changes(target, candidates) for target in seen]).max(axis=0)
    return start + int(candidates[int(np.argmin(changes))])


def _changes(target: VideoTarget, candidates: ArrayI64) -> ArrayF64:
    """Return the change from the last frame to frames of the last shot, (c,)."""
    start, stop = target.track.shots[-1]
    landmarks = np.nan_to_num(target.track.landmarks[start:stop])
    poses = target.poses[np.arange(start, stop)]
    similarity = FrameSimilarity.of(landmarks, poses, target.face.head, fps=float(target.track.fps))
    return np.asarray(similarity.change(np.full(len(candidates), stop - start - 1), candidates))


def kept_frames(reasons: Sequence[npt.NDArray[np.str_]], order: ArrayI64) -> tuple[KeptFrames, ...]:
    """Return the runs of frames of a result in which no mouth is rewritten, and why.

    Args:
        reasons: of each person, see :meth:`VideoTarget.reasons`.
        order: frames of the video, (F,).
    """
    by_person = np.stack([of_person[order] for of_person in reasons])
    kept = (by_person != "").all(axis=0)
    joined = np.where(kept, [_joined(column) for column in by_person.T.tolist()], "")
    frames = []
    for reason in sorted(set(joined.tolist()) - {""}):
        frames += [KeptFrames(start=a, stop=b, reason=reason) for a, b in runs(joined == reason)]
    return tuple(sorted(frames, key=lambda run: run.start))


def _joined(reasons: Sequence[str]) -> str:
    """Join the different reasons of several people, in their order."""
    return "; ".join(dict.fromkeys(reasons))
