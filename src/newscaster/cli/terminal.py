"""What all commands show in the same way: progress, warnings, and nothing of what other libraries print."""

from __future__ import annotations

import codecs
import faulthandler
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

import click

from newscaster.cli.log_file import check_log
from newscaster.errors import NewscasterError, OutputError
from newscaster.system.native_output import divert_native_errors
from newscaster.system.os_errors import why
from newscaster.texts import ONCE, escaped, json_text

ProgressReport = Callable[[str, float, float], None]
"""Progress: a phase's name, how much is done, and how much there is."""

LOG_VARIABLE = "NEWSCASTER_LOG"
"""Environment variable that names a file for what libraries write."""
_MIN_MEMORY_BYTES = 640 << 20
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


class _Stream:
    """A text stream of which only the errors are other ones."""

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
    """Standard error: messages that cannot be written must not end the work."""

    def _errors(self) -> AbstractContextManager[None]:
        return suppress(OSError)


class _Results(_Stream):
    """Standard output: a result that cannot be written is an error, and not a file's."""

    def _errors(self) -> AbstractContextManager[None]:
        return _result_errors()


@contextmanager
def _result_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # whoever read it has gone
        raise
    except OSError as error:
        raise OutputError(
            f"standard output cannot be written to ({why(error)}). Files that were written are whole"
        ) from error


def open_standard_streams() -> None:
    """Open those of standard input, output and error that were closed when the command started: `<&-`, `>&-`.

    A file that is opened later would take their place otherwise, and native code would write to it. What is
    written there is dropped, and nothing comes in.
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
    """Have a standard output that fails be an error of its own, and a standard error that fails be none."""
    sys.stdout = cast("TextIO", _Results(sys.stdout))
    sys.stderr = cast("TextIO", _Messages(sys.stderr))


def has_written_all() -> bool:
    """Whether standard output takes the rest; otherwise that is dropped, or Python would try again."""
    try:
        sys.stdout.flush()
    except (OSError, OutputError):
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)
        return False
    return True


def json_output(facts: Mapping[str, object]) -> str:
    """Facts as JSON for standard output: what its encoding lacks is escaped as JSON has it."""
    encoding = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name
    text = json_text(facts)
    return text if encoding.startswith("utf") else json.dumps(json.loads(text), indent=2)


def send_library_output_to_log() -> None:
    """Keep what libraries write to standard error apart from a command's own lines, until the process ends.

    Messages of native code, Python's warnings and what other packages log go to the file that NEWSCASTER_LOG
    names, and nowhere by default. If native code crashes, Python's stack is still written to standard error.

    Raises:
        OutputError: the log cannot be written to.
    """
    named = os.environ.get(LOG_VARIABLE)
    if named:
        check_log(Path(named))
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
    least = min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=_MIN_MEMORY_BYTES)
    if least < _MIN_MEMORY_BYTES:
        raise NewscasterError(
            f"there is not enough memory: the limit is {least >> 20} MiB (ulimit -v, ulimit -d), and "
            f"{_MIN_MEMORY_BYTES >> 20} MiB are needed at least. Raise the limit"
        )
