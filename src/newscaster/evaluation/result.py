"""The result of an evaluation: metrics of all clips together and of each clip, and example frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from newscaster.evaluation.examples import Examples
from newscaster.evaluation.metrics import Compared, Figures, figures
from newscaster.evaluation.reconstruction import Condition
from newscaster.version import VERSION


@dataclass(frozen=True)
class ClipResult:
    """One clip of the footage."""

    name: str
    source: str
    frames: int
    compared: tuple[Compared, ...] = field(repr=False)
    """One per condition, in the order of CONDITIONS."""


@dataclass(frozen=True)
class Evaluation:
    """An anchor measured on footage."""

    anchor: str
    """Name of the anchor."""
    fps: Fraction
    side: int
    """Side of its crop, in pixels."""
    figures: tuple[Figures, ...]
    """Metrics over all clips, in the order of CONDITIONS; ``sound`` only if a clip has speech."""
    clips: tuple[ClipResult, ...] = field(repr=False)
    examples: Examples = field(repr=False)
    """Images of single frames."""

    @property
    def seconds(self) -> float:
        """Length of the footage."""
        return float(sum(clip.frames for clip in self.clips) / self.fps)

    def of(self, condition: Condition) -> Figures:
        """Return the metrics of one condition; ``KeyError`` if no clip was reconstructed so."""
        for row in self.figures:
            if row.condition == condition:
                return row
        raise KeyError(condition)

    @property
    def unmeasured(self) -> dict[Condition, str]:
        """Reasons why landmarks, opening and lag could not be measured, by condition; empty if all were."""
        return {row.condition: row.unmeasured for row in self.figures if row.unmeasured}

    def to_json(self) -> dict[str, Any]:
        """Return everything except the images: metrics of all clips together and of each."""
        return {
            "anchor": self.anchor,
            "newscaster": VERSION,
            "fps": str(self.fps),
            "region_side": self.side,
            "footage_seconds": self.seconds,
            "figures": [row.to_json() for row in self.figures],
            "could_not_be_measured": self.unmeasured,
            "clips": [
                {
                    "name": clip.name,
                    "source": clip.source,
                    "frames": clip.frames,
                    "figures": [figures([c], fps=self.fps).to_json() for c in clip.compared],
                }
                for clip in self.clips
            ],
        }
