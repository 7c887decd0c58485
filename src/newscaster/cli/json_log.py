"""Log records as JSON, one object a line, for `serve` with NEWSCASTER_LOG_FORMAT=json."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from newscaster.cli.terminal import OthersErrors, Warnings
from newscaster.errors import InputError
from newscaster.texts import quoted, shown

FORMAT_VARIABLE = "NEWSCASTER_LOG_FORMAT"
"""Environment variable: `text` (default) or `json`."""
_IDS = ("session", "job")
"""Attributes of records with the ids of what they are about."""


def wants_json() -> bool:
    """Return whether the environment asks for JSON.

    Raises:
        InputError: it asks for something else.
    """
    value = os.environ.get(FORMAT_VARIABLE) or "text"
    if value not in ("text", "json"):
        raise InputError(f"{FORMAT_VARIABLE} is {quoted(value)}; expected text or json")
    return value == "json"


class JsonLines(logging.Handler):
    """Writes records to standard error: `time`, `level`, `logger`, `message`, ids, and `exception`.

    Records of newscaster from INFO on, of other libraries from WARNING on.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != "newscaster" and record.levelno < logging.WARNING:
            return
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shown(record.getMessage()),
        }
        values |= {name: str(getattr(record, name)) for name in _IDS if hasattr(record, name)}
        if record.exc_info:
            values["exception"] = shown(logging.Formatter().formatException(record.exc_info))
        print(json.dumps(values), file=sys.stderr, flush=True)


@contextmanager
def json_lines() -> Iterator[None]:
    """Log to standard error as JSON, instead of what the handlers do that other commands use."""
    root, own = logging.getLogger(), logging.getLogger("newscaster")
    replaced = [
        (logger, handler)
        for logger in (root, own)
        for handler in logger.handlers
        if isinstance(handler, Warnings | OthersErrors)
    ]
    handler, level = JsonLines(), own.level
    for logger, other in replaced:
        logger.removeHandler(other)
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeHandler(handler)
        for logger, other in replaced:
            logger.addHandler(other)
