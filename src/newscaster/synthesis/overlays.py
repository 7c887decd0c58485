"""Overlays of finished frames: the visible label, and the invisible watermark on top of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from newscaster.media import YuvFrame
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.watermark import Watermark


@dataclass(frozen=True, kw_only=True)
class Overlays:
    """Label and watermark of frames, applied just before encoding; None: no such overlay."""

    label: PlacedLabel | None = None
    watermark: Watermark | None = None

    def put_on(self, image: YuvFrame) -> YuvFrame:
        """Apply the overlays to a frame, in place; return it."""
        if self.label is not None:
            self.label.put_on(image)
        if self.watermark is not None:
            self.watermark.put_on(image)
        return image

    def on_all(self, images: Iterable[YuvFrame]) -> Iterator[YuvFrame]:
        """Yield frames with the overlays applied, in place."""
        return map(self.put_on, images)


NO_MARKS = Overlays()
"""No label and no watermark."""
