"""The number of usable processor cores."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return the number of cores that this process may run on, by its CPU affinity if the system has one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
