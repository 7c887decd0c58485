"""Progress reports of work on footage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Progress of work on footage."""

    phase: str
    """"look" (long files only), "track", "crop" and "target", in this order, during preparation; "check" for
    a report."""
    done: int
    total: int
    """Files in "look" and "check", otherwise frames; approximate, since it comes from file headers."""
