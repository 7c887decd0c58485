"""What the worker processes of test_pool do: functions that can be imported."""

from __future__ import annotations

import logging
import os
import sys

from newscaster.errors import FootageError
from newscaster.texts import ONCE


def double(number: int) -> int:
    return 2 * number


def warn(number: int) -> int:
    logging.getLogger("newscaster.prepare").warning("about %d", number)
    return number


def warn_once(number: int) -> int:
    """As media does of a file that is read again."""
    logging.getLogger("newscaster.media").warning("%d damaged", number, extra={ONCE: "a file"})
    return number


def refuse(number: int) -> int:
    raise FootageError(f"number {number} is no good")


def shout(number: int) -> int:
    os.write(2, b"native chatter\n")
    print("python's own", file=sys.stderr, flush=True)
    return number


def die(number: int) -> int:
    os._exit(3)
