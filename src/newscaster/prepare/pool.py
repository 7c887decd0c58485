"""Worker processes that run tasks in parallel, end with their parent, and report errors and log lines to it.

Independent of footage.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Generic, TypeVar

from newscaster.errors import NewscasterError
from newscaster.system.cpu import usable_cores
from newscaster.system.worker_process import begin_worker
from newscaster.texts import ONCE

_log = logging.getLogger("newscaster.prepare")
_QUEUED_PER_WORKER = 2

Task = TypeVar("Task")
Result = TypeVar("Result")
Message = tuple[int, str, str | None]
"""A log record of a worker: level, text and subject (`ONCE`)."""


class Workers:
    """Runs functions in worker processes, one task each; made by :func:`worker_pool`."""

    def __init__(self, executor: ProcessPoolExecutor | None, count: int) -> None:
        self._executor = executor
        self.count = count

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """Yield (index of the task, its result) as tasks finish; the first error ends the iteration.

        ``work`` must be a function of a module; tasks and results must be picklable. Log records of ``work``
        are logged in this process.
        """
        if self._executor is None:
            for index, task in enumerate(tasks):
                yield index, work(task)
            return
        try:
            yield from self._map(self._executor, work, tasks)
        except BrokenProcessPool as error:
            raise NewscasterError(
                f"one of the {self.count} worker processes was killed (often out of memory). Run again with "
                f"fewer workers; finished clips are kept. In your own script, call newscaster below "
                f"`if __name__ == '__main__':`, because worker processes import the script"
            ) from error

    def _map(
        self, executor: ProcessPoolExecutor, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Iterator[tuple[int, Result]]:
        waiting: dict[Future[_Outcome[Result]], int] = {}
        upcoming = iter(enumerate(tasks))
        while True:
            for index, task in upcoming:
                waiting[executor.submit(_logged, work, task)] = index
                if len(waiting) >= self.count * _QUEUED_PER_WORKER:
                    break
            if not waiting:
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                for level, text, subject in outcome.messages:
                    _log.log(level, "%s", text, extra={ONCE: subject})
                yield waiting.pop(future), outcome.result


@contextmanager
def worker_pool(workers: int | None, *, tasks: int) -> Generator[Workers]:
    """Run worker processes during a ``with`` block; they end at once if it fails.

    Args:
        workers: number of processes; None: one per core. 0 does the work in this process, for tests.
        tasks: maximum number of tasks; no more processes than that are started.
    """
    if workers == 0:
        yield Workers(None, 1)
        return
    cores = usable_cores()
    count = max(1, min(workers or cores, tasks))
    context = multiprocessing.get_context("spawn")  # threads of native libraries do not survive a fork
    lifeline, our_end = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=begin_worker, initargs=(lifeline,))
    try:
        yield Workers(executor, count)
        executor.shutdown()
    except BaseException:
        our_end.close()
        executor.shutdown(cancel_futures=True)
        raise
    finally:
        our_end.close()
        lifeline.close()


class _Outcome(Generic[Result]):
    def __init__(self, result: Result, messages: list[Message]) -> None:
        self.result = result
        self.messages = messages


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append((record.levelno, record.getMessage(), getattr(record, ONCE, None)))


def _logged(work: Callable[[Task], Result], task: Task) -> _Outcome[Result]:
    """Run one task, and return its result with its log records."""
    collector, logger = _Collector(), logging.getLogger("newscaster")
    logger.addHandler(collector)
    logger.propagate = False
    try:
        return _Outcome(work(task), collector.messages)
    finally:
        logger.removeHandler(collector)
