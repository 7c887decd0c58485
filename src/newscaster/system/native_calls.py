"""System calls that not every system has, each with what happens without it.

Other modules call these instead. `system` alone imports fcntl, msvcrt, resource and termios, and names
signals and functions of `os` that Windows or macOS lacks.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


def set_nonblocking(descriptor: int) -> None:
    """Have writes to a pipe return at once if it is full; no effect on Windows before Python 3.12."""
    if sys.platform != "win32" or sys.version_info >= (3, 12):
        os.set_blocking(descriptor, False)


def preempt_less() -> None:
    """Make Linux preempt threads of this process less often; no effect on other systems.

    Threads that pass the GIL on wake each other thousands of times a second. By default, each woken thread
    may preempt another at once, often the one that holds the GIL. With three clients on two cores, threads
    waited for a core as long as they ran.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # not allowed here
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def allow_open_files(count: int) -> None:
    """Raise the limit of open files to `count`, as far as this process may; no effect on Windows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def memory_limit_bytes() -> int | None:
    """Return the lowest memory limit of this process (ulimit -v, ulimit -d); None if it has none."""
    if sys.platform == "win32":
        return None
    import resource

    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)


def total_memory_bytes() -> int | None:
    """Return the memory of this machine, regardless of limits; None on Windows."""
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def unacknowledged_bytes(socket: int) -> int:
    """Return the bytes in the kernel that the peer of a socket has not acknowledged; 0 on Windows.

    Raises:
        OSError: the socket is closed.
    """
    if sys.platform == "win32":
        return 0
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, started with `start_new_session`, and its children; on Windows the process alone."""
    with suppress(ProcessLookupError, PermissionError):  # already ended
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
