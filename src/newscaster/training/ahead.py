"""Batches made ahead of use: in a thread, or in processes where a GPU would wait for one thread's batches.

A batch is a function of its step alone, so that it does not matter who makes it, nor when.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from newscaster.cores import usable_cores

Made = TypeVar("Made")

_QUEUE = 3
_MOST_PROCESSES = 8
_PER_PROCESS = 4
_NO_END = 2**62


def maker_processes(device: torch.device) -> int:
    """How many processes shall make batches for this device; 0: a thread does, as a CPU has no core to spare.

    What they make batches from is mapped into memory and not copied: they are forked, or there are none.
    """
    if device.type == "cpu" or "fork" not in multiprocessing.get_all_start_methods():
        return 0
    return min(_MOST_PROCESSES, usable_cores() - 1)


def ahead(make: Callable[[int], Made], *, first_step: int, processes: int = 0) -> Iterator[Made]:
    """``make(first_step)``, ``make(first_step + 1)`` and so on without end, made ahead of use.

    Threads and processes end when the generator is closed. What ``make`` raises is raised here: as it is, or,
    of a process, as an error of the same class that holds its traceback.
    """
    return _from_processes(make, first_step, processes) if processes else _from_thread(make, first_step)


def _from_processes(make: Callable[[int], Made], first_step: int, processes: int) -> Iterator[Made]:
    loader: DataLoader[Made] = DataLoader(
        _Steps(make),
        sampler=range(first_step, _NO_END),
        batch_size=None,
        num_workers=processes,
        prefetch_factor=_PER_PROCESS,
        collate_fn=_as_it_is,
        multiprocessing_context="fork",
    )
    yield from loader


class _Steps(Dataset[Made], Generic[Made]):
    def __init__(self, make: Callable[[int], Made]) -> None:
        self._make = make

    def __getitem__(self, step: int) -> Made:
        return self._make(step)


def _as_it_is(made: Any) -> Any:
    return made


def _from_thread(make: Callable[[int], Made], first_step: int) -> Iterator[Made]:
    ready: queue.Queue[Made | BaseException] = queue.Queue(_QUEUE)
    stop = threading.Event()

    def put(item: Made | BaseException) -> None:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        step = first_step
        while not stop.is_set():
            try:
                put(make(step))
            except BaseException as error:  # handed on to the thread that waits
                put(error)
                return
            step += 1

    thread = threading.Thread(target=work, name="newscaster-batches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
