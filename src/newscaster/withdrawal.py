"""Withdrawal of the consent to an anchor: the header is rewritten, all other members are copied."""

from __future__ import annotations

from pathlib import Path

from newscaster.consent import Consent
from newscaster.errors import ConsentError, InputError, OutputError
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.header import rewrite_header


def withdraw(path: str | Path, *, reason: str = "") -> Consent:
    """Mark the consent to an anchor as withdrawn. The anchor cannot be used any more; this is irreversible.

    Other copies of the file are not affected.

    Args:
        path: NAME.anchor.
        reason: why; shown in error messages about the anchor.

    Returns:
        The stored consent.

    Raises:
        AnchorError: the file is missing, not an anchor, or damaged.
        ConsentError: the consent was withdrawn before.
        InputError: the anchor has no record of consent.
        OutputError: the file cannot be written.
    """
    from newscaster.media import locked

    AnchorFile(Path(path))  # raises an AnchorError if the file is missing or not an anchor
    try:
        with locked(Path(path)):  # of two concurrent withdrawals, the second one fails
            return _withdraw(path, reason)
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be opened ({error.strerror or error}). Give a readable, writable file"
        ) from error


def _withdraw(path: str | Path, reason: str) -> Consent:
    file = AnchorFile(Path(path))
    consent = file.info.consent_record
    if consent is None:
        raise InputError(f"'{path}' holds no consent that could be withdrawn. Delete the file instead")
    if consent.withdrawn:
        raise ConsentError(f"the consent to '{path}' {consent.ended}. There is nothing left to do")
    consent = consent.withdraw(reason)
    rewrite_header(file, {"consent": consent.to_json()})
    return consent
