"""What a command says of the signature of its output."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from newscaster.cli.exits import EXIT_ERROR
from newscaster.cli.terminal import value_text

if TYPE_CHECKING:
    from newscaster.synthesis.dub_options import DubResult
    from newscaster.synthesis.result import SpeakResult


def signature_line(
    *, by: str | None, locally: bool, why_not: str | None, until: datetime | None, time_stamped: bool
) -> str:
    """Return one line: who signed a video, and until when that can be verified."""
    if why_not is not None:
        return f"not signed: {why_not}"
    line = f"signed by {value_text(by or '')}"
    if locally:
        line = "signed with a local certificate, which reveals changes but proves no identity (--sign)"
    if time_stamped:
        return f"{line}, with a time stamp"
    if until is None:
        return line
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    if until < datetime.now(UTC):
        return (
            f"{line}, but a certificate of the chain expired on {when}: no one can trust it any more (--sign)"
        )
    return f"{line}, verifiable until {when}, when the first certificate of the chain expires (--timestamp)"


def signature_of(result: SpeakResult | DubResult) -> str:
    """Return the line of a video that was made."""
    return signature_line(
        by=result.signed_by,
        locally=result.signed_locally,
        why_not=result.unsigned_because,
        until=result.signed_until,
        time_stamped=result.time_stamped,
    )


def end_if_unstamped(unstamped_because: str | None) -> None:
    """Exit with an error if a requested time stamp is missing; a log record gave the reason."""
    if unstamped_because is not None:
        click.get_current_context().exit(EXIT_ERROR)
