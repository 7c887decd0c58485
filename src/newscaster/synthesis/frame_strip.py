"""Frames of a dubbed video for its report: each before and after, taken while the video is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from newscaster.media import YuvFrame
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.dub_options import KeptFrames
from newscaster.types import ArrayI64

SPREAD_FRAMES = 8
"""Number of frames at evenly spread times."""
MAX_RUNS = 10
"""Kept runs whose edges are shown; of more, the longest."""
_MARGIN = 0.5
"""Around the faces, in heights of their box."""
_SIDE_PX = 260


@dataclass(frozen=True)
class FramePair:
    """One frame of the result."""

    number: int
    original: Image.Image
    """The faces and their surroundings, or the whole frame without a face."""
    result: Image.Image
    """The same part after, before encoding."""


class FrameStrip:
    """Takes frames from a video while it is dubbed.

    Args:
        tracks: of the people whose mouths are rewritten.
        order: frame of the video that each frame of the result shows, (F,).
        kept: frames of the result that keep their mouths.
    """

    def __init__(self, tracks: Sequence[VideoTrack], order: ArrayI64, kept: Sequence[KeptFrames]) -> None:
        self.numbers = shown_frames(len(order), kept)
        self._boxes = {number: _box(tracks, int(order[number])) for number in self.numbers}
        self._originals: dict[int, Image.Image] = {}
        self._results: dict[int, Image.Image] = {}

    def before(self, images: Iterable[YuvFrame]) -> Iterator[YuvFrame]:
        """Pass the decoded frames on."""
        return self._taken(images, self._originals)

    def after(self, images: Iterable[YuvFrame]) -> Iterator[YuvFrame]:
        """Pass the finished frames on."""
        return self._taken(images, self._results)

    def pairs(self) -> list[FramePair]:
        """Return the frames taken, in order."""
        return [
            FramePair(number, self._originals[number], self._results[number])
            for number in self.numbers
            if number in self._originals and number in self._results
        ]

    def _taken(self, images: Iterable[YuvFrame], parts: dict[int, Image.Image]) -> Iterator[YuvFrame]:
        for number, image in enumerate(images):
            if number in self._boxes:
                part = Image.fromarray(image.rgb()).crop(self._boxes[number] or (0, 0, *image.size))
                part.thumbnail((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
                parts[number] = part
            yield image


def shown_frames(total: int, kept: Sequence[KeptFrames]) -> list[int]:
    """Return the numbers of the frames to show: evenly spread, and at both sides of each kept run's edges."""
    numbers = set(np.linspace(0, total - 1, min(SPREAD_FRAMES, total)).round().astype(int).tolist())
    for run in sorted(kept, key=lambda run: run.start - run.stop)[:MAX_RUNS]:
        numbers |= {run.start - 1, run.start, run.stop - 1, run.stop}
    return sorted(number for number in numbers if 0 <= number < total)


def _box(tracks: Sequence[VideoTrack], index: int) -> tuple[int, int, int, int] | None:
    """Return the part of a frame with all tracked faces; None if there is none."""
    faces = [track.landmarks[index, :, :2] for track in tracks if track.present[index]]
    if not faces:
        return None
    points = np.concatenate(faces)
    margin = _MARGIN * max(float(np.ptp(face[:, 1])) for face in faces)
    limits = np.array(tracks[0].size)
    left, top = np.clip(points.min(axis=0) - margin, 0, limits - 2).astype(int).tolist()
    right, bottom = np.clip(points.max(axis=0) + margin, (left + 2, top + 2), limits).astype(int).tolist()
    return left, top, right, bottom
