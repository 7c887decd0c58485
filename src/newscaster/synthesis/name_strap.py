"""The name strap of a video: its place in the lower third, away from mouth and label, and its fades.

`media.strap` draws it.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from newscaster.errors import InputError
from newscaster.face.topology import MOUTH
from newscaster.media import Cue, YuvFrame
from newscaster.media.strap import SCALES, Strap, check_strap_texts
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.synthesis.options import Style
from newscaster.texts import check_unicode, quoted
from newscaster.types import ArrayFloat

_log = logging.getLogger("newscaster.synthesis")

START_SECONDS, STOP_SECONDS, FADE_SECONDS = 0.5, 7.0, 0.4
"""Start of the fade-in, end of the fade-out, and length of each, in videos of 2.3 s or more."""
_MIN_WHOLE_SECONDS = 1.0
"""Time for which the strap is shown whole, or all of a shorter video."""
_SAFE = 0.05
"""Margin of graphics, in sides of the frame: EBU R 95."""
_GRID = 8
"""Places are multiples of it, so that chroma fits in every layout."""
_AROUND_MOUTH = 0.15
"""Free room around the mouth, in its widths."""

_AT_TOP = (
    "the name strap of %s is at the top of the frames: at the bottom, mouth and label leave no room for it. "
    "A shorter title may fit there"
)

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
    start_seconds: float = START_SECONDS
    """Start of the fade-in."""
    stop_seconds: float = STOP_SECONDS
    """End of the fade-out."""
    fade_seconds: float = FADE_SECONDS
    """Length of each fade; 0: there are none."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels."""
        (left, top), (width, height) = self.corner, self.strap.size
        return left, top, left + width, top + height

    def opacity(self, number: int) -> float:
        """Return the opacity in frame `number` of the video, 0 to 1."""
        seconds = float(number / self.fps)
        inside = min(seconds - self.start_seconds, self.stop_seconds - seconds)
        if not self.fade_seconds:
            return float(inside >= 0)
        return min(1.0, max(0.0, inside / self.fade_seconds))

    def free_cues(self, cues: Sequence[Cue]) -> list[Cue]:
        """Return captions of which those that are shown together with the strap are at the other edge."""
        if self.corner[1] < self.frame_height // 2:
            return list(cues)  # captions are at the bottom
        start, stop = self.start_seconds * 1000, self.stop_seconds * 1000
        return [
            replace(cue, at_top=True) if cue.start_ms < stop and cue.stop_ms > start else cue for cue in cues
        ]

    def ending(self, frames: int) -> PlacedStrap:
        """Return the strap of a video of so many frames: it has faded out when the video ends.

        In a short video it starts earlier, then fades faster, so that it is shown whole for a second; in one
        of less than a second, always.

        ::

            7 s or more   ____╱▔▔▔▔▔▔▔▔▔╲__        2 s   _╱▔▔▔▔▔╲        1 s   ▔▔▔▔▔
        """
        seconds = float(frames / self.fps)
        fade = min(FADE_SECONDS, max(0.0, (seconds - _MIN_WHOLE_SECONDS) / 2))
        start = min(START_SECONDS, max(0.0, seconds - _MIN_WHOLE_SECONDS - 2 * fade))
        stop = min(self.stop_seconds, seconds)
        return replace(self, start_seconds=start, stop_seconds=stop, fade_seconds=fade)

    def put_on(self, image: YuvFrame, number: int) -> None:
        """Draw the strap on frame `number`, in place."""
        self.strap.put_on(image, self.corner, opacity=self.opacity(number))


def check_strap(title: str | None, subtitle: str | None) -> None:
    """Check the texts of a name strap.

    Raises:
        InputError: a text is not valid UTF-8, is several lines or has characters that cannot be drawn; the
            title is empty; there is a subtitle without a title.
    """
    if title is not None and not title.strip():
        raise InputError("the title of the name strap is empty; give a text, or omit the title")
    check_unicode(title or "", "the title")
    check_unicode(subtitle or "", "the subtitle")
    if subtitle and not title:
        raise InputError("a subtitle is given without a title; add the title, or omit the subtitle")
    if title:
        check_strap_texts(title.strip(), (subtitle or "").strip())


def strap_of(
    style: Style,
    landmarks: ArrayFloat,
    *,
    size: tuple[int, int],
    fps: Fraction,
    label: PlacedLabel | None,
) -> PlacedStrap | None:
    """Return the name strap of a style, as :func:`place_strap`; None: it has none.

    Raises:
        InputError: a text cannot be drawn or is too long, or there is no room for the strap.
    """
    check_strap(style.title, style.subtitle)
    if not style.title:
        return None
    return place_strap(style.title, style.subtitle or "", landmarks, size=size, fps=fps, label=label)


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

    Letters are reduced to 60 % at most, first to leave the chin free, then the mouth. Then texts are folded
    into two lines. Only if the mouth is still in the way, the strap moves to the top, with a warning.

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
    face, mouth = _face_box(landmarks), _mouth_box(landmarks)
    for folds, at_top, blocks in (
        (False, False, (face, mouth)),
        (True, False, (face, mouth)),
        (False, True, (mouth,)),
        (True, True, (mouth,)),
    ):
        left, right, edge = _room(size, label, at_top=at_top)
        width = right - left if folds else None
        straps = [Strap(title, subtitle, size=size, scale=scale, max_width=width) for scale in SCALES]
        for block, strap in itertools.product(blocks, straps):
            top = (edge if at_top else edge - strap.size[1]) // _GRID * _GRID
            placed = PlacedStrap(strap, (left, top), size[1], fps)
            if left + strap.size[0] <= right and top >= 0 and not _overlap(placed.box, block):
                if at_top:
                    _log.warning(_AT_TOP, quoted(title))
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
