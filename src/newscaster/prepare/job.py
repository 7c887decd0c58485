"""State of a running preparation: its segments, and its warnings."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from newscaster.prepare.clips import Segment
from newscaster.types import Progress

_log = logging.getLogger("newscaster.prepare")


@dataclass
class Job:
    """Segments of a preparation, and its warnings."""

    fps: Fraction
    face: int | None
    training: list[Segment]
    target_candidates: list[Segment]
    """Segments that the target may be chosen from: the training segments unless another file was named."""
    report: Progress
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Reasons why files could not be read."""

    @property
    def segments(self) -> list[Segment]:
        return self.training + [s for s in self.target_candidates if s not in self.training]

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        _log.warning("%s", text)

    def warn_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.warn(text)
