"""What all commands show in the same way: progress, and what the library warns of."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

ProgressReport = Callable[[str, float, float], None]
"""Progress: a phase's name, how much is done, and how much there is."""


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
    """Shows what the library has to warn of."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {record.getMessage()}", err=True)
