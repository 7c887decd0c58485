"""Refusals: what a client may not do, in one sentence, with the HTTP status and WebSocket code that fit."""

from __future__ import annotations

from newscaster.errors import InputError, MissingExtraError, NewscasterError, OutputError
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
