"""Trust lists: PEM certificates of authorities whose signers and time stamps are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from newscaster.errors import InputError
from newscaster.provenance.findings import day
from newscaster.safety.readers import read_option

MAX_TRUST_BYTES = 16 << 20
"""Of a trust list; those of browsers have a quarter of a megabyte."""


@dataclass(frozen=True, kw_only=True)
class TrustAnchor:
    """One certificate of a trust list."""

    name: str
    pem: str
    start: datetime
    end: datetime

    def is_valid_at(self, time: datetime) -> bool:
        """Whether the certificate's dates include a time."""
        return self.start <= time <= self.end

    def validity_text(self, time: datetime) -> str:
        """Why the certificate is not valid at a time."""
        ended = time > self.end
        when = f"ended on {day(self.end)}" if ended else f"is not valid before {day(self.start)}"
        return f"the certificate of the authority {self.name!r} {when}"


def read_anchors(trust: str | Path | None) -> list[TrustAnchor]:
    """The certificates of a trust list; none if there is no list.

    Raises:
        InputError: the file cannot be read, or holds no PEM certificates.
    """
    if trust is None:
        return []
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = x509.load_pem_x509_certificates(read_option(Path(trust), most=MAX_TRUST_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--trust: '{trust}' holds no PEM certificates ({error}). Give a file with those of the "
            "authorities that you trust"
        ) from error
    return [
        TrustAnchor(
            name=one.subject.rfc4514_string(),
            pem=one.public_bytes(Encoding.PEM).decode("ascii"),
            start=one.not_valid_before_utc,
            end=one.not_valid_after_utc,
        )
        for one in certificates
    ]
