"""The name strap of a video: its place in the lower third, away from mouth and label, and its fades.

`media.strap` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from newscaster.errors import InputError
from newscaster.face.topology import MOUTH
from newscaster.media import Cue, YuvFrame
from newscaster.media.strap import SCALES, Strap
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.texts import check_unicode, quoted
from newscaster.types import ArrayFloat

START_SECONDS, STOP_SECONDS, FADE_SECONDS = 0.5, 7.0, 0.4
"""Start of the fade-in, end of the fade-out, and length of each."""
_SAFE = 0.05
"""Margin of graphics, in sides of the frame: EBU R 95."""
_GRID = 8
"""Places are multiples of it, so that chroma fits in every layout."""
_AROUND_MOUTH = 0.15
"""Free room around the mouth, in its widths."""

_Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class PlacedStrap:
    """A name strap, its position, and the frames in which it is seen."""

    strap: Strap
    corner: tuple[int, int]
    """Left and upper edge in pixels."""
    frame_height: int
    fps: Fraction
    stop_seconds: float = STOP_SECONDS
    """End of the fade-out."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels."""
        (left, top), (width, height) = self.corner, self.strap.size
        return left, top, left + width, top + height

    def opacity(self, number: int) -> float:
        """Return the opacity in frame `number` of the video, 0 to 1."""
        seconds = number / self.fps
        faded = min(seconds - START_SECONDS, self.stop_seconds - seconds) / FADE_SECONDS
        return float(min(1.0, max(0.0, faded)))

    def free_cues(self, cues: Sequence[Cue]) -> list[Cue]:
        """Return captions of which those that are shown together with the strap are at the other edge."""
        if self.corner[1] < self.frame_height // 2:
            return list(cues)  # captions are at the bottom
        start, stop = START_SECONDS * 1000, self.stop_seconds * 1000
        return [
            replace(cue, at_top=True) if cue.start_ms < stop and cue.stop_ms > start else cue for cue in cues
        ]

    def ending(self, frames: int) -> PlacedStrap:
        """Return the strap of a video of so many frames: it has faded out when the video ends."""
        return replace(self, stop_seconds=min(self.stop_seconds, float(frames / self.fps)))

    def put_on(self, image: YuvFrame, number: int) -> None:
        """Draw the strap on frame `number`, in place."""
        self.strap.put_on(image, self.corner, opacity=self.opacity(number))


def check_strap(title: str | None, subtitle: str | None) -> None:
    """Check the texts of a name strap.

    Raises:
        InputError: a text is not valid UTF-8, the title is empty, or there is a subtitle without a title.
    """
    if title is not None and not title.strip():
        raise InputError("the title of the name strap is empty; give a text, or omit the title")
    check_unicode(title or "", "the title")
    check_unicode(subtitle or "", "the subtitle")
    if subtitle and not title:
        raise InputError("a subtitle is given without a title; add the title, or omit the subtitle")


def place_strap(
    title: str,
    subtitle: str,
    landmarks: ArrayFloat,
    *,
    size: tuple[int, int],
    fps: Fraction,
    label: PlacedLabel | None = None,
) -> PlacedStrap:
    """Return a name strap in the lower left, beside the label; if the mouth is there, at the top.

    Letters are reduced to 60 % at most, first to leave the chin free, then the mouth, before it moves to the
    top.

    Args:
        title: one line.
        subtitle: one line; empty: none.
        landmarks: (F, 478, 2 or more) pixels, of all frames of the target.
        size: width and height of the frames.
        fps: frames per second.
        label: the visible label of the same frames.

    Raises:
        InputError: a text cannot be drawn or is too long, or there is no room for the strap.
    """
    straps = [Strap(title, subtitle, size=size, scale=scale) for scale in SCALES]
    mouth = _mouth_box(landmarks)
    for block, at_top in ((_face_box(landmarks), False), (mouth, False), (mouth, True)):
        left, right, edge = _room(size, label, at_top=at_top)
        for strap in straps:
            width, height = strap.size
            top = (edge if at_top else edge - height) // _GRID * _GRID
            placed = PlacedStrap(strap, (left, top), size[1], fps)
            if left + width <= right and top >= 0 and not _overlap(placed.box, block):
                return placed
    raise InputError(_no_room(title, subtitle, straps[-1].size[0], right - left))


def _room(size: tuple[int, int], label: PlacedLabel | None, *, at_top: bool) -> tuple[int, int, int]:
    """Return the left and the right end of the room beside the label, and the edge of straps there."""
    across, down = (math.ceil(side * _SAFE / _GRID) * _GRID for side in size)
    left, right, edge = across, size[0] - across, down if at_top else size[1] - down
    if label is None or (label.box[1] < size[1] // 2) != at_top:
        return left, right, edge
    gap = label.label.margin
    if label.box[0] > size[0] - label.box[2]:
        return left, label.box[0] - gap, edge
    return math.ceil((label.box[2] + gap) / _GRID) * _GRID, right, edge


def _no_room(title: str, subtitle: str, needed: int, room: int) -> str:
    if needed > room:
        name, text = max(("title", title), ("subtitle", subtitle), key=lambda pair: len(pair[1]))
        return (
            f"the {name} {quoted(text)} makes a name strap of {needed} pixels even in its smallest letters, "
            f"and the frames have room for {room}. Give a shorter {name}"
        )
    return (
        "the mouth or the label is wherever the name strap could be: the face fills the frame. Omit the "
        "title, or give an anchor whose face is smaller"
    )


def _face_box(landmarks: ArrayFloat) -> _Box:
    """Return the extent of the face in all frames."""
    points = np.asarray(landmarks)[:, :, :2].astype(np.float64)
    (left, top), (right, bottom) = np.nanmin(points, axis=(0, 1)), np.nanmax(points, axis=(0, 1))
    return float(left), float(top), float(right), float(bottom)


def _mouth_box(landmarks: ArrayFloat) -> _Box:
    """Return what the mouth needs in any frame."""
    mouth = np.asarray(landmarks)[:, list(MOUTH), :2].astype(np.float64)
    lips = mouth[:, :40]
    (left, top), (right, bottom) = np.nanmin(lips, axis=(0, 1)), np.nanmax(lips, axis=(0, 1))
    room = _AROUND_MOUTH * (right - left)
    return float(left - room), float(top - room), float(right + room), float(bottom + room)


def _overlap(first: _Box, second: _Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
