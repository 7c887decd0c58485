"""Turns of threads that compute: some at a time, and one at a time in Python.

Networks run without Python's lock. All else of a frame is many short calls, of which some give the lock up
for some microseconds. Two threads in that part take the lock from each other at each such call, and wait for
it nearly as long as they compute. So a thread in a turn also holds a lock of the turns, except while a
network runs.

::

    thread 1   ==== python ====|---- network ----|==== python ====|
    thread 2    waits          |==== python =====|---- network ----|

A thread must not hold a lock that other threads take in their turns while it runs a network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


class Turns:
    """Turns of threads; a context manager that any number of threads enter.

    Args:
        count: how many turns last at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._python = threading.Lock()

    def __enter__(self) -> None:
        assert _turn.get() is None, "turns of a thread do not nest"
        self._free.acquire()
        try:
            self._python.acquire()
        except BaseException:  # such as KeyboardInterrupt
            self._free.release()
            raise
        _turn.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _turn.set(None)
        self._python.release()
        self._free.release()

    def pause(self) -> None:
        """Let another turn go on: this one runs no Python until :meth:`resume`."""
        self._python.release()

    def resume(self) -> None:
        """Wait until no other turn runs Python."""
        try:
            self._python.acquire()
        except BaseException:
            self._python.acquire()  # the turn that ends now releases it
            raise


_turn: ContextVar[Turns | None] = ContextVar("turn", default=None)
"""The turn of the thread that runs."""


def outside_turn(compute: Callable[[_Given], _Result], given: _Given) -> _Result:
    """Call what computes without Python's lock for long; other turns run Python meanwhile."""
    turn = _turn.get()
    if turn is None:
        return compute(given)
    turn.pause()
    try:
        return compute(given)
    finally:
        turn.resume()
