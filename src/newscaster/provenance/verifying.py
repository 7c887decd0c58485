"""Verification of the manifest of a file, embedded or in a sidecar.

Reads manifests of any origin. In newscaster's own, it also checks the bytes that no signature covers
(`store`). Leaves the meaning of the toolkit's codes to `findings`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from newscaster import media
from newscaster.errors import InputError, MediaError
from newscaster.provenance import toolkit
from newscaster.provenance.credentials import LOCAL_ORGANISATION
from newscaster.provenance.findings import KINDS, Finding, Validity, day, findings_of
from newscaster.provenance.limits import TooLargeError, check_limits, is_too_large, read_sidecar
from newscaster.provenance.signing import SIDECAR_SUFFIX, media_type_of
from newscaster.provenance.statement import GENERATOR, Statement, is_newscasters
from newscaster.provenance.store import (
    MalformedManifestError,
    check_store,
    check_uncovered_boxes,
    embedded_store,
)
from newscaster.provenance.trust import TrustAnchor, read_anchors
from newscaster.watermark import FoundMark, find_mark

Verdict = Literal[
    "unsigned",
    "trusted",
    "untrusted",
    "expired",
    "not_yet_valid",
    "revoked",
    "unfit",
    "unsupported",
    "unknown",
    "malformed",
    "broken",
]
"""No manifest; a valid one with a trusted or untrusted signer; a certificate that has ended, is not valid
yet, was revoked or is not suitable for signing; a manifest that cannot be checked, because of an unsupported
algorithm, a result that this version does not know, or its form; and a file that was changed."""

_REMOTE_ERRORS = ("Remote:", "RemoteManifest:")
"""First words of the toolkit's errors if a manifest is remote; not all of them have an error class."""
_MAX_NOTES = 3
"""Maximum number of authorities named as no longer or not yet valid."""
_TEXT_MEDIA = (".svg", ".pdf")
"""Suffixes of texts that may hold a manifest."""
_TIMED = ("expired", "not_yet_valid")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The result of the verification of a file."""

    path: Path
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """Errors, the most severe first; or why there is no manifest."""
    notes: tuple[str, ...] = ()
    """Further findings, which do not affect the verdict."""
    sidecar: Path | None = None
    """The file with the manifest; None if the manifest is embedded."""
    generator: str = ""
    """The program that made the file, according to its manifest."""
    signer: str = ""
    """The subject of the signing certificate."""
    certificate_start: datetime | None = None
    """Start of validity of that certificate; None if there is none, or it cannot be read."""
    certificate_end: datetime | None = None
    """End of its validity."""
    signed_at: datetime | None = None
    """Time stamp of the signature, if `trust` holds its authority."""
    local: bool = False
    """Whether that is one of newscaster's local certificates, which anyone can make."""
    source_types: tuple[str, ...] = ()
    """IPTC digital source types of its actions."""
    ingredients: tuple[str, ...] = ()
    """Titles of its ingredients."""
    statement: Statement | None = None
    """newscaster's statement, if newscaster made it."""
    watermark: FoundMark | None = None
    """newscaster's watermark, which survives removal of the manifest; None: not found, or not searched."""

    @property
    def holds(self) -> bool:
        """Whether the file has a valid manifest."""
        return self.verdict in ("trusted", "untrusted")

    @property
    def unchanged(self) -> bool:
        """Whether file and signature match, whatever the state of the certificate."""
        return self.holds or self.verdict in (*_TIMED, "revoked", "unfit")


