"""Refusals: what a client may not do, in one sentence, with the HTTP status and WebSocket code that fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from newscaster.errors import InputError, MissingExtraError, NewscasterError, OutputError
from newscaster.system.os_errors import NO_ROOM
from newscaster.texts import escaped, shown

BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
TIMED_OUT = 408
CONFLICT = 409
TOO_LARGE = 413
WRONG_KIND = 415
TOO_MANY = 429
BROKEN = 500
CLOSING = 503
DISK_FULL = 507
MAX_SENTENCE = 600
"""Characters of a refusal: it may hold what a client sent."""

_CLOSE_CODES = {
    UNAUTHORIZED: 4401,
    FORBIDDEN: 4403,
    NOT_FOUND: 4404,
    TOO_MANY: 4429,
    CLOSING: 1001,
    BROKEN: 1011,
}
"""WebSocket close codes by status; others are 1008, a breach of the rules."""


class RefusedError(NewscasterError):
    """A request that is not carried out.

    Args:
        message: what was found, what is accepted, and the next step.
        status: of HTTP.
    """

    def __init__(self, message: str, *, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def refusing_full_disk(what: str) -> Iterator[None]:
    """Refuse a request that the block finds no room on the disk for.

    Args:
        what: there is no room for.

    Raises:
        RefusedError: the disk takes no more.
    """
    try:
        yield
    except (OSError, OutputError) as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            raise RefusedError(
                f"the studio's disk is full: there is no room for {what}. Free some space on it, such as by "
                "removing recordings and videos",
                status=DISK_FULL,
            ) from error
        raise


def status_of(error: NewscasterError) -> int:
    """The HTTP status that an error is reported with."""
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, OutputError):
        return BROKEN
    return BAD_REQUEST if isinstance(error, InputError | MissingExtraError) else BROKEN


def close_code(status: int) -> int:
    """The WebSocket close code that goes with an HTTP status."""
    return _CLOSE_CODES.get(status, 1008)


def sentence(error: BaseException) -> str:
    """An error's message on one line, shortened, without lone surrogates, control characters escaped."""
    said = escaped(" ".join(shown(str(error)).split()))
    return said if len(said) <= MAX_SENTENCE else f"{said[: MAX_SENTENCE - 1]}…"


def close_reason(error: BaseException) -> str:
    """The reason of a WebSocket close: at most 123 bytes of UTF-8 (RFC 6455, 5.5)."""
    return sentence(error).encode()[:123].decode(errors="ignore")
