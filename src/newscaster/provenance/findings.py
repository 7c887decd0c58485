"""Classification of the toolkit's validation codes (C2PA 2.2, section 15.2.2).

Each cause has its own kind: an expired certificate does not prove a change, and an unknown code proves
neither. Leaves reading manifests to `verifying`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal[
    "broken", "malformed", "unknown", "unsupported", "unfit", "revoked", "expired", "not_yet_valid"
]
KINDS: tuple[Kind, ...] = (
    "broken",
    "malformed",
    "unknown",
    "unsupported",
    "unfit",
    "revoked",
    "expired",
    "not_yet_valid",
)
"""By severity: the first kind found is the verdict. All findings are reported."""

_CHANGED = {
    "assertion.bmffHash.mismatch": "video, audio or tags are not those that were signed",
    "assertion.dataHash.mismatch": "the file is not the one that was signed",
    "assertion.boxesHash.mismatch": "the file is not the one that was signed",
    "assertion.collectionHash.mismatch": "the file is not the one that was signed",
    "assertion.hashedURI.mismatch": "a statement was changed",
    "assertion.missing": "a statement was removed",
    "assertion.undeclared": "a statement was added",
    "assertion.outsideManifest": "a statement was moved out of the manifest",
    "assertion.notRedacted": "a statement was removed, and the manifest does not say so",
    "claimSignature.mismatch": "the signature does not fit",
    "claimSignature.missing": "the signature was removed",
    "hashedURI.mismatch": "a part of the manifest was changed",
    "hashedURI.missing": "a part of the manifest was removed",
    "ingredient.hashedURI.mismatch": "an ingredient was changed",
    "ingredient.manifest.mismatch": "an ingredient's manifest was changed",
    "ingredient.manifest.missing": "an ingredient's manifest was removed",
    "ingredient.claimSignature.mismatch": "an ingredient's signature does not fit",
    "ingredient.claimSignature.missing": "an ingredient's signature was removed",
}
_EXPIRED = ("signingCredential.expired", "claimSignature.outsideValidity")
_REVOKED = ("signingCredential.revoked", "signingCredential.ocsp.revoked")
_NOTES = {
    "timeStamp.untrusted": "",  # `verifying` reports it with its date
    "signingCredential.ocsp.unknown": "its authority does not know whether the certificate was revoked",
}
_IGNORED = (
    "signingCredential.untrusted",
    "signingCredential.ocsp.skipped",
    "signingCredential.ocsp.inaccessible",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of the validation."""

    kind: Kind | Literal["note"]
    """The cause; a note does not affect the verdict."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Validity:
    """The dates of a certificate, and of its use."""

    start: datetime
    end: datetime
    signed_at: datetime | None
    """The time stamp, if its authority is trusted."""
    now: datetime

    def finding(self, subject: str = "the signer's certificate") -> Finding | None:
        """Return the error in the time of the signature, or of now if it has no trusted time stamp."""
        at = self.signed_at or self.now
        stamp = "" if self.signed_at is None else f", and the time stamp is of {day(self.signed_at)}"
        if at > self.end:
            return Finding(kind="expired", text=f"{subject} ended on {day(self.end)}{stamp}")
        if at < self.start:
            clock = stamp or f", and this machine's clock reads {day(self.now)}: is the clock right?"
            return Finding(
                kind="not_yet_valid", text=f"{subject} is not valid before {day(self.start)}{clock}"
            )
        return None


def day(time: datetime) -> str:
    """Format a time to the minute, in UTC."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def findings_of(results: Mapping[str, Any], validity: Validity | None) -> Iterator[Finding]:
    """Yield the findings of the toolkit about a file and its ingredients.

    Args:
        results: of the toolkit's `get_validation_results`.
        validity: of the signer's certificate; None if it is unknown.
    """
    active = results.get("activeManifest") or {}
    failures = [*active.get("failure", [])]
    failures += [
        status for status in active.get("informational", []) if status["code"].startswith("timeStamp.")
    ]
    for failure in failures:
        yield from _finding(failure, validity)
    for delta in results.get("ingredientDeltas") or []:
        for failure in (delta.get("validationDeltas") or {}).get("failure", []):
            for finding in _finding(failure, None):
                if "ingredient" in finding.text:
                    yield finding
                else:
                    yield Finding(kind=finding.kind, text=f"of an ingredient: {finding.text}")


def _finding(failure: Mapping[str, Any], validity: Validity | None) -> Iterator[Finding]:
    code = str(failure["code"])
    explanation = str(failure.get("explanation") or code)
    place = str(failure.get("url") or "").rsplit("/", 1)[-1]
    if code in _IGNORED:
        return
    if code in _CHANGED:
        where = f" ({place})" if code.startswith("assertion.") and "Hash." not in code and place else ""
        yield Finding(kind="broken", text=_CHANGED[code] + where)
    elif code in _EXPIRED:
        finding = validity.finding() if validity is not None else None
        yield finding or Finding(
            kind="expired", text=f"the signer's certificate was not valid at that time ({explanation})"
        )
    elif code in _REVOKED:
        yield Finding(kind="revoked", text="the signer's certificate was revoked by its authority")
    elif code == "signingCredential.invalid":
        yield Finding(kind="unfit", text=f"the certificate is not suitable for signing ({explanation})")
    elif code in ("algorithm.unsupported", "algorithm.deprecated"):
        yield Finding(kind="unsupported", text=f"an algorithm is not supported ({explanation})")
    elif code in _NOTES:
        if _NOTES[code]:
            yield Finding(kind="note", text=_NOTES[code])
    elif code.startswith("timeStamp."):
        yield Finding(kind="note", text=f"the time stamp cannot be used ({explanation})")
    elif code.startswith(("claim.", "assertion.", "manifest.", "ingredient.", "hashedURI.")):
        yield Finding(kind="malformed", text=f"the manifest is malformed ({explanation}: {code})")
    else:
        yield Finding(
            kind="unknown", text=f"a check that this version does not know failed ({explanation}: {code})"
        )
