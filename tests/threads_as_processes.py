"""Threads that take the part of processes, for trainings by several processes within a test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from newscaster.training.processes import Processes, Several, Shard

Result = TypeVar("Result")
_SECONDS = 60.0


class _Table:
    """What the threads exchange. One runs at a time, with random numbers of its own."""

    def __init__(self, count: int) -> None:
        self.turn = threading.Lock()
        self.barrier = threading.Barrier(count, timeout=_SECONDS)
        self.values: list[Any] = [None] * count


class ThreadProcesses(Several):
    def __init__(self, table: _Table, shard: Shard) -> None:
        self._table, self.shard, self.local_count = table, shard, shard.count

    def broadcast(self, value: Any) -> Any:
        return self._exchanged(value)[0]

    def mean(self, value: Tensor) -> Tensor:
        return torch.stack(self._exchanged(value.detach().clone())).sum(dim=0) / self.shard.count

    def _exchanged(self, value: Any) -> list[Any]:
        table, random_numbers = self._table, torch.get_rng_state()
        table.values[self.shard.index] = value
        table.turn.release()
        try:
            table.barrier.wait()
            values = list(table.values)
            table.barrier.wait()
        finally:
            table.turn.acquire()
        torch.set_rng_state(random_numbers)
        return values


def in_processes(count: int, work: Callable[[Processes], Result]) -> list[Result | BaseException]:
    """Return what ``work`` returned or raised in each of several processes."""
    table = _Table(count)
    outcomes: list[Any] = [None] * count

    def run(index: int) -> None:
        with table.turn:
            try:
                outcomes[index] = work(ThreadProcesses(table, Shard(index, count)))
            except BaseException as error:
                outcomes[index] = error
                table.barrier.abort()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
