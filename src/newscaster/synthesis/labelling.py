"""The visible label of frames: its text, and the corner of the frame that no face reaches.

`media.label` draws it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from newscaster.media import Label, YuvFrame, check_label_text
from newscaster.texts import check_unicode
from newscaster.types import ArrayF64, ArrayFloat

_log = logging.getLogger("newscaster.synthesis")

DEFAULT_LABEL = "AI-generated"
"""Label on frames of the bundled anchor."""
_HAIR, _AROUND = 0.35, 0.1
"""Extent of a head beyond its landmarks: above, and on the other sides, in face heights."""


@dataclass(frozen=True)
class PlacedLabel:
    """A label and its position, which is the same in every frame."""

    label: Label
    corner: tuple[int, int]
    """Left and upper edge in pixels, both even."""

    @property
    def text(self) -> str:
        """Text of the label."""
        return self.label.text

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the label in pixels."""
        (left, top), (width, height) = self.corner, self.label.size
        return left, top, left + width, top + height

    def put_on(self, image: YuvFrame) -> None:
        """Draw the label on a frame, in place."""
        self.label.put_on(image, self.corner)


def check_label(label: str | None) -> None:
    """Check the text of the label; empty or None needs no check.

    Raises:
        InputError: it is not valid UTF-8, is several lines or has characters that cannot be drawn.
    """
    check_unicode(label or "", "the label")
    if label is not None and label.strip():
        check_label_text(label.strip())


def label_text(label: str | None, *, bundled: bool) -> str | None:
    """Return the text of the label, or None for no label. By default only the bundled anchor has one.

    Args:
        label: a text; empty for none; None for the default.
        bundled: whether the anchor is the bundled one.

    Raises:
        InputError: the text is not valid UTF-8.
    """
    check_unicode(label or "", "the label")
    if label is None:
        return DEFAULT_LABEL if bundled else None
    return label.strip() or None


def place_label(text: str, landmarks: ArrayFloat, *, size: tuple[int, int]) -> PlacedLabel:
    """Return a label in a corner that no face comes near, if possible the lower right one.

    Args:
        text: one line.
        landmarks: (F, L, 2 or more) pixels, of all frames of the target.
        size: width and height of the frames.

    Raises:
        InputError: the text cannot be drawn, or is too long.
    """
    label = Label(text, size=size)
    heads = _heads(landmarks)
    best: tuple[float, PlacedLabel] | None = None
    for corner in _corners(label, size):
        placed = PlacedLabel(label, corner)
        distance = _distance(placed.box, heads)
        if distance >= label.margin:
            return placed
        if best is None or distance > best[0]:
            best = distance, placed
    assert best is not None
    if _distance(best[1].box, _heads(landmarks, beyond=False)) < 0:
        _log.warning("the face fills the frame: the label '%s' touches it", text)
    return best[1]


def _corners(label: Label, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    near = label.margin
    far_x = (size[0] - near - label.size[0]) // 2 * 2
    far_y = (size[1] - near - label.size[1]) // 2 * 2
    yield from ((far_x, far_y), (near, far_y), (far_x, near), (near, near))


def _heads(landmarks: ArrayFloat, *, beyond: bool = True) -> ArrayF64:
    """Return (F, 4): left, top, right and bottom of the head in each frame, or of its landmarks alone."""
    across, down = landmarks[:, :, 0], landmarks[:, :, 1]  # separately: 20 times as fast as both at once
    boxes = np.stack([across.min(axis=1), down.min(axis=1), across.max(axis=1), down.max(axis=1)], axis=1)
    face = (boxes[:, 3] - boxes[:, 1])[:, None]
    more = np.array([-_AROUND, -_HAIR, _AROUND, _AROUND]) * beyond
    heads: ArrayF64 = boxes + face * more
    return heads


def _distance(box: tuple[int, int, int, int], heads: ArrayF64) -> float:
    """Return the distance in pixels of a box to the nearest head, on the larger axis; below 0: overlap."""
    left, top, right, bottom = box
    across = np.maximum(heads[:, 0] - right, left - heads[:, 2])
    down = np.maximum(heads[:, 1] - bottom, top - heads[:, 3])
    return float(np.maximum(across, down).min())
