"""What an evaluation found: the figures of all clips together and of each, and frames to look at."""

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
    """By way, in the order of WAYS."""


@dataclass(frozen=True)
class Evaluation:
    """An anchor measured on footage."""

    anchor: str
    """Its name."""
    fps: Fraction
    side: int
    """Of its region, in pixels."""
    figures: tuple[Figures, ...]
    """By way, in the order of WAYS, over all clips; `sound` only where a clip has sound."""
    clips: tuple[ClipResult, ...] = field(repr=False)
    examples: Examples = field(repr=False)
    """Pictures of single frames."""

    @property
    def seconds(self) -> float:
        """Length of the footage."""
        return float(sum(clip.frames for clip in self.clips) / self.fps)

    def of(self, condition: Condition) -> Figures:
        """The figures of one way; ``KeyError`` where no clip could be made so."""
        for row in self.figures:
            if row.condition == condition:
                return row
        raise KeyError(condition)

    @property
    def unmeasured(self) -> dict[Condition, str]:
        """Why landmarks, opening and lag could not be measured, by way; empty if all were."""
        return {row.condition: row.unmeasured for row in self.figures if row.unmeasured}

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures: figures of all clips together and of each."""
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
