"""`newscaster batch`: many commands, listed as the rows of a table."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from newscaster.cli.exits import EXIT_DEAD_ROWS, EXIT_DONE
from newscaster.cli.opened_anchors import keeping_anchors
from newscaster.cli.terminal import handling_records, progress_report, say
from newscaster.errors import InputError, NewscasterError
from newscaster.texts import one_line, without_escapes

if TYPE_CHECKING:
    from newscaster.batch.driver import Counts
    from newscaster.batch.engine import Engine
    from newscaster.batch.plan import CommandSpec, Parameter
    from newscaster.batch.work import RowWork

_REPORT_SECONDS = 30.0
_MAIN_OUTPUTS = {
    "speak": ("output", ".mp4"),
    "dub": ("output", ".mp4"),
    "train": ("output", ".anchor"),
    "evaluate": ("json", ".json"),
}
"""Commands that rows may have: column and suffix of the main output."""
_OUTPUTS = {"output", "captions", "keep-speech", "motion", "report", "json", "save-videos"}
_INPUTS = {
    "speech",
    "anchor",
    "video",
    "footage",
    "script",
    "voice",
    "pronunciations",
    "background",
    "consent",
    "sign",
    "target",
}
_LEFT_OUT = {"help", "workers", "devices", "nodes"}
"""Options that rows may not have, beside a `--json` that prints. All rows have the same number of cores, and
further processes would start the batch again."""
_WITH_WORKERS = {"speak", "dub"}


@click.command()
@click.argument("jobs", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "to",
    required=True,
    metavar="DIR_OR_URL",
    help="Folder for the outputs, or the URL of one in an object store, such as s3://bucket/videos.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of rows worked on at a time on this machine (default: one per core).",
)
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    metavar="N",
    help="Cores for each row (default: 1).",
    default=1,
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Work on a Ray cluster: HOST:PORT, 'auto', or 'local'. Needs newscaster[cluster].",
)
@click.option(
    "--retries",
    default=2,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Further attempts for a row that failed, unless the row itself is the reason.",
)
def batch(jobs: Path, to: str, processes: int | None, cores: int, ray: str | None, retries: int) -> None:
    """Run the commands that JOBS lists, many at a time.

    JOBS: a table (.csv, .jsonl or .parquet) with one row for each command. Columns: `command` (speak, dub,
    train or evaluate; default: speak), `id`, and the options and arguments of the commands, named as theirs.
    Outputs are paths below DIR_OR_URL (default: the id). Inputs may be URLs, too.

    A row that is done is not done again: run an interrupted batch once more, and it goes on. `batch.jsonl` in
    DIR_OR_URL says what became of each row.
    """
    from newscaster.batch.driver import REPORT, run_batch
    from newscaster.batch.identity import Identities
    from newscaster.batch.plan import plans
    from newscaster.batch.stores import destination_of
    from newscaster.batch.work import RowWork

    if ray is not None and processes is not None:
        raise InputError("--processes and --ray are given; the cluster decides how many rows it works on")
    commands = RowCommands()
    identities = Identities()
    total = sum(1 for _ in plans(jobs, commands, identities))
    destination = destination_of(to)
    work = RowWork(commands=commands, destination=destination, cores=cores)
    with destination.in_use(), _counts_report() as report:
        counts = run_batch(
            plans(jobs, commands, identities),
            destination,
            _engine(work, ray, processes),
            total=total,
            retries=retries,
            on_change=report,
        )
    kept = f", {counts.kept} were done before" if counts.kept else ""
    failed = f", {counts.failed} failed" if counts.failed else ""
    say(f"{to}: {counts.done} of {counts.total} rows done in {counts.seconds:.1f} s{kept}{failed}")
    say(f"report: {to.rstrip('/')}/{REPORT}")
    if counts.failed:
        click.get_current_context().exit(EXIT_DEAD_ROWS)


def _engine(work: RowWork, ray: str | None, processes: int | None) -> Engine:
    if ray is not None:
        from newscaster.batch.on_ray import RayEngine

        return RayEngine(work, address=ray)
    from newscaster.batch.local import LocalEngine
    from newscaster.system.cpu import usable_cores

    return LocalEngine(work, processes=processes or max(1, usable_cores() // work.cores))


@contextlib.contextmanager
def _counts_report() -> Iterator[Callable[[Counts], None]]:
    """Yield a callback: a bar on a terminal, otherwise a line now and then."""
    last = time.monotonic()
    with progress_report(announced=False) as progress:

        def report(counts: Counts) -> None:
            nonlocal last
            finished = counts.total - counts.open
            progress("rows", finished, counts.total)
            if time.monotonic() - last > _REPORT_SECONDS and not sys.stderr.isatty():
                last = time.monotonic()
                left = "" if counts.seconds_left is None else f", about {_duration(counts.seconds_left)} left"
                failed = f", {counts.failed} failed" if counts.failed else ""
                say(f"{finished} of {counts.total} rows{failed}{left}", err=True)

        yield report


def _duration(seconds: float) -> str:
    """Return a time in words: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class RowCommands:
    """The commands that rows may have. See :class:`newscaster.batch.plan.Commands`."""

    def specs(self) -> Mapping[str, CommandSpec]:
        """See :class:`newscaster.batch.plan.Commands`."""
        return _specs()

    def check(self, command: str, arguments: Sequence[str]) -> None:
        """See :class:`newscaster.batch.plan.Commands`."""
        from newscaster.cli.commands import cli

        subcommand = cli.commands[command]
        try:
            with subcommand.make_context(command, list(arguments)):
                pass
        except click.ClickException as error:
            raise InputError(error.format_message()) from error

    def run(self, command: str, arguments: Sequence[str], *, cores: int) -> Sequence[str]:
        """See :class:`newscaster.batch.plan.Commands`. What the command prints is dropped."""
        from newscaster.cli.commands import cli

        words = [command, *arguments]
        if command in _WITH_WORKERS:
            words.insert(1, f"--workers={cores}")
        notes = _Notes()
        try:
            with (
                handling_records(notes),
                keeping_anchors(),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                code = cli.main(words, prog_name="newscaster", standalone_mode=False)
        except click.ClickException as error:
            raise InputError(without_escapes(error.format_message())) from error
        if isinstance(code, int) and code != EXIT_DONE:
            raise NewscasterError("; ".join(notes.lines) or f"`{command}` ended with the code {code}")
        return notes.lines


class _Notes(logging.Handler):
    """Collects the library's warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(one_line(record.getMessage()))


@cache
def _specs() -> Mapping[str, CommandSpec]:
    from newscaster.batch.plan import CommandSpec
    from newscaster.cli.commands import cli

    return {
        name: CommandSpec(
            name=name,
            parameters=dict(_parameters(cli.commands[name], output)),
            output=output,
            suffix=suffix,
        )
        for name, (output, suffix) in _MAIN_OUTPUTS.items()
    }


def _parameters(command: click.Command, main_output: str) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters of a command by their columns: the longest name of each option."""
    from newscaster.batch.plan import Kind
    from newscaster.batch.plan import Parameter as RowParameter

    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = str(parameter.name)
            yield (
                name,
                RowParameter(
                    option=None,
                    kind=Kind.INPUT,
                    repeatable=parameter.nargs == -1,
                    required=parameter.required,
                ),
            )
            continue
        assert isinstance(parameter, click.Option)
        option = max(parameter.opts, key=len)
        name = option.removeprefix("--")
        if name in _LEFT_OUT or (name == "json" and name != main_output):
            continue
        kind = Kind.VALUE
        if parameter.is_flag:
            kind = Kind.FLAG
        elif name in _OUTPUTS and isinstance(parameter.type, click.Path):
            kind = Kind.OUTPUT
        elif name in _INPUTS:
            kind = Kind.INPUT
        yield (
            name,
            RowParameter(
                option=option, kind=kind, repeatable=parameter.multiple, values=max(1, parameter.nargs)
            ),
        )
