"""The number of usable processor cores."""

from __future__ import annotations

import os

_limit: int | None = None


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
