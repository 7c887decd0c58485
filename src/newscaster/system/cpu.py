"""The processor: its name, and the number of usable cores."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

_limit: int | None = None
_CPU_INFO = Path("/proc/cpuinfo")


def processor_name() -> str:
    """Return the name of the processor, as far as the system tells it; at least its architecture."""
    with suppress(OSError):
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {platform.machine()}"
    return ", ".join(dict.fromkeys(filter(None, (platform.processor(), platform.machine()))))


def usable_cores() -> int:
    """Return the number of cores that this process may run on, by its CPU affinity if the system has one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if _limit is None else min(cores, _limit)


def core_limit() -> int | None:
    """Return the limit of :func:`limit_cores`; None: there is none."""
    return _limit


def limit_cores(cores: int) -> None:
    """Have this process use at most `cores`: for one of several that share a machine.

    Call it before NumPy is imported, whose threads are limited by the environment.
    """
    global _limit
    _limit = cores
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(cores)
