"""The label of an anchor's pictures: which text, and which corner of the stage it goes to.

Knows when there is one, and where no face comes. How it is drawn is left to `media.label`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.media import Label, YuvFrame
from newscaster.texts import check_unicode

_log = logging.getLogger("newscaster.synthesis")

DEFAULT_LABEL = "AI-generated"
"""What is written on pictures of the anchor that comes with newscaster."""
_HAIR, _AROUND = 0.35, 0.1
"""How far a head reaches beyond its landmarks: above and elsewhere, in heights of the face."""


@dataclass(frozen=True)
class PlacedLabel:
    """A label at its place, which is the same in every picture."""

    label: Label
    corner: tuple[int, int]
    """Its left and upper edge in pixels, even."""

    @property
    def text(self) -> str:
        """What it says."""
        return self.label.text

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is written on."""
        (left, top), (width, height) = self.corner, self.label.size
        return left, top, left + width, top + height

    def put_on(self, image: YuvFrame) -> None:
        """Write it on a picture, in place."""
        self.label.put_on(image, self.corner)


def label_text(given: str | None, *, bundled: bool) -> str | None:
    """What is written on the pictures: what is given, or by default a label on the built-in anchor alone.

    Args:
        given: a text; empty for none; None for the default.
        bundled: whether the anchor is the one that comes with newscaster.

    Raises:
        InputError: the text is not valid UTF-8.
    """
    check_unicode(given or "", "the label")
    if given is None:
        return DEFAULT_LABEL if bundled else None
    return given.strip() or None


def place_label(text: str, landmarks: npt.NDArray[np.floating[Any]], *, size: tuple[int, int]) -> PlacedLabel:
    """A label in the corner that no face comes near to, the lower right one if it can be.

    Args:
        text: one line.
        landmarks: (F, L, 2 or more) pixels, of all frames of the stage.
        size: width and height of the pictures.

    Raises:
        InputError: the text cannot be drawn, or is too long.
    """
    label = Label(text, size=size)
    heads = _heads(landmarks)
    best: tuple[float, PlacedLabel] | None = None
    for corner in _corners(label, size):
        placed = PlacedLabel(label, corner)
        apart = _apart(placed.box, heads)
        if apart >= label.margin:
            return placed
        if best is None or apart > best[0]:
            best = apart, placed
    assert best is not None
    if _apart(best[1].box, _heads(landmarks, beyond=False)) < 0:
        _log.warning("the face fills the picture: the label '%s' touches it", text)
    return best[1]


def _corners(label: Label, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    near = label.margin
    far_x = (size[0] - near - label.size[0]) // 2 * 2
    far_y = (size[1] - near - label.size[1]) // 2 * 2
    yield from ((far_x, far_y), (near, far_y), (far_x, near), (near, near))


def _heads(landmarks: npt.NDArray[np.floating[Any]], *, beyond: bool = True) -> npt.NDArray[np.float64]:
    """(F, 4): left, top, right and bottom of each frame's head, or of its landmarks alone."""
    across, down = landmarks[:, :, 0], landmarks[:, :, 1]  # apart: 20 times as fast as both at once
    boxes = np.stack([across.min(axis=1), down.min(axis=1), across.max(axis=1), down.max(axis=1)], axis=1)
    face = (boxes[:, 3] - boxes[:, 1])[:, None]
    more = np.array([-_AROUND, -_HAIR, _AROUND, _AROUND]) * beyond
    heads: npt.NDArray[np.float64] = boxes + face * more
    return heads


def _apart(box: tuple[int, int, int, int], heads: npt.NDArray[np.float64]) -> float:
    """Pixels between a box and the heads, along the axis with more of them; below 0: they overlap."""
    left, top, right, bottom = box
    across = np.maximum(heads[:, 0] - right, left - heads[:, 2])
    down = np.maximum(heads[:, 1] - bottom, top - heads[:, 3])
    return float(np.maximum(across, down).min())
