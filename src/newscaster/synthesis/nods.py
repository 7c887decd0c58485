"""The order of a target whose nods meet stressed syllables.

A target that loops may have nods at known frames. Between two of them, frames are repeated or skipped where
the head hardly moves, one at a time, so that the next nod is at its lowest when a syllable is stressed. A
nod that no stress is near stays where the loop has it. Stresses are known before the first frame, so live
speech, which has bounded look-ahead, plays the plain loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from newscaster.face.frame_similarity import FrameSimilarity
from newscaster.formats.anchor import AnchorFace
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.types import ArrayBool, ArrayF64, ArrayI64

_APART_SECONDS = 0.2
"""Time between two frames that are repeated or skipped: the head is at most a fifth faster or slower."""
_NOD_SECONDS = 0.3
"""Time before the lowest point of a nod, and after it, in which nothing is changed."""
_CALM_STEPS = 1.5
"""Largest step of calm head and eyes, in usual steps: one frame less is no visible cut
(`frame_similarity.UNSEEN`)."""
_MIN_HEAD_IOD, _MIN_EYES_IOD = 0.004, 0.008
"""Steps of a calm head and of calm eyes, however still they are otherwise; see `FrameSimilarity`."""


def calm_frames(similarity: FrameSimilarity) -> ArrayBool:
    """Return the frames (F,) of a loop that can be repeated or skipped unseen.

    Neither the head nor the eyes move by much more than usual before or after them, and they do not blink.
    """
    calm = ~similarity.blinks
    for points, least in ((similarity.head, _MIN_HEAD_IOD), (similarity.eyes, _MIN_EYES_IOD)):
        step = np.linalg.norm(points - np.roll(points, 1, axis=0), axis=-1).max(axis=1)
        small = step <= max(least, _CALM_STEPS * float(np.median(step)))
        calm = calm & small & np.roll(small, -1)
    return np.asarray(calm)


@dataclass(frozen=True)
class NodOrder:
    """Orders of a looping target of F frames whose nods meet stresses."""

    nods: ArrayI64
    """(n,) frames at which a nod is at its lowest, rising."""
    calm: ArrayBool
    """(F,), see :func:`calm_frames`."""
    fps: float

    @staticmethod
    def of(face: AnchorFace, info: AnchorInfo) -> NodOrder:
        """Return the orders of an anchor's own target."""
        fps = float(info.fps)
        similarity = FrameSimilarity.of(face.landmarks, face.poses, face.head, fps=fps)
        return NodOrder(np.array(info.nods, np.int64), calm_frames(similarity), fps)

    def frames(self, stresses: ArrayF64, *, start: int = 0) -> Iterator[int]:
        """Yield frame numbers without end.

        Args:
            stresses: times of stressed syllables in seconds, rising.
            start: the first frame.
        """
        total, shown, frame = len(self.calm), 0, start
        nods = self.nods if len(self.nods) else np.array([total - 1])
        reachable = stresses if len(self.nods) else np.zeros(0)
        at = np.round(reachable * self.fps).astype(np.int64)
        while True:
            ahead = int(((nods - frame) % total).min())
            places = self._places(frame, ahead)
            shift = _shift(at, shown + ahead, len(places))
            changed = set(_spread(places, abs(shift)))
            for offset in range(ahead + 1):
                times = 1 + (offset in changed) * (1 if shift > 0 else -1)
                for _ in range(times):
                    yield (frame + offset) % total
            shown += ahead + 1 + shift
            frame = (frame + ahead + 1) % total

    def _places(self, frame: int, ahead: int) -> list[int]:
        """Return the offsets from a frame, before the nod, at which one frame may be changed."""
        margin, apart = (max(1, round(seconds * self.fps)) for seconds in (_NOD_SECONDS, _APART_SECONDS))
        places: list[int] = []
        for offset in range(margin, ahead - margin):
            if self.calm[(frame + offset) % len(self.calm)] and (not places or offset - places[-1] >= apart):
                places.append(offset)
        return places


def _shift(stresses: ArrayI64, nod: int, reach: int) -> int:
    """Return by how many frames a nod is delayed to meet the nearest stress; 0 if none is within reach."""
    if not len(stresses):
        return 0
    shifts = stresses - nod
    nearest = int(shifts[np.abs(shifts).argmin()])
    return nearest if abs(nearest) <= reach else 0


def _spread(places: list[int], count: int) -> list[int]:
    """Return so many of the places, spread evenly."""
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]
