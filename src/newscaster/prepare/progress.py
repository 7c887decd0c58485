"""How work on footage tells that it goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far work on footage has come."""

    phase: str
    """"look" (long files only), "track", "crop" and "stage" in this order while footage is prepared; "check"
    for a report."""
    done: int
    total: int
    """Files while looking and checking, frames otherwise; what files' headers say, so only nearly exact."""
