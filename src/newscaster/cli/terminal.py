"""Terminal output that all commands share: progress, warnings, standard streams, and the library log."""

from __future__ import annotations

import codecs
import faulthandler
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from newscaster.cli.log_file import check_log
from newscaster.cli.option_names import named_here
from newscaster.errors import NewscasterError, OutputError
from newscaster.system.native_calls import memory_limit_bytes
from newscaster.system.native_output import divert_native_errors
from newscaster.system.os_errors import why
from newscaster.texts import ONCE, escaped, json_text

if TYPE_CHECKING:
    from newscaster.types import Progress

LOG_VARIABLE = "NEWSCASTER_LOG"
"""Environment variable with the file for library output."""
_MIN_MEMORY_BYTES = 640 << 20
"""Need of the libraries alone. NumPy's linear algebra retries forever if its workspace is refused."""


def say(line: str, *, err: bool = False) -> None:
    """Print a line with control characters escaped: names from files cannot forge another line."""
    click.echo(escaped(line), err=err)


def value_text(value: str) -> str:
    """Escape a value from a file, and shorten long runs of spaces.

    Those could fill a terminal's line, so that what follows looks like another line.
    """
    return re.sub(r"\s{3,}", "  ", escaped(value))


@contextmanager
def progress_report(*, announced: bool = True) -> Iterator[Progress]:
    """Yield a progress callback: bars on a terminal, otherwise a line per phase."""
    if not sys.stderr.isatty():
        announced_phases: set[str] = set()

        def announce(phase: str, done: float, total: float) -> None:
            if announced and phase not in announced_phases:
                announced_phases.add(phase)
                click.echo(f"{phase} ...", err=True)

        yield announce
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBars

    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with ProgressBars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: float, total: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield report


@contextmanager
def handling_records(handler: logging.Handler) -> Iterator[None]:
    """Pass the library's log records to a handler."""
    logger = logging.getLogger("newscaster")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class Warnings(logging.Handler):
    """Prints the library's log records; of records on one subject (`ONCE`), only the first."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._subjects: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        subject = getattr(record, ONCE, None)
        if subject in self._subjects:
            return
        if subject is not None:
            self._subjects.add(subject)
        say(f"{record.levelname.lower()}: {named_here(record.getMessage())}", err=True)


class OthersErrors(logging.Handler):
    """Prints errors that other libraries log, such as the traceback of a failed task."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "newscaster":
            for line in logging.Formatter().format(record).split("\n"):
                say(line, err=True)


class _LogFormatter(logging.Formatter):
    """Log formatter that escapes names, so that they cannot forge a line or control a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        if record.name.partition(".")[0] == "newscaster":
            record.message = escaped(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escaped, super().format(record).split("\n")))


class _Stream:
    """A text stream with its own error handling."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._errors():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._errors():
            self._stream.flush()

    def _errors(self) -> AbstractContextManager[None]:
        raise NotImplementedError


class _Messages(_Stream):
    """Standard error: failed writes are ignored."""

    def _errors(self) -> AbstractContextManager[None]:
        return suppress(OSError)


class _Results(_Stream):
    """Standard output: a failed write raises `OutputError`."""

    def _errors(self) -> AbstractContextManager[None]:
        return _result_errors()


@contextmanager
def _result_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader has closed it
        raise
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written to ({why(error)}). Output files are complete"
        ) from error


def open_standard_streams() -> None:
    """Open the standard streams that were closed at the start (`<&-`, `>&-`) on the null device.

    Otherwise, a file opened later would get their descriptor, and native code would write to it.
    """
    closed = [
        number for number, name in enumerate(("stdin", "stdout", "stderr")) if getattr(sys, name) is None
    ]
    for number in closed:
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
    for number in closed:
        stream = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
        setattr(sys, ("stdin", "stdout", "stderr")[number], stream)


def watch_standard_streams() -> None:
    """Turn write errors of standard output into `OutputError`, and ignore those of standard error."""
    sys.stdout = cast("TextIO", _Results(sys.stdout))
    sys.stderr = cast("TextIO", _Messages(sys.stderr))


def has_written_all() -> bool:
    """Flush standard output; on failure, drop the rest (Python would retry) and return False."""
    try:
        sys.stdout.flush()
    except (OSError, OutputError):
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)
        return False
    return True


def json_output(values: Mapping[str, object]) -> str:
    """Format values as JSON for standard output; escape what its encoding lacks."""
    encoding = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name
    text = json_text(values)
    return text if encoding.startswith("utf") else json.dumps(json.loads(text), indent=2)


def send_library_output_to_log() -> None:
    """Redirect library output on standard error to the log, until the process ends.

    Messages of native code, Python's warnings and log records of other packages go to the file in
    NEWSCASTER_LOG, and are dropped by default. If native code crashes, Python's stack still goes to standard
    error.

    Raises:
        OutputError: the log cannot be written to.
    """
    log_path = os.environ.get(LOG_VARIABLE)
    if log_path:
        check_log(Path(log_path))
    try:
        divert_native_errors(Path(log_path) if log_path else None)
    except OSError as error:
        raise OutputError(
            f"the log '{log_path}' cannot be written to ({error.strerror}). Set {LOG_VARIABLE} to another "
            "file, or unset it"
        ) from error
    root = logging.getLogger()
    root.addHandler(OthersErrors())
    if log_path:
        log = logging.StreamHandler(os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace"))
        log.setFormatter(_LogFormatter())
        root.addHandler(log)
    logging.captureWarnings(True)
    faulthandler.enable(sys.stderr)


def numpy_on_one_thread() -> None:
    """Limit NumPy to one thread, for live commands; call it before NumPy is imported.

    The motion of a client takes many small matrix products. NumPy's threads would spin between them and slow
    other clients: 0.42 s of CPU time per second of speech, against 0.25 s with one thread.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


def need_memory() -> None:
    """Refuse to start under a memory limit that is too low.

    Raises:
        NewscasterError: the limit is too low.
    """
    least = memory_limit_bytes()
    if least is not None and least < _MIN_MEMORY_BYTES:
        raise NewscasterError(
            f"the memory limit is {least >> 20} MiB (ulimit -v, ulimit -d); at least "
            f"{_MIN_MEMORY_BYTES >> 20} MiB are needed. Raise the limit"
        )
