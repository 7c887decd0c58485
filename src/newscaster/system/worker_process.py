"""Worker processes: what one does first, and why one has ended.

At first, a worker leaves signals to its parent, makes sure that it ends with it, and keeps native code quiet.
"""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import _ConnectionBase
from typing import Any, TypeAlias

from newscaster.system.files import remove_temporaries
from newscaster.system.native_output import divert_native_errors

PipeEnd: TypeAlias = "_ConnectionBase[Any, Any]"
"""An end of a pipe: a Connection, or on Windows a PipeConnection."""


def begin_worker(lifeline: PipeEnd) -> None:
    """Ignore signals (the parent handles them), end with the parent, and silence native code on stderr.

    Native libraries write lines there that users cannot act on.

    Args:
        lifeline: the worker's end of a pipe on which nothing is ever sent. It closes when the parent closes
            its end
            or dies for any reason.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # often sent to the whole group; Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    divert_native_errors()


def signal_name(exit_code: int) -> str:
    """Return the name of the signal that ended a process, by its exit code, which is below 0."""
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return str(-exit_code)


def _end_with_parent(lifeline: PipeEnd) -> None:
    try:
        lifeline.recv()
    except (EOFError, OSError):
        remove_temporaries()
        os._exit(1)