def verify(path: str | Path, *, trust: str | Path | None = None, watermark: bool = True) -> Verified:
    """Read and check the manifest of a file, and detect the watermark, without network access.

    A manifest of more than 64 MB, or a file that C2PA's toolkit could not read in little memory, counts as
    malformed: see `limits`.

    Args:
        path: a file of any format that can hold a manifest, or a video with a .c2pa file beside it.
        trust: PEM certificates of authorities whose signers and time stamps are trusted; None: none is.
        watermark: whether to detect newscaster's watermark, which decodes up to six pieces of 5 s.

    Raises:
        InputError: the file is missing, or neither a video nor of a format that can hold a manifest; `trust`
            holds no certificates.
        MissingExtraError: the package that reads manifests is not installed.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is a folder, a pipe or a device. Give a video, image or audio file")
    if not path.is_file():
        raise InputError(f"no such file: '{path}'. Give an existing video, image or audio file")
    sidecar = path.with_suffix(SIDECAR_SUFFIX)
    if path == sidecar:
        raise InputError(f"'{path}' is a manifest, not a video. Give the video beside it")
    if path.suffix.lower() not in _TEXT_MEDIA and _is_text(path):
        raise InputError(f"'{path}' is a text, which holds no manifest. {_give_media()}")
    verified = _read(path, sidecar, trust)
    return replace(verified, watermark=_find_watermark(path)) if watermark else verified


def _read(path: Path, sidecar: Path, trust: str | Path | None) -> Verified:
    anchors = read_anchors(trust)
    verified = _check(path, sidecar, anchors)
    at = verified.signed_at or datetime.now(UTC)
    valid_anchors = [anchor for anchor in anchors if anchor.is_valid_at(at)]
    if len(valid_anchors) == len(anchors):
        return verified
    if verified.verdict == "trusted":  # the toolkit ignores the dates of authorities
        verified = _check(path, sidecar, valid_anchors)
    if verified.verdict != "untrusted":
        return verified
    notes = [f"{anchor.validity_text(at)} (--trust)" for anchor in anchors if anchor not in valid_anchors]
    more = [] if len(notes) <= _MAX_NOTES else [f"and {len(notes) - _MAX_NOTES} more of that list"]
    return replace(verified, notes=(*verified.notes, *notes[:_MAX_NOTES], *more))


def _check(path: Path, sidecar: Path, anchors: Sequence[TrustAnchor]) -> Verified:
    c2pa = toolkit.load()
    context = toolkit.context(c2pa, anchors="".join(anchor.pem for anchor in anchors) or None)
    try:
        _check_limits(path)
        reader = _reader(c2pa, path, context, None)
        beside = None
    except _UnsignedError as error:
        if not sidecar.is_file():
            reasons = (str(error), *_check_length(path), *_check_tags(path))
            return Verified(path=path, verdict="unsigned", reasons=reasons)
        beside = sidecar
        try:
            reader = _reader(c2pa, path, context, _read_sidecar(sidecar))
        except (_UnsignedError, _UnreadableError) as failure:
            return _unreadable(path, str(failure), sidecar)
    except _UnreadableError as error:
        return _unreadable(path, str(error), None)
    return _interpret(path, reader, beside)


def _unreadable(path: Path, reason: str, sidecar: Path | None) -> Verified:
    truncation = tuple(_check_length(path))
    verdict: Verdict = "broken" if truncation else "malformed"
    return Verified(path=path, verdict=verdict, reasons=(*truncation, reason), sidecar=sidecar)


def _check_length(path: Path) -> Iterator[str]:
    if missing := media.missing_bytes(path):
        yield f"the file is cut short: it lacks {missing:,} bytes of the length in its header"


def _find_watermark(path: Path) -> FoundMark | None:
    """Return the watermark; None if the file cannot be decoded as video, or is a huge image."""
    if is_too_large(path):
        return None
    try:
        return find_mark(path)
    except MediaError:
        return None


class _UnsignedError(Exception):
    """There is no manifest."""


class _UnreadableError(Exception):
    """There is a manifest, and it cannot be read."""


def _check_limits(path: Path) -> None:
    try:
        check_limits(path)
    except TooLargeError as error:
        raise _UnreadableError(str(error)) from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _read_sidecar(path: Path) -> bytes:
    try:
        return read_sidecar(path)
    except TooLargeError as error:
        raise _UnreadableError(str(error)) from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _unreadable_file(path: Path, error: OSError) -> InputError:
    return InputError(f"'{path}' cannot be read ({error.strerror or error}). Check its permissions")


def _give_media() -> str:
    suffixes = media.containers.listed(media.containers.signed_suffixes())
    return f"Give a video that ends in {suffixes}, an image or an audio file"


def _reader(c2pa: ModuleType, path: Path, context: Any, manifest: bytes | None) -> Any:
    mime_type = media_type_of(path)
    try:
        with path.open("rb") as file:
            return c2pa.Reader(mime_type, file, manifest, context=context)
    except c2pa.C2paError.ManifestNotFound as error:
        raise _UnsignedError("it holds no manifest") from error
    except c2pa.C2paError.NotSupported as error:
        if manifest is None and (mime_type is not None or _is_media(path)):
            raise _UnsignedError(
                "its format has no place for a manifest, and there is none beside it"
            ) from error
        raise InputError(f"'{path}' is of a format that holds no manifests. {_give_media()}") from error
    except c2pa.C2paError as error:
        if str(error).startswith(_REMOTE_ERRORS):
            raise _UnsignedError(f"its manifest is remote, and nothing is fetched ({error})") from error
        raise _UnreadableError(f"the manifest cannot be read ({error})") from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _is_text(path: Path) -> bool:
    try:
        return media.is_text(path)
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _is_media(path: Path) -> bool:
    try:
        media.probe(path, header_only=True)
    except MediaError:
        return False
    return True


def _check_tags(path: Path) -> Iterator[str]:
    """Yield a reason if the tags of a file without a manifest name newscaster."""
    try:
        comment = media.probe(path, header_only=True).metadata.get("comment", "")
    except MediaError:  # for example an image
        return
    if GENERATOR in comment:
        yield "its tags say that newscaster made it: it was never signed, or the manifest was removed"


def _interpret(path: Path, reader: Any, sidecar: Path | None) -> Verified:
    store = json.loads(reader.json())
    manifest = store["manifests"].get(store.get("active_manifest"), {})
    results = reader.get_validation_results() or {}
    validity, stamp = _times(reader, store.get("active_manifest"), results)
    findings = list(findings_of(results, validity))
    statement = None
    if is_newscasters(manifest):
        try:
            check_store(embedded_store(path) if sidecar is None else _read_sidecar(sidecar))
            if sidecar is None:
                check_uncovered_boxes(path)
            if _has_changed_stamp(results):
                raise MalformedManifestError("the time stamp was changed")
            statement = Statement.of_manifest(manifest)
        except MalformedManifestError as error:
            findings.append(Finding(kind="broken", text=str(error)))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            text = f"newscaster's own statement is malformed ({error!r})"
            findings.append(Finding(kind="malformed", text=text))
    state = reader.get_validation_state()
    kinds = [finding.kind for finding in findings]
    verdict: Verdict = "trusted" if state == "Trusted" else "untrusted"
    if decisive := [kind for kind in KINDS if kind in kinds]:
        verdict = decisive[0]
    elif state == "Invalid":
        verdict = "unknown"
        findings.append(Finding(kind="unknown", text="C2PA's own checks do not pass"))
    reasons = [finding.text for kind in KINDS for finding in findings if finding.kind == kind]
    if verdict == "broken":
        reasons = [*_check_length(path), *reasons]
    notes = [*stamp, *(finding.text for finding in findings if finding.kind == "note")]
    signature = manifest.get("signature_info") or {}
    names = [signature.get("common_name"), signature.get("issuer")]
    return Verified(
        path=path,
        verdict=verdict,
        reasons=tuple(dict.fromkeys(reasons)),
        notes=tuple(dict.fromkeys(notes)),
        sidecar=sidecar,
        generator=_generator(manifest),
        signer=", ".join(name for name in names if name),
        certificate_start=None if validity is None else validity.start,
        certificate_end=None if validity is None else validity.end,
        signed_at=None if validity is None else validity.signed_at,
        local=signature.get("issuer") == LOCAL_ORGANISATION,
        source_types=tuple(_source_types(manifest)),
        ingredients=tuple(str(part.get("title", "")) for part in manifest.get("ingredients", [])),
        statement=statement,
    )


def _has_changed_stamp(results: Mapping[str, Any]) -> bool:
    """Return whether a time stamp does not match this signature, in which case C2PA ignores it."""
    active = results.get("activeManifest") or {}
    failed = (*active.get("failure", []), *active.get("informational", []))
    return any(status["code"] in ("timeStamp.mismatch", "timeStamp.malformed") for status in failed)


def _times(reader: Any, label: object, results: Mapping[str, Any]) -> tuple[Validity | None, list[str]]:
    """Return the dates of certificate and time stamp, and a note on a stamp that does not count."""
    manifests = json.loads(reader.crjson()).get("manifests", [])
    signature = next((part.get("signature") or {} for part in manifests if part.get("label") == label), {})
    active = results.get("activeManifest") or {}
    kinds = ("success", "informational", "failure")
    codes = {status["code"] for kind in kinds for status in active.get(kind, [])}
    stamp = signature.get("timeStampInfo") or {}
    try:
        time = datetime.fromisoformat(stamp["timestamp"]) if "timestamp" in stamp else None
        dates = signature["certificateInfo"]["validity"]
        validity = Validity(
            start=datetime.fromisoformat(dates["notBefore"]),
            end=datetime.fromisoformat(dates["notAfter"]),
            signed_at=time if "timeStamp.trusted" in codes else None,
            now=datetime.now(UTC),
        )
    except (KeyError, TypeError, ValueError):
        return None, []
    if time is None or validity.signed_at is not None:
        return validity, []
    authority = (stamp.get("certificateInfo") or {}).get("subject") or {}
    name = authority.get("CN") or authority.get("O") or "an unnamed authority"
    return validity, [
        f"a time stamp of {day(time)} by {name} does not count: that authority is not on a list of yours "
        "(--trust)"
    ]


def _generator(manifest: Mapping[str, Any]) -> str:
    infos = manifest.get("claim_generator_info") or [{"name": manifest.get("claim_generator", "")}]
    return ", ".join(" ".join(filter(None, (info.get("name"), info.get("version")))) for info in infos)


def _source_types(manifest: Mapping[str, Any]) -> Iterator[str]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion["data"].get("actions", []):
                if "digitalSourceType" in action:
                    yield str(action["digitalSourceType"]).rsplit("/", 1)[-1]
