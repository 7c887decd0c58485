"""A preparation at work: what is to be done, and what was noticed on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from newscaster.prepare.clips import Segment
from newscaster.prepare.progress import Progress

_log = logging.getLogger("newscaster.prepare")


@dataclass
class Job:
    """What is to be done, and what was noticed on the way."""

    fps: Fraction
    face: int | None
    training: list[Segment]
    staging: list[Segment]
    """Clips that the stage may be chosen from: of the training ones where no other file was named."""
    report: Callable[[Progress], None]
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Why files could not be read."""

    @property
    def segments(self) -> list[Segment]:
        extra = [s for s in self.staging if s not in self.training]
        return self.training + extra

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        _log.warning("%s", text)

    def warn_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.warn(text)
