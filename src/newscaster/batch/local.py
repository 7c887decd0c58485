"""Rows worked on by processes of this machine."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from newscaster.batch.plan import Plan
from newscaster.batch.work import Outcome, RowWork, do_row
from newscaster.errors import NewscasterError
from newscaster.system.cpu import limit_cores
from newscaster.system.worker_process import PipeEnd, begin_worker, signal_name

_END_SECONDS = 5.0


@dataclass
class _Worker:
    process: BaseProcess
    ours: PipeEnd
    plan: Plan | None = None


class LocalEngine:
    """Processes that work on one row at a time. See :class:`newscaster.batch.engine.Engine`.

    A process that is killed, such as by the system for lack of memory, fails its row alone, and is replaced.

    Args:
        work: what every row needs.
        processes: number of processes.
    """

    def __init__(self, work: RowWork, *, processes: int) -> None:
        self._work, self._count = work, processes
        # Threads of native libraries do not survive a fork.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._early_ends = 0

    def __enter__(self) -> Self:
        """Start the processes."""
        self._lifeline, self._our_end = self._context.Pipe(duplex=False)
        for _ in range(self._count):
            self._workers.append(self._started())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; those that are at work remove what they have begun."""
        self._our_end.close()
        self._lifeline.close()
        for worker in self._workers:
            worker.ours.close()
        for worker in self._workers:
            worker.process.join(_END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    @property
    def running(self) -> int:
        """See :class:`newscaster.batch.engine.Engine`."""
        return sum(worker.plan is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """See :class:`newscaster.batch.engine.Engine`."""
        return self.running < len(self._workers)

    def submit(self, plan: Plan) -> None:
        """See :class:`newscaster.batch.engine.Engine`."""
        worker = next(worker for worker in self._workers if worker.plan is None)
        worker.plan = plan
        with suppress(OSError):  # it has ended: `wait` finds out
            worker.ours.send(plan)

    def wait(self, seconds: float) -> list[tuple[Plan, Outcome]]:
        """See :class:`newscaster.batch.engine.Engine`."""
        ready = wait([w.ours for w in self._workers] + [w.process.sentinel for w in self._workers], seconds)
        ended = []
        for index, worker in enumerate(self._workers):
            if worker.ours in ready:
                with suppress(EOFError, OSError):
                    outcome: Outcome = worker.ours.recv()
                    assert worker.plan is not None
                    ended.append((worker.plan, outcome))
                    worker.plan = None
                    self._early_ends = 0
                    continue
            if not worker.process.is_alive():
                ended += self._replaced(index)
        return ended

    def _replaced(self, index: int) -> list[tuple[Plan, Outcome]]:
        """Replace a process that has ended; return the row that it was at, if any.

        Raises:
            NewscasterError: processes end without having done a row, again and again.
        """
        worker = self._workers[index]
        worker.ours.close()
        code = worker.process.exitcode
        self._early_ends += 1
        if self._early_ends > 3 * self._count:
            raise NewscasterError(
                f"worker processes end before they have done a row ({_reason(code)}). Run one by itself; "
                "finished rows are kept"
            )
        self._workers[index] = self._started()
        if worker.plan is None:
            return []
        return [(worker.plan, Outcome(error=f"its process ended ({_reason(code)})", may_succeed=True))]

    def _started(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(self._work, theirs, self._lifeline, self._our_end), daemon=False
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _reason(code: int | None) -> str:
    """Describe the exit code of a process; below 0 it is a signal."""
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal_name(code)
    return f"signal {name}, often for lack of memory" if name == "SIGKILL" else f"signal {name}"


def _serve(work: RowWork, parent: PipeEnd, lifeline: PipeEnd, their_end: PipeEnd) -> None:
    """In a process: work on rows until the parent closes the pipe."""
    their_end.close()  # otherwise the lifeline would stay open without the parent
    limit_cores(work.cores)
    begin_worker(lifeline)
    while True:
        try:
            plan: Plan = parent.recv()
        except (EOFError, OSError):
            return
        outcome = do_row(plan, work)
        try:
            parent.send(outcome)
        except OSError:
            return
