"""Withdrawing the consent to an anchor: its header is written anew, and all else is copied as it is."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from newscaster.consent import Consent
from newscaster.errors import ConsentError, InputError, OutputError
from newscaster.formats.anchor import HEADER, AnchorFile


def withdraw(path: str | Path, *, reason: str = "") -> Consent:
    """Mark an anchor's consent as withdrawn: nothing is made with it from then on, and it cannot be undone.

    Other copies of the file do not know of it.

    Args:
        path: NAME.anchor.
        reason: why, in words; shown wherever the anchor is refused.

    Returns:
        The consent as it is stored now.

    Raises:
        AnchorError: the file is missing, not an anchor, or damaged.
        ConsentError: it was withdrawn before.
        InputError: the anchor says nothing of consent.
        OutputError: the file cannot be written.
    """
    from newscaster.media import locked

    AnchorFile(Path(path))  # says what is wrong with a file that is no anchor, or is not there
    try:
        with locked(Path(path)):  # of two that withdraw at once, the second finds it withdrawn
            return _withdraw(path, reason)
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be opened ({error.strerror or error}). Give a file that can be"
        ) from error


def _withdraw(path: str | Path, reason: str) -> Consent:
    from newscaster.media import atomic_write

    file = AnchorFile(Path(path))
    consent = file.info.consent_record
    if consent is None:
        raise InputError(f"'{path}' holds no consent that could be withdrawn. Delete the file instead")
    if consent.withdrawn:
        raise ConsentError(f"the consent to '{path}' {consent.ended}. There is nothing left to do")
    consent = consent.withdraw(reason)
    with (
        atomic_write(file.path) as temporary,
        zipfile.ZipFile(file.path) as old,
        zipfile.ZipFile(temporary, "w") as new,
    ):
        for entry in old.infolist():
            with old.open(entry) as source, new.open(_like(entry), "w") as target:
                if entry.filename == HEADER:
                    header = {**json.load(source), "consent": consent.to_json()}
                    target.write(json.dumps(header, indent=1, ensure_ascii=False).encode())
                else:
                    shutil.copyfileobj(source, target, 1 << 20)
    return consent


def _like(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """A member of the same name, time and rights, whose size and place are still to be known."""
    like = zipfile.ZipInfo(entry.filename, entry.date_time)
    like.external_attr = entry.external_attr
    return like
