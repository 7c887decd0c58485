"""Threads: consume items in a second one, make them in one, or compute results in several, in order."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0
"""How long an interrupted command waits for its second thread to end."""


class _AbandonedError(Exception):
    """The generator failed: raised inside the worker, so that it releases its resources."""


class _End:
    """The end of the items; `failed` if the generator raised."""

    def __init__(self, *, failed: bool) -> None:
        self.failed = failed


class _Worker(Generic[Item, Result]):
    def __init__(self, work: Callable[[Iterator[Item]], Result], depth: int) -> None:
        self._work = work
        self.queue: queue.Queue[Item | _End] = queue.Queue(depth)
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="newscaster-writer", daemon=True)

    def _items(self) -> Iterator[Item]:
        while True:
            item = self.queue.get()
            if isinstance(item, _End):
                if item.failed:
                    raise _AbandonedError
                return
            yield item

    def _run(self) -> None:
        try:
            self.result = self._work(self._items())
        except BaseException as error:  # handed to the caller's thread
            self.error = error

    def put(self, item: Item | _End, *, patience_seconds: float = math.inf) -> bool:
        """Queue an item; return False if the worker has ended, or does not take it in time."""
        end = time.monotonic() + patience_seconds
        while self.thread.is_alive() and time.monotonic() < end:
            try:
                self.queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def in_background(
    items: Iterable[Item], work: Callable[[Iterator[Item]], Result], *, depth: int = 4
) -> Result:
    """Run `work(iterator over items)` in a second thread; make `items` in this one.

    At most `depth` items wait between the two. An error in either thread ends the other and is raised here.
    An interrupt is raised after 2 s at most, even if the second thread continues.
    """
    worker = _Worker(work, depth)
    worker.thread.start()
    try:
        for item in items:
            if not worker.put(item):
                break
    except Exception:
        worker.put(_End(failed=True))
        worker.thread.join()
        raise
    except BaseException:  # the command must end, even if the second thread is blocked
        worker.put(_End(failed=True), patience_seconds=_PATIENCE_SECONDS)
        worker.thread.join(_PATIENCE_SECONDS)
        raise
    worker.put(_End(failed=False))
    worker.thread.join()
    if worker.error is not None:
        raise worker.error
    return worker.result  # type: ignore[return-value]  # set whenever there is no error


@contextmanager
def made_ahead(items: Iterable[Item], *, depth: int = 8) -> Iterator[Iterator[Item]]:
    """Make items in a second thread: at most `depth` wait while one more is made.

    An error of the generator is raised when the next item is taken. The thread has ended when the block
    ends: the generator's resources can then be closed, even if items remain.
    """
    made: queue.Queue[Item | _End | BaseException] = queue.Queue()
    room = threading.Semaphore(depth)
    ended = threading.Event()

    def make() -> None:
        try:
            for item in items:
                room.acquire()
                if ended.is_set():
                    return
                made.put(item)
            made.put(_End(failed=False))
        except BaseException as error:  # handed to the caller's thread
            made.put(error)

    def taken() -> Iterator[Item]:
        while not isinstance(item := made.get(), _End):
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item

    thread = threading.Thread(target=make, name="newscaster-maker", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        ended.set()
        room.release()
        thread.join()


def computed_ahead(
    compute: Callable[[Item], Result], items: Iterable[Item], *, workers: int, name: str
) -> Generator[Result]:
    """Yield the results of items in their order; they are computed in several threads.

    Items are drawn in the thread of the caller. One more than `workers` is in progress at a time.
    Close the generator to stop early: the threads end with it.

    Args:
        compute: called in a thread.
        items: its arguments.
        workers: how many threads.
        name: prefix of the names of the threads.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        try:
            for item in items:
                pending.append(pool.submit(compute, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
