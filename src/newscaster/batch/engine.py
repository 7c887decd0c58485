"""Engines: where the rows of a batch are worked on."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from newscaster.batch.plan import Plan
from newscaster.batch.work import Outcome


class Engine(Protocol):
    """Worker processes here or elsewhere; a context that starts and ends them."""

    def __enter__(self) -> Self:
        """Start the workers."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers, and what they are doing."""

    @property
    def running(self) -> int:
        """Number of rows that were submitted, and have no outcome yet."""

    @property
    def has_room(self) -> bool:
        """Whether another row may be submitted: no more are handed out than the workers can begin soon."""

    def submit(self, plan: Plan) -> None:
        """Hand a row out."""

    def wait(self, seconds: float) -> list[tuple[Plan, Outcome]]:
        """Return the rows that have ended; wait for one, but at most for some seconds."""
