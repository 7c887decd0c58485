"""Overlays of finished frames: visible label and name strap, and the invisible watermark on top of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from newscaster.media import Cue, YuvFrame
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.synthesis.name_strap import PlacedStrap
from newscaster.watermark import Watermark


@dataclass(frozen=True, kw_only=True)
class Overlays:
    """Label, name strap and watermark of frames, applied just before encoding; None: no such overlay."""

    label: PlacedLabel | None = None
    strap: PlacedStrap | None = None
    watermark: Watermark | None = None

    def ending(self, frames: int) -> Overlays:
        """Return the overlays of a video of so many frames."""
        return self if self.strap is None else replace(self, strap=self.strap.ending(frames))

    def free_cues(self, cues: Sequence[Cue]) -> list[Cue]:
        """Return captions, those that are shown together with the strap at the other edge."""
        return list(cues) if self.strap is None else self.strap.free_cues(cues)

    def put_on(self, image: YuvFrame, number: int = 0, *, is_synthetic: bool = True) -> YuvFrame:
        """Apply the overlays to frame `number` of a video, in place; return it.

        Label and watermark are for frames that are synthetic.
        """
        if self.label is not None and is_synthetic:
            self.label.put_on(image)
        if self.strap is not None:
            self.strap.put_on(image, number)
        if self.watermark is not None and is_synthetic:
            self.watermark.put_on(image)
        return image

    def on_all(self, images: Iterable[YuvFrame]) -> Iterator[YuvFrame]:
        """Yield the frames of a video with the overlays applied, in place."""
        return (self.put_on(image, number) for number, image in enumerate(images))


NO_MARKS = Overlays()
"""No label, no name strap and no watermark."""
