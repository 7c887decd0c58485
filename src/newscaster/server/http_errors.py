"""Rejected requests: one sentence, with an HTTP status and a WebSocket close code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from newscaster.errors import InputError, MissingExtraError, NewscasterError, OutputError
from newscaster.stores.remote import StoreError
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
RETRY_SECONDS = 5
"""Retry-After of a 503: another studio may answer then, or this one after a restart."""
MAX_SENTENCE = 600
"""Maximum characters of an error message, which may quote a client."""

_CLOSE_CODES = {
    UNAUTHORIZED: 4401,
    FORBIDDEN: 4403,
    NOT_FOUND: 4404,
    TOO_MANY: 4429,
    CLOSING: 1001,
    BROKEN: 1011,
}
"""WebSocket close codes by status; all others are 1008, a policy violation."""


def extra_headers(status: int) -> dict[str, str]:
    """Return further headers of an error reply."""
    return {"retry-after": str(RETRY_SECONDS)} if status == CLOSING else {}


class RefusedError(NewscasterError):
    """A rejected request.

    Args:
        message: value found, values accepted, and next step.
        status: HTTP status.
    """

    def __init__(self, message: str, *, status: int = BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def refusing_full_disk(what: str) -> Iterator[None]:
    """Reject a request if the block finds the disk full.

    Args:
        what: the thing that needs room, for the message.

    Raises:
        RefusedError: the disk is full.
    """
    try:
        yield
    except (OSError, OutputError) as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            raise RefusedError(
                f"the studio's disk is full: there is no room for {what}. Free some space, for example by "
                "removing recordings and videos",
                status=DISK_FULL,
            ) from error
        raise


def status_of(error: NewscasterError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, RefusedError):
        return error.status
    if isinstance(error, OutputError):
        return BROKEN
    if isinstance(error, StoreError):
        return CLOSING
    return BAD_REQUEST if isinstance(error, InputError | MissingExtraError) else BROKEN


def close_code(status: int) -> int:
    """Return the WebSocket close code for an HTTP status."""
    return _CLOSE_CODES.get(status, 1008)


def sentence(error: BaseException) -> str:
    """Return the message of an error: one line, shortened, no lone surrogates, controls escaped."""
    message = escaped(" ".join(shown(str(error)).split()))
    return message if len(message) <= MAX_SENTENCE else f"{message[: MAX_SENTENCE - 1]}…"


def close_reason(error: BaseException) -> str:
    """Return the reason of a WebSocket close: at most 123 bytes of UTF-8 (RFC 6455, 5.5)."""
    return sentence(error).encode()[:123].decode(errors="ignore")
