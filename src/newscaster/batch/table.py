"""Rows of a batch, read from CSV, JSON Lines or Parquet one at a time."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newscaster.errors import InputError, MissingExtraError
from newscaster.system.os_errors import why
from newscaster.texts import quoted

Value = str | bool | tuple[str, ...]
"""A value of an option: a text, a flag, or several texts."""

SUFFIXES = (".csv", ".jsonl", ".parquet")
_DEFAULT_COMMAND = "speak"
_MAX_FIELD_BYTES = 4 << 20
_PARQUET_ROWS = 1000
_MAX_ID_BYTES = 150
_ID = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    number: int
    """Counted from 1, without the header."""
    id: str
    """Name of the row, and of its output if it names none. Default: `row-000001` and so on."""
    command: str
    options: Mapping[str, Value]
    """Options of the command, by name: `look-ahead`. Empty cells are dropped."""


def read_rows(path: Path) -> Iterator[Row]:
    """Read a table, one row at a time.

    The columns are the options of the commands, and `command` and `id`. A CSV file has a header; a list
    stands in it as JSON.

    Raises:
        InputError: the file cannot be read, or a row is malformed.
        MissingExtraError: the file is Parquet, and pyarrow is not installed.
    """
    readers: Mapping[str, Callable[[Path], Iterator[Mapping[str, Any]]]] = {
        ".csv": _csv_rows,
        ".jsonl": _json_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"'{path}' is no table of jobs; accepted are {', '.join(SUFFIXES)}")
    number = 0
    try:
        for number, values in enumerate(reader(path), start=1):
            yield _row(path, number, values)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({why(error)}). Give another table") from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error.reason}). Save it as UTF-8") from error
    if number == 0:
        raise InputError(f"'{path}' has no rows; expected one for each job")


def in_row(path: Path, number: int) -> str:
    """Return the start of a message about a row."""
    return f"'{path}', row {number}"


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_MAX_FIELD_BYTES)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            names = reader.fieldnames or []
            if len(set(names)) < len(names):
                raise InputError(f"'{path}' has two columns of one name. Rename or remove one")
            for number, values in enumerate(reader, start=1):
                if None in values:
                    raise InputError(
                        f"{in_row(path, number)} has more values than the header has columns. Put quotation "
                        "marks around values with commas"
                    )
                yield {name: _cell(text) for name, text in values.items()}
        except csv.Error as error:
            raise InputError(f"'{path}', line {reader.line_num}: {error}. Correct this line") from error


def _cell(text: str | None) -> Any:
    """Return the value of a cell: a JSON list of texts as such, anything else as it is."""
    if text and text.startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, list) else text
    return text


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        number = 0
        for line_number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            number += 1
            try:
                values = json.loads(line)
            except ValueError as error:
                raise InputError(f"'{path}', line {line_number}: {error}. Expected a JSON object") from error
            if not isinstance(values, dict):
                raise InputError(f"{in_row(path, number)} is {quoted(values)}; expected a JSON object")
            yield values


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(purpose="reading Parquet", extra="cluster", package="pyarrow") from error
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                yield from batch.to_pylist()
    except ArrowException as error:
        raise InputError(f"'{path}' is not Parquet, or damaged ({error}). Write it again") from error


def _row(path: Path, number: int, values: Mapping[str, Any]) -> Row:
    options: dict[str, Value] = {}
    for column, value in values.items():
        name = str(column).strip().removeprefix("--").replace("_", "-")
        if value is None or value == "" or value == []:
            continue
        if name in options:
            raise InputError(f"{in_row(path, number)}: {name!r} is given twice. Remove one column")
        options[name] = _value(value, f"{in_row(path, number)}, {name!r}")
    row_id = options.pop("id", f"row-{number:06}")
    if (
        not isinstance(row_id, str)
        or _ID.fullmatch(row_id) is None
        or len(row_id.encode(errors="replace")) > _MAX_ID_BYTES
    ):
        raise InputError(
            f"{in_row(path, number)}: the id is {quoted(row_id)}; expected a file name, without "
            f"slashes, and at most {_MAX_ID_BYTES} bytes"
        )
    command = options.pop("command", _DEFAULT_COMMAND)
    return Row(number, row_id, str(command), options)


def _value(value: Any, place: str) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        return _text(value)
    if isinstance(value, list) and all(isinstance(v, str | int | float) for v in value):
        return tuple(map(_text, value))
    raise InputError(
        f"{place} is {quoted(value)}; expected a text, a number, true or false, or a list of texts"
    )


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)
