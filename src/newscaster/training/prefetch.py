"""Batches made before they are needed: in a thread, or in processes if a GPU would wait for one thread.

A batch is a function of its step alone, so that it does not matter who makes it, nor when.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch

from newscaster.errors import NewscasterError
from newscaster.system.cpu import usable_cores
from newscaster.system.worker_process import PipeEnd
from newscaster.training.processes import WHOLE, Shard

Made = TypeVar("Made")
Make = Callable[[Iterator[int], Shard], Iterable[Made]]
"""Yields what belongs to some steps, of which it is one of several makers."""

_QUEUE = 3
_MAX_PROCESSES = 8


def maker_processes(device: torch.device, *, trainings: int = 1) -> int:
    """How many processes shall make batches for this device; 0: a thread does, as a CPU has no core to spare.

    ``trainings`` processes on this machine train, and share its cores.

    What they make batches from is mapped into memory and not copied: they are forked, or there are none.
    """
    if device.type == "cpu" or sys.platform != "linux":  # a fork is not safe on macOS
        return 0
    return max(0, min(_MAX_PROCESSES, usable_cores() // trainings - 1))


def each(make: Callable[[int], Made]) -> Make[Made]:
    """Return a maker of ``make(step)`` for each step."""
    return lambda steps, maker: map(make, steps)


def prefetch(make: Make[Made], *, first_step: int, processes: int = 0) -> Iterator[Made]:
    """What ``make`` yields for the steps ``first_step``, ``first_step + 1`` and so on, made ahead of use.

    Of several processes, each has every so many steps, and its number and theirs as the second argument.

    Threads and processes end when the generator is closed. What ``make`` raises is raised here: as it is, or,
    of a process, with that process's traceback as a note.

    Raises:
        NewscasterError: a worker process was killed.
    """
    return _from_processes(make, first_step, processes) if processes else _from_thread(make, first_step)


def _from_processes(make: Make[Made], first_step: int, processes: int) -> Iterator[Made]:
    """The processes take turns; each makes its next batch while the one before waits to be fetched.

    Neither threads nor locks are shared with them, so that nothing of theirs can keep this process waiting.
    """
    if sys.platform == "win32":
        raise NotImplementedError("processes are forked, which Windows cannot: see maker_processes")
    context = multiprocessing.get_context("fork")
    ours: list[PipeEnd] = []
    makers = []
    try:
        for turn in range(processes):
            receiving, sending = context.Pipe(duplex=False)
            ours.append(receiving)
            steps = itertools.count(first_step + turn, processes)
            batches = make(steps, Shard(turn, processes))
            maker = context.Process(target=_make_all, args=(batches, sending, list(ours)), daemon=True)
            maker.start()
            makers.append(maker)
            sending.close()
        for end in itertools.cycle(ours):
            try:
                made, error = end.recv()
            except (EOFError, OSError):  # in between two batches, or within one
                raise NewscasterError(
                    "a worker process that makes training batches was killed (often out of memory). Free "
                    "some memory and run the same command again: training resumes from its last checkpoint"
                ) from None
            if error is not None:
                raise error
            yield made
    finally:
        for maker in makers:
            maker.kill()
            maker.join()
        for end in ours:
            end.close()


def _make_all(batches: Iterable[Made], sending: PipeEnd, others: list[PipeEnd]) -> None:
    """Send batches until the process is killed or the receiver is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # often sent to the whole group, whose leader decides
        signal.signal(number, signal.SIG_IGN)
    for receiving in others:  # held open here, they would keep other processes from seeing that it ended
        receiving.close()
    torch.set_num_threads(1)
    try:
        for batch in batches:
            sending.send((batch, None))
    except BrokenPipeError:
        return
    except Exception as error:
        error.add_note(f"In a process that makes batches:\n{traceback.format_exc()}")
        sending.send((None, error))


def _from_thread(make: Make[Made], first_step: int) -> Iterator[Made]:
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
        try:
            for batch in make(itertools.count(first_step), WHOLE):
                put(batch)
                if stop.is_set():
                    return
        except BaseException as error:  # handed on to the thread that waits
            put(error)

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
