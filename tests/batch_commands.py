"""Commands for rows of a batch that do nothing but write a file, or fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from newscaster.batch.plan import CommandSpec, Kind, Parameter
from newscaster.errors import InputError, OutputError

SPEC = CommandSpec(
    name="write",
    parameters={
        "text": Parameter(option="--text"),
        "loud": Parameter(option="--loud", kind=Kind.FLAG),
        "note": Parameter(option="--note", repeatable=True),
        "beside": Parameter(option="--beside", kind=Kind.OUTPUT),
        "output": Parameter(option="--output", kind=Kind.OUTPUT),
        "source": Parameter(option=None, kind=Kind.INPUT),
    },
    output="output",
    suffix=".txt",
)


@dataclass(frozen=True)
class WriteCommands:
    """`write` writes its text and its source; some texts have it fail in the way that they name.

    Args:
        marks: a folder in which each run leaves a file.
    """

    marks: Path

    def specs(self) -> Mapping[str, CommandSpec]:
        return {"write": SPEC, "speak": SPEC}

    def check(self, command: str, arguments: Sequence[str]) -> None:
        if "--text=unacceptable" in arguments:
            raise InputError("'unacceptable' is not accepted")

    def run(self, command: str, arguments: Sequence[str], *, cores: int) -> Sequence[str]:
        options = dict(a.split("=", 1) for a in arguments if a.startswith("--") and "=" in a)
        text = options.get("--text", "")
        attempt = sum(1 for mark in self.marks.iterdir() if mark.name.startswith(f"{text}."))
        (self.marks / f"{text}.{attempt}.{os.getpid()}").touch()
        if text == "wrong":
            raise InputError("the row is wrong")
        if text == "bug":
            raise ZeroDivisionError("a bug")
        if text == "full" or (text == "full once" and attempt == 0):
            raise OutputError("the disk is full")
        if text == "killed" or (text == "killed once" and attempt == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "nothing":
            return []
        source = Path(arguments[-1]).read_text() if "--" in arguments else ""
        if "--beside" in options:
            Path(options["--beside"]).write_text("beside")
        Path(options["--output"]).write_text(f"{text}{source}{' loud' if '--loud' in arguments else ''}")
        return [f"wrote {text}"]
