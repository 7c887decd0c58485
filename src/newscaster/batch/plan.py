"""Plans: rows that were checked against their command, ready to run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Protocol

from newscaster.batch.identity import Identities
from newscaster.batch.table import Row, Value, in_row, read_rows
from newscaster.errors import InputError
from newscaster.stores.remote import local_path
from newscaster.texts import quoted


class Kind(Enum):
    """What the value of a parameter is."""

    VALUE = "value"
    """A text or a number."""
    INPUT = "input"
    """A file, a folder or a URL to read, if it names one; otherwise a value, such as `builtin`."""
    FLAG = "flag"
    OUTPUT = "output"
    """A file or a folder to write."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a command."""

    option: str | None
    """Its name with the dashes; None: an argument, given by its place."""
    kind: Kind = Kind.VALUE
    repeatable: bool = False
    """Whether it is given once for each of several values."""
    values: int = 1
    """Number of values at a time."""
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """What a batch needs to know of a command."""

    name: str
    parameters: Mapping[str, Parameter]
    """By the name of their column; arguments in order."""
    output: str
    """Column of the main output."""
    suffix: str
    """Suffix of the main output, if a row names none."""


class Commands(Protocol):
    """The commands that rows may have. Pickled to worker processes."""

    def specs(self) -> Mapping[str, CommandSpec]:
        """Return the commands, by name."""

    def check(self, command: str, arguments: Sequence[str]) -> None:
        """Check arguments without doing any work.

        Raises:
            InputError: a value is missing, not accepted, or excludes another one.
        """

    def run(self, command: str, arguments: Sequence[str], *, cores: int) -> Sequence[str]:
        """Run a command, and return its warnings.

        Raises:
            NewscasterError: it failed, for a reason that a user can cause.
        """


@dataclass(frozen=True)
class Argument:
    """A part of a command line: `prefix` and `value` in one word."""

    prefix: str
    value: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked row."""

    number: int
    id: str
    command: str
    arguments: tuple[Argument, ...]
    output: str
    """The main output, as a path with / in the destination."""
    key: str
    """Changes with the command, its options, and the content of its inputs."""

    @property
    def outputs(self) -> list[str]:
        """All outputs that the row names, as paths with / in the destination."""
        return [argument.value for argument in self.arguments if argument.kind is Kind.OUTPUT]


def plans(table: Path, commands: Commands, identities: Identities) -> Iterator[Plan]:
    """Check the rows of a table, one at a time.

    Raises:
        InputError: a row cannot be used, or two write the same file.
        MissingExtraError: see :func:`read_rows`.
    """
    specs = commands.specs()
    writers: dict[bytes, int] = {}
    for row in read_rows(table):
        place = in_row(table, row.number)
        plan = _plan(row, specs, commands, identities, place)
        for output in plan.outputs:
            name = hashlib.blake2b(output.casefold().encode(), digest_size=12).digest()
            if (first := writers.setdefault(name, row.number)) != row.number:
                raise InputError(f"{place} writes {quoted(output)}, as row {first} does. Name another output")
        yield plan


def _plan(
    row: Row, specs: Mapping[str, CommandSpec], commands: Commands, identities: Identities, place: str
) -> Plan:
    spec = specs.get(row.command)
    if spec is None:
        raise InputError(f"{place}: the command is {quoted(row.command)}; accepted are {', '.join(specs)}")
    options = {spec.output: f"{row.id}{spec.suffix}", **row.options}
    if unknown := [name for name in options if name not in spec.parameters]:
        raise InputError(
            f"{place}: `{row.command}` has no option {quoted(unknown[0])}; accepted are "
            f"{', '.join(spec.parameters)}"
        )
    missing = [name for name, p in spec.parameters.items() if p.required and name not in options]
    if missing:
        raise InputError(f"{place}: `{row.command}` needs {quoted(missing[0])}. Add that column")
    optional: list[Argument] = []
    positional: list[Argument] = []
    for name, parameter in spec.parameters.items():
        if name in options:
            words = _arguments(parameter, options[name], f"{place}, {name!r}")
            (positional if parameter.option is None else optional).extend(words)
    arguments = (*optional, *([Argument("--", "", Kind.VALUE)] if positional else ()), *positional)
    try:
        commands.check(row.command, [f"{a.prefix}{a.value}" for a in arguments])
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    located = tuple(_located(argument, identities) for argument in arguments)
    return Plan(
        number=row.number,
        id=row.id,
        command=row.command,
        arguments=located,
        output=_relative(str(options[spec.output]), place),
        key=_key(row.command, located, identities),
    )


def _arguments(parameter: Parameter, value: Value, place: str) -> Iterator[Argument]:
    """Yield the words of a command line for a parameter."""
    option = parameter.option
    if parameter.kind is Kind.FLAG:
        if _is_true(value, place):
            assert option is not None
            yield Argument(option, "", Kind.VALUE)
        return
    if isinstance(value, bool):
        raise InputError(f"{place} is {str(value).lower()}; expected a value")
    texts = (value,) if isinstance(value, str) else value
    wanted = parameter.values
    if not parameter.repeatable and len(texts) != wanted:
        raise InputError(f"{place} has {len(texts)} values; expected {wanted}")
    if parameter.kind is Kind.OUTPUT:
        texts = tuple(_relative(text, place) for text in texts)
    if option is not None and wanted > 1:
        yield Argument(option, "", Kind.VALUE)
    prefix = f"{option}=" if option is not None and wanted == 1 else ""
    for text in texts:
        if text == "-":
            raise InputError(f"{place} is '-': rows have no standard input. Name a file")
        yield Argument(prefix, text, parameter.kind)


def _is_true(value: Value, place: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    truth = value if isinstance(value, bool) else words.get(str(value).strip().lower())
    if truth is None:
        raise InputError(f"{place} is {quoted(value)}; expected true or false")
    return truth


def _relative(text: str, place: str) -> str:
    """Return the path of an output in the destination, with /."""
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise InputError(
            f"{place} is {quoted(text)}; expected a path below the destination, such as 'a/b.mp4'"
        )
    if any(part.startswith(".") for part in path.parts):
        raise InputError(f"{place} is {quoted(text)}; its names must not begin with a dot. Rename it")
    return str(path)


def _located(argument: Argument, identities: Identities) -> Argument:
    """Make the path of an existing input absolute: workers may run elsewhere."""
    if argument.kind is Kind.INPUT and identities.is_local_file(argument.value):
        return Argument(argument.prefix, str(local_path(argument.value).absolute()), argument.kind)
    return argument


def _key(command: str, arguments: Sequence[Argument], identities: Identities) -> str:
    words = [[a.prefix, identities.identity(a.value) if a.kind is Kind.INPUT else a.value] for a in arguments]
    return hashlib.sha256(json.dumps([command, words]).encode()).hexdigest()[:32]
