"""What finished pictures get on top: the label that is seen, and over it the watermark that is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from newscaster.media import Picture
from newscaster.runtime.labelling import PlacedLabel
from newscaster.watermark import Watermark


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The last that is done to a picture before it is encoded; with neither, nothing is."""

    label: PlacedLabel | None = None
    watermark: Watermark | None = None

    def put_on(self, picture: Picture) -> Picture:
        """Mark a picture, in place."""
        if self.label is not None:
            self.label.put_on(picture)
        if self.watermark is not None:
            self.watermark.put_on(picture)
        return picture

    def on_all(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Mark pictures as they come, in place."""
        return map(self.put_on, pictures)


NO_MARKS = Marks()
"""Pictures as they were painted."""
