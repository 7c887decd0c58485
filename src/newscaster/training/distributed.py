"""Several processes, on one machine or more, that train one network. Lightning Fabric starts and joins them.

::

    newscaster train ... --devices 2            this process starts the same command once more
    torchrun --nproc-per-node 2 ... train ...   torchrun has started all; its environment is recognised

The processes talk by gloo on CPUs and by NCCL on GPUs. Gradients are averaged by one all-reduce of a flat
buffer after each backward pass, not by ``DistributedDataParallel``: a step calls several methods of several
networks, and that wrapper has hooks in a single ``forward``.

The connections are neither encrypted nor authenticated: all machines must be in one trusted network.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from newscaster.errors import InputError, MissingExtraError, TrainingError
from newscaster.system.cpu import usable_cores
from newscaster.training.processes import ALONE, Processes, Several, Shard

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_TIMEOUT = timedelta(hours=6)
"""For the first process to prepare footage, and to measure; a process that ends is noticed at once."""
_MAX_DEVICES = 1024


class Team(Several):
    """Processes that talk to each other through PyTorch's process group, which Fabric has set up."""

    def __init__(self, *, local_count: int) -> None:
        self.shard = Shard(distributed.get_rank(), distributed.get_world_size())
        self.local_count = local_count

    def broadcast(self, value: Any) -> Any:
        """See :class:`Several`."""
        values = [value]
        with _others():
            distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def mean(self, value: Tensor) -> Tensor:
        """See :class:`Processes`."""
        total = value.detach().clone()
        with _others():
            distributed.all_reduce(total)
        return total.div_(self.shard.count)


@contextmanager
def _others() -> Generator[None]:
    """Turn the error of a lost connection into one of newscaster."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"another process of this training has ended, or its machine cannot be reached ({error}). See "
            "its output, and run the same command again: training resumes from its last checkpoint"
        ) from error


class Launcher:
    """Starts and joins the processes of a training when they are first needed.

    Args:
        devices: processes on each machine: GPUs, or processes of a CPU.
        nodes: machines.

    Raises:
        InputError: a number is out of range, or differs from that of torchrun.
        MissingExtraError: there are several processes, and the extra ``distributed`` is not installed.
    """

    def __init__(self, devices: int = 1, nodes: int = 1) -> None:
        for name, value in (("devices", devices), ("nodes", nodes)):
            if not 1 <= value <= _MAX_DEVICES:
                raise InputError(f"{name} is {value}; expected 1 to {_MAX_DEVICES}")
        if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun has started all processes
            devices, nodes = _of_torchrun(devices, nodes)
        self._devices, self._nodes = devices, nodes
        self._processes: Processes | None = None
        self._fabric = None if devices * nodes == 1 else self._made()

    @property
    def is_first(self) -> bool:
        """Whether this process prepares, reports and writes; known before the processes are joined."""
        return self._fabric is None or self._fabric.global_rank == 0

    def processes(self) -> Processes:
        """Join the processes, and start those that are missing. The first call waits for all.

        Raises:
            TrainingError: another process cannot be reached.
        """
        if self._processes is None:
            if self._fabric is None:
                self._processes = ALONE
            else:
                with _others():
                    self._fabric.launch()
                self._processes = Team(local_count=self._devices)
        return self._processes

    def _made(self) -> Fabric:
        try:
            from lightning_fabric import Fabric
            from lightning_fabric.strategies.ddp import DDPStrategy
        except ImportError as error:
            raise MissingExtraError(
                purpose=f"training with {self._devices * self._nodes} processes",
                extra="distributed",
                package="lightning-fabric",
            ) from error
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        has_gpu = torch.cuda.is_available()
        if has_gpu and self._devices > torch.cuda.device_count():
            raise InputError(
                f"devices is {self._devices}, but PyTorch finds {torch.cuda.device_count()} GPUs here"
            )
        if not has_gpu and self._devices > usable_cores():
            raise InputError(
                f"devices is {self._devices}, but this process may use {usable_cores()} cores. Give at most "
                "one process for each core"
            )
        return Fabric(
            accelerator="cuda" if has_gpu else "cpu",
            devices=self._devices,
            num_nodes=self._nodes,
            strategy=DDPStrategy(
                timeout=_TIMEOUT, process_group_backend="cpu:gloo,cuda:nccl" if has_gpu else "gloo"
            ),
        )


def _of_torchrun(devices: int, nodes: int) -> tuple[int, int]:
    """Return the numbers of processes on each machine and of machines that torchrun has started.

    Raises:
        InputError: others were asked for.
    """
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    started = local, world // local
    if (devices, nodes) not in ((1, 1), started):
        raise InputError(
            f"devices is {devices} and nodes is {nodes}, but torchrun started {started[0]} processes on "
            f"each of {started[1]} machines. Omit both: torchrun decides"
        )
    return started
