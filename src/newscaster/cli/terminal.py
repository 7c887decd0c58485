"""What all commands show in the same way: progress, warnings, and nothing of what other libraries print."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from newscaster.errors import NewscasterError, OutputError
from newscaster.native_output import divert_native_errors
from newscaster.texts import ONCE, escaped

ProgressReport = Callable[[str, float, float], None]
"""Progress: a phase's name, how much is done, and how much there is."""

LOG_VARIABLE = "NEWSCASTER_LOG"
"""Environment variable that names a file for what libraries write."""
_LEAST_MEMORY_BYTES = 640 << 20
"""What the libraries alone need. NumPy's linear algebra tries for ever where its workspace is refused."""


def say(line: str, *, err: bool = False) -> None:
    """Print a line, in which control characters are escaped: names from files cannot forge another line."""
    click.echo(escaped(line), err=err)


def value_text(value: str) -> str:
    """A value from a file for a line of its own: escaped, and without long runs of spaces.

    Those could fill a terminal's line, so that what follows looks like another line.
    """
    return re.sub(r"\s{3,}", "  ", escaped(value))


@contextmanager
def progress_report(*, announced: bool = True) -> Iterator[ProgressReport]:
    """A function to report progress to: bars on a terminal, a line per phase elsewhere."""
    if not sys.stderr.isatty():
        told: set[str] = set()

        def announce(phase: str, done: float, total: float) -> None:
            if announced and phase not in told:
                told.add(phase)
                click.echo(f"{phase} ...", err=True)

        yield announce
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: float, total: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield report


class Warnings(logging.Handler):
    """Shows what the library has to warn of; of records on one subject (`ONCE`) the first."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._subjects: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        subject = getattr(record, ONCE, None)
        if subject in self._subjects:
            return
        if subject is not None:
            self._subjects.add(subject)
        say(f"{record.levelname.lower()}: {record.getMessage()}", err=True)


class _OthersErrors(logging.Handler):
    """Shows errors that other libraries log, such as the traceback of a task that failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "newscaster":
            for line in logging.Formatter().format(record).split("\n"):
                say(line, err=True)


class _LogFormatter(logging.Formatter):
    """Writes records to the log so that no name in them can forge a line or steer a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        if record.name.partition(".")[0] == "newscaster":
            record.message = escaped(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escaped, super().format(record).split("\n")))


def send_library_output_to_log() -> None:
    """Keep what libraries write to standard error apart from a command's own lines, until the process ends.

    Messages of native code, Python's warnings and what other packages log go to the file that NEWSCASTER_LOG
    names, and nowhere by default. If native code crashes, Python's stack is still written to standard error.

    Raises:
        OutputError: the log cannot be written to.
    """
    named = os.environ.get(LOG_VARIABLE)
    try:
        divert_native_errors(Path(named) if named else None)
    except OSError as error:
        raise OutputError(
            f"the log '{named}' cannot be written to ({error.strerror}). Name another file in "
            f"{LOG_VARIABLE}, or none"
        ) from error
    root = logging.getLogger()
    root.addHandler(_OthersErrors())
    if named:
        log = logging.StreamHandler(os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace"))
        log.setFormatter(_LogFormatter())
        root.addHandler(log)
    logging.captureWarnings(True)
    if sys.stderr is None:  # it was closed when the command started
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    faulthandler.enable(sys.stderr)


def numpy_on_one_thread() -> None:
    """For commands that stream live; to be called before NumPy is imported.

    Threads of NumPy's own would spin beside the many small products that a listener's motion is made of, and
    take the processor from other listeners: 0.42 s of it per second of speech, where one thread takes 0.25.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


def need_memory() -> None:
    """Refuse to begin under a limit that nothing can be made under.

    Raises:
        NewscasterError: the limit is too low.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    least = min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=_LEAST_MEMORY_BYTES)
    if least < _LEAST_MEMORY_BYTES:
        raise NewscasterError(
            f"there is not enough memory: the limit is {least >> 20} MiB (ulimit -v, ulimit -d), and "
            f"{_LEAST_MEMORY_BYTES >> 20} MiB are needed at least. Raise the limit"
        )
