"""An engine of batches that needs no process of its own."""

from __future__ import annotations

from typing import Any

from newscaster.batch.work import Outcome, RowWork, do_row


class HereEngine:
    """Does a row where it is submitted."""

    def __init__(self, work: RowWork) -> None:
        self._work = work
        self._ended: list[Any] = []

    def __enter__(self) -> HereEngine:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def running(self) -> int:
        return len(self._ended)

    @property
    def has_room(self) -> bool:
        return not self._ended

    def submit(self, plan: Any) -> None:
        self._ended.append((plan, do_row(plan, self._work)))

    def wait(self, seconds: float) -> list[tuple[Any, Outcome]]:
        ended, self._ended = self._ended, []
        return ended
