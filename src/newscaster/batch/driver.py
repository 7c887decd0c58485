"""The driver of a batch: hands rows out, tries again, and reports."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from newscaster.batch.engine import Engine
from newscaster.batch.plan import Plan
from newscaster.batch.stores import Destination, Receipt
from newscaster.batch.work import Outcome

_log = logging.getLogger(__name__)
_WAIT_SECONDS = 1.0
_PAUSE_SECONDS = 0.05
RETRY_SECONDS = 1.0
"""Time until the second attempt at a row; each further one waits twice as long."""
REPORT = "batch.jsonl"
"""Name of the report in the destination."""


@dataclass
class Counts:
    """How far a batch is."""

    total: int
    done: int = 0
    """Rows done in this run."""
    kept: int = 0
    """Rows that were done before."""
    failed: int = 0
    retried: int = 0
    """Attempts that failed and were followed by another."""
    seconds: float = 0.0
    """Time since the first row was handed out."""

    @property
    def open(self) -> int:
        """Rows that are not finished."""
        return self.total - self.done - self.kept - self.failed

    @property
    def seconds_left(self) -> float | None:
        """Estimated time until the end; None: not known yet."""
        finished = self.done + self.failed
        return self.open * self.seconds / finished if finished else None


@dataclass
class _Attempt:
    plan: Plan
    number: int
    not_before: float = 0.0


def run_batch(
    plans: Iterable[Plan],
    destination: Destination,
    engine: Engine,
    *,
    total: int,
    retries: int,
    on_change: Callable[[Counts], None],
) -> Counts:
    """Work on the rows of a batch.

    A row is done if an earlier run has left a receipt with its key, and the outputs are as that receipt says.
    A row that fails is tried again later, unless the reason is in the row; it is dead after `retries` further
    attempts. A report with a line for each row is written to the destination at the end, also when this
    function is left by an exception.

    Args:
        plans: the rows.
        destination: where outputs go; prepared.
        engine: the workers, not started yet.
        total: number of rows.
        retries: further attempts for a row that failed.
        on_change: called after each change.

    Raises:
        OutputError: the report cannot be written.
        StoreError: the destination cannot be read.
    """
    counts = Counts(total)
    receipts = {receipt.key: receipt for receipt in destination.receipts()}
    with tempfile.TemporaryDirectory(prefix="newscaster-") as folder:
        path = Path(folder, REPORT)
        try:
            with path.open("w", encoding="utf-8") as report, engine:
                _Run(plans, destination, engine, retries, counts, report, receipts, on_change).work()
        finally:
            destination.put(path, REPORT)
    return counts


class _Run:
    def __init__(
        self,
        plans: Iterable[Plan],
        destination: Destination,
        engine: Engine,
        retries: int,
        counts: Counts,
        report: TextIO,
        receipts: dict[str, Receipt],
        on_change: Callable[[Counts], None],
    ) -> None:
        self._fresh, self._again = self._undone(plans), deque[_Attempt]()
        self._destination, self._engine, self._retries = destination, engine, retries
        self._counts, self._report, self._receipts = counts, report, receipts
        self._attempts: dict[int, int] = {}
        self._on_change = on_change

    def work(self) -> None:
        """Work until no row is left."""
        start = time.monotonic()
        while True:
            while self._engine.has_room and (attempt := self._next()) is not None:
                self._attempts[attempt.plan.number] = attempt.number
                self._engine.submit(attempt.plan)
            if self._engine.running:
                ended = self._engine.wait(_WAIT_SECONDS)
            elif self._again:
                ended = []
                time.sleep(_PAUSE_SECONDS)  # what is left waits for its next attempt
            else:
                return
            self._counts.seconds = time.monotonic() - start
            for plan, outcome in ended:
                self._end(plan, outcome)
            self._on_change(self._counts)

    def _undone(self, plans: Iterable[Plan]) -> Iterator[_Attempt]:
        for plan in plans:
            receipt = self._receipts.pop(plan.key, None)
            if receipt is not None and self._destination.has(receipt):
                self._counts.kept += 1
                self._write(
                    plan, "kept", files=[asdict(file) for file in receipt.files], seconds=receipt.seconds
                )
                self._on_change(self._counts)
            else:
                yield _Attempt(plan, 1)

    def _next(self) -> _Attempt | None:
        """Return the row to begin; None: none is due."""
        if self._again and self._again[0].not_before <= time.monotonic():
            return self._again.popleft()
        return next(self._fresh, None)

    def _end(self, plan: Plan, outcome: Outcome) -> None:
        number = self._attempts.pop(plan.number)
        if outcome.details is not None:
            _log.debug("row %d (%s): %s", plan.number, plan.id, outcome.details)
        if outcome.error is None:
            self._counts.done += 1
            files = [asdict(file) for file in outcome.files]
            self._write(
                plan, "done", files=files, seconds=outcome.seconds, notes=outcome.notes, attempts=number
            )
        elif outcome.may_succeed and number <= self._retries:
            self._counts.retried += 1
            self._again.append(
                _Attempt(plan, number + 1, time.monotonic() + RETRY_SECONDS * 2 ** (number - 1))
            )
        else:
            self._counts.failed += 1
            _log.warning("row %d (%s): %s", plan.number, plan.id, outcome.error)
            self._write(plan, "failed", error=outcome.error, attempts=number)

    def _write(self, plan: Plan, state: str, **details: Any) -> None:
        line = {"row": plan.number, "id": plan.id, "command": plan.command, "state": state, **details}
        self._report.write(json.dumps(line, ensure_ascii=False) + "\n")
