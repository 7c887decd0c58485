"""Worker processes: several at once, quiet, gone when their parent is, and honest about what went wrong.

Knows nothing of footage.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from newscaster.errors import NewscasterError
from newscaster.system.cpu import usable_cores
from newscaster.system.files import remove_temporaries
from newscaster.system.native_output import divert_native_errors
from newscaster.texts import ONCE

_log = logging.getLogger("newscaster.prepare")
_QUEUED_PER_WORKER = 2

Task = TypeVar("Task")
Result = TypeVar("Result")
Message = tuple[int, str, str | None]
"""What a worker logged: level, text and subject (`ONCE`)."""


class Workers:
    """Runs functions of one task each in worker processes; made by :func:`worker_pool`."""

    def __init__(self, executor: ProcessPoolExecutor | None, count: int) -> None:
        self._executor = executor
        self.count = count

    def map(self, work: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[int, Result]]:
        """(index of the task, its result) as they get ready; the first error ends it.

        ``work`` is a function of a module, and tasks and results can be pickled. What ``work`` logs is logged
        here.
        """
        if self._executor is None:
            for index, task in enumerate(tasks):
                yield index, work(task)
            return
        try:
            yield from self._map(self._executor, work, tasks)
        except BrokenProcessPool as error:
            raise NewscasterError(
                f"one of the {self.count} worker processes was ended from outside. Most often memory was "
                f"short: run again with fewer workers, finished clips are kept. In a script of yours, call "
                f"newscaster below `if __name__ == '__main__':`, since worker processes import the script"
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
    """Worker processes for as long as the ``with`` block lasts; they end at once when it fails.

    Args:
        workers: how many; None is one for each core. 0 does the work in this process, for tests.
        tasks: how many tasks there will be at most, so that none is started in vain.
    """
    if workers == 0:
        yield Workers(None, 1)
        return
    cores = usable_cores()
    count = max(1, min(workers or cores, tasks))
    context = multiprocessing.get_context("spawn")  # threads of native libraries do not survive a fork
    lifeline, our_end = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(lifeline,))
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
    """Run one task and bring what it logged along with its result."""
    collector, logger = _Collector(), logging.getLogger("newscaster")
    logger.addHandler(collector)
    logger.propagate = False
    try:
        return _Outcome(work(task), collector.messages)
    finally:
        logger.removeHandler(collector)


def _start_worker(lifeline: Connection) -> None:
    """Ignore signals (the parent decides), end with the parent, and silence native code on standard error.

    Native libraries may write lines there that no user can do anything about.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # often sent to the whole group; Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    divert_native_errors()


def _end_with_parent(lifeline: Connection) -> None:
    # Nothing is ever sent: the pipe ends when the parent closes its end, or dies of whatever cause.
    try:
        lifeline.recv()
    except (EOFError, OSError):
        remove_temporaries()
        os._exit(1)
