"""One row, in a worker process: fetch its inputs, run its command, and store its outputs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from newscaster.batch.plan import Commands, Kind, Plan
from newscaster.batch.stores import Destination, Receipt, StoredFile
from newscaster.errors import InputError, MissingExtraError, NewscasterError
from newscaster.stores.cache import fetched
from newscaster.stores.remote import StoreError, is_url
from newscaster.system.files import file_sha256
from newscaster.texts import one_line


@dataclass(frozen=True, kw_only=True)
class RowWork:
    """What workers get for every row. Pickled once for each of them."""

    commands: Commands
    destination: Destination
    cores: int
    """Cores that a row may use."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one attempt at a row."""

    files: tuple[StoredFile, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """Warnings of the command."""
    error: str | None = None
    """Why it failed, in one line; None: it is done."""
    may_succeed: bool = False
    """Whether another attempt may succeed."""
    details: str | None = None
    """Traceback of a bug."""


def do_row(plan: Plan, work: RowWork) -> Outcome:
    """Run a row. Nothing is raised but what ends the process."""
    start = time.perf_counter()
    try:
        with work.destination.workspace() as workspace:
            notes = work.commands.run(plan.command, _arguments(plan, workspace), cores=work.cores)
            files = _written(plan, workspace)
            seconds = round(time.perf_counter() - start, 3)
            work.destination.store(workspace, files, Receipt(plan.key, files, seconds))
        return Outcome(files=files, seconds=seconds, notes=tuple(notes))
    except NewscasterError as error:
        # What the user can cause stays as it is; a full disk or a store that is down may not.
        lasting = isinstance(error, InputError | MissingExtraError)
        return Outcome(
            error=one_line(str(error)), may_succeed=not lasting, seconds=time.perf_counter() - start
        )
    except Exception as error:
        return Outcome(
            error=one_line(f"{type(error).__name__}: {error}"),
            may_succeed=True,
            details=traceback.format_exc(),
            seconds=time.perf_counter() - start,
        )


def _arguments(plan: Plan, workspace: Path) -> Sequence[str]:
    """Return the command line: inputs fetched, outputs in the workspace."""
    words = []
    for argument in plan.arguments:
        value = argument.value
        if argument.kind is Kind.OUTPUT:
            path = workspace / value
            path.parent.mkdir(parents=True, exist_ok=True)
            value = str(path)
        elif argument.kind is Kind.INPUT and is_url(value):
            value = str(fetched(value))
        words.append(f"{argument.prefix}{value}")
    return words


def _written(plan: Plan, workspace: Path) -> tuple[StoredFile, ...]:
    """Return the files that the command wrote, with those beside its outputs; the main output is the last."""
    paths = sorted(path for path in workspace.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = [
        StoredFile(path.relative_to(workspace).as_posix(), path.stat().st_size, file_sha256(path))
        for path in paths
    ]
    if all(file.path != plan.output for file in files):
        raise StoreError(f"the command has not written {plan.output!r}")
    return tuple(sorted(files, key=lambda file: file.path == plan.output))
