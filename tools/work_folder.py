"""The work folder of a tool: one process at a time uses it, as with the commands of newscaster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newscaster.errors import NewscasterError
from newscaster.system.leases import exclusive_lock


@contextmanager
def work_folder(folder: Path, *, what: str = "training") -> Iterator[None]:
    """Hold the exclusive right to use `folder` during the block; it is created if missing.

    Ends the program with a message if another process uses the folder, or has taken it over meanwhile, or if
    the block raises a `NewscasterError`.

    Args:
        folder: the folder.
        what: the kind of work, for the message.
    """
    try:
        with exclusive_lock(folder, what=what, next_step="name another folder with --work") as lease:
            yield
            lease.check()
    except NewscasterError as error:
        sys.exit(f"error: {error}")
