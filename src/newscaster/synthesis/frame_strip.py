"""Frames of a dubbed video for its report: each before and after, taken while the video is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from newscaster.media import YuvFrame
from newscaster.prepare.people import box_of
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.dub_options import KeptFrames
from newscaster.types import ArrayI64

SPREAD_FRAMES = 8
"""Number of frames at evenly spread times."""
MAX_RUNS = 10
"""Kept runs whose edges are shown; of more, the longest."""
_SHOWN_FACES = 1.5
"""Side of the part that is shown of each face, in sides of its box."""
_SIDE_PX, _GAP_PX = 240, 6


@dataclass(frozen=True)
class FramePair:
    """One frame of the result."""

    number: int
    original: Image.Image
    """The faces side by side, from the first person's, or the whole frame without a face."""
    result: Image.Image
    """The same parts after, before encoding."""


class FrameStrip:
    """Takes frames from a video while it is dubbed.

    Args:
        tracks: of the people whose mouths are rewritten.
        order: frame of the video that each frame of the result shows, (F,).
        kept: frames of the result that keep their mouths.
    """

    def __init__(self, tracks: Sequence[VideoTrack], order: ArrayI64, kept: Sequence[KeptFrames]) -> None:
        self.numbers = shown_frames(len(order), kept)
        self._boxes = {number: _boxes(tracks, int(order[number])) for number in self.numbers}
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
                parts[number] = _part(image, self._boxes[number])
            yield image


def shown_frames(total: int, kept: Sequence[KeptFrames]) -> list[int]:
    """Return the numbers of the frames to show: evenly spread, and at both sides of each kept run's edges."""
    numbers = set(np.linspace(0, total - 1, min(SPREAD_FRAMES, total)).round().astype(int).tolist())
    for run in sorted(kept, key=lambda run: run.start - run.stop)[:MAX_RUNS]:
        numbers |= {run.start - 1, run.start, run.stop - 1, run.stop}
    return sorted(number for number in numbers if 0 <= number < total)


def _boxes(tracks: Sequence[VideoTrack], index: int) -> list[tuple[int, int, int, int]]:
    """Return a square around each tracked face of a frame; its edges may be beyond those of the frame."""
    boxes = []
    for track in tracks:
        if not track.present[index]:
            continue
        left, top, right, bottom = box_of(track.landmarks[index])
        half = _SHOWN_FACES * max(right - left, bottom - top) / 2
        x, y = (left + right) / 2, (top + bottom) / 2
        boxes.append((round(x - half), round(y - half), round(x + half), round(y + half)))
    return boxes


def _part(image: YuvFrame, boxes: Sequence[tuple[int, int, int, int]]) -> Image.Image:
    """Return squares of a frame side by side; without any, the whole frame."""
    frame = Image.fromarray(image.rgb())
    if not boxes:
        frame.thumbnail((2 * _SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
        return frame
    width = len(boxes) * (_SIDE_PX + _GAP_PX) - _GAP_PX
    row = Image.new("RGB", (width, _SIDE_PX), (128, 128, 128))
    for number, box in enumerate(boxes):
        face = frame.crop(box).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
        row.paste(face, (number * (_SIDE_PX + _GAP_PX), 0))
    return row
