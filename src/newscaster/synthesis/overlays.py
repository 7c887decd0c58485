"""What finished pictures get on top: the label that is seen, and over it the watermark that is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from newscaster.media import YuvFrame
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.watermark import Watermark


@dataclass(frozen=True, kw_only=True)
class Overlays:
    """The last that is done to a picture before it is encoded; with neither, nothing is."""

    label: PlacedLabel | None = None
    watermark: Watermark | None = None

    def put_on(self, image: YuvFrame) -> YuvFrame:
        """Mark a picture, in place."""
        if self.label is not None:
            self.label.put_on(image)
        if self.watermark is not None:
            self.watermark.put_on(image)
        return image

    def on_all(self, images: Iterable[YuvFrame]) -> Iterator[YuvFrame]:
        """Mark pictures as they come, in place."""
        return map(self.put_on, images)


NO_MARKS = Overlays()
"""Pictures as they were painted."""
