"""Trust lists: PEM certificates of authorities whose signers and time stamps are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from newscaster.errors import InputError
from newscaster.provenance.findings import day
from newscaster.safety.readers import read_option

MAX_TRUST_BYTES = 16 << 20
"""Maximum size of a trust list; those of browsers have 0.25 MB."""


@dataclass(frozen=True, kw_only=True)
class TrustAnchor:
    """One certificate of a trust list."""

    name: str
    pem: str
    start: datetime
    end: datetime

    def is_valid_at(self, time: datetime) -> bool:
        """Return whether the certificate is valid at a time."""
        return self.start <= time <= self.end

    def validity_text(self, time: datetime) -> str:
        """Describe why the certificate is not valid at a time."""
        has_ended = time > self.end
        error = f"ended on {day(self.end)}" if has_ended else f"is not valid before {day(self.start)}"
        return f"the certificate of the authority {self.name!r} {error}"


def read_anchors(trust: str | Path | None) -> list[TrustAnchor]:
    """Read the certificates of a trust list; none if there is no list.

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
            f"--trust: '{trust}' holds no PEM certificates ({error}). Give a file with the "
            "certificates of the authorities that you trust"
        ) from error
    return [
        TrustAnchor(
            name=certificate.subject.rfc4514_string(),
            pem=certificate.public_bytes(Encoding.PEM).decode("ascii"),
            start=certificate.not_valid_before_utc,
            end=certificate.not_valid_after_utc,
        )
        for certificate in certificates
    ]
