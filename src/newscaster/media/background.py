"""A stream of items in two threads: what is made of them beside them, or they beside what is made of them."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0
"""How long an interrupted command waits for its other thread to let go."""


class _AbandonedError(Exception):
    """The generator failed: raised inside the worker, so that it lets go of what it holds."""


class _End:
    """Mark of the end of the items; `failed` where the generator raised."""

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
        """Hand an item over; False if the worker is no longer there to take it, or does not in time."""
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
    """Run `work(iterator over items)` in a second thread; `items` are made in this one.

    At most `depth` items wait between the two. An error of either side ends the other and is raised here. An
    interrupt is raised after 2 s at most, even if the other thread goes on.
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
    except BaseException:  # the command is to end, even if the other thread waits for what never comes
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
    """The same items, made in a second thread: up to `depth` wait, and one more is made.

    An error of theirs is raised where the next one is taken. When the block ends, so has the thread: what
    they are made of can be closed then, also where not all were taken.
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
