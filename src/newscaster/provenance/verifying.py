"""What a file's manifest claims, and whether it holds: read from the file, or from the sidecar beside it.

Any manifest is read, whoever wrote it; of newscaster's own, the bytes that no signature covers are checked,
too (`store`). What each of the toolkit's codes proves is left to `findings`.
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
"""No manifest; a valid one whose signer is trusted or not; one whose certificate has ended, is not valid yet,
was revoked or is not one to sign with; one that cannot be checked: an unsupported algorithm, a result that
this version does not know, or a malformed manifest; and one of a file that was changed."""

_ELSEWHERE = ("Remote:", "RemoteManifest:")
"""How the toolkit's message begins where it would have to fetch a manifest; not all of these have a class."""
_MAX_NOTES = 3
"""Authorities that are named as not valid any more, or not yet."""
_TIMED = ("expired", "not_yet_valid")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found out about a file."""

    path: Path
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """What is wrong, the gravest first; or why there is no manifest."""
    notes: tuple[str, ...] = ()
    """What else was found, and does not decide."""
    sidecar: Path | None = None
    """The file that the manifest was read from, where that is not the file itself."""
    generator: str = ""
    """What made the file, as its manifest claims."""
    signer: str = ""
    """Whose certificate signed it."""
    certificate_start: datetime | None = None
    """When that certificate begins to be valid; None if there is none, or it cannot be read."""
    certificate_end: datetime | None = None
    """When it ends."""
    signed_at: datetime | None = None
    """Time stamp of the signature, if `trust` holds its authority."""
    local: bool = False
    """Whether that is one of newscaster's local certificates, which anybody can make."""
    source_types: tuple[str, ...] = ()
    """The IPTC's digital source types of what was done."""
    ingredients: tuple[str, ...] = ()
    """Titles of what it was made of."""
    statement: Statement | None = None
    """What newscaster says of it, where newscaster made it."""
    watermark: FoundMark | None = None
    """newscaster's mark in the pixels, which outlives the manifest; None: not found, or not looked for."""

    @property
    def holds(self) -> bool:
        """Whether there is a manifest, and all that it says of the file fits."""
        return self.verdict in ("trusted", "untrusted")

    @property
    def unchanged(self) -> bool:
        """Whether file and signature fit each other, whatever is wrong with the certificate."""
        return self.holds or self.verdict in (*_TIMED, "revoked", "unfit")


def verify(path: str | Path, *, trust: str | Path | None = None, watermark: bool = True) -> Verified:
    """Read the manifest of a file, check it, and look for the watermark. Nothing is fetched from a network.

    A manifest of more than 64 MB, or a file that C2PA's toolkit could not read in little memory, counts as
    malformed: see `limits`.

    Args:
        path: a file of any format that can hold a manifest, or a video with a .c2pa file beside it.
        trust: PEM certificates of authorities whose signers and time stamps are trusted; None: nobody is.
        watermark: whether pixels are looked at for newscaster's mark: up to six pieces of 5 s are decoded.

    Raises:
        InputError: the file is missing, or neither a video nor of a format that can hold a manifest; `trust`
            holds no certificates.
        MissingExtraError: what reads manifests is not installed.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is a folder, a pipe or a device. Give a video, picture or sound file")
    if not path.is_file():
        raise InputError(f"no such file: '{path}'. Give an existing video, picture or sound file")
    sidecar = path.with_suffix(SIDECAR_SUFFIX)
    if path == sidecar:
        raise InputError(f"'{path}' is a manifest, and not what it speaks of. Give the video beside it")
    found = _read(path, sidecar, trust)
    return replace(found, watermark=_mark(path)) if watermark else found


def _read(path: Path, sidecar: Path, trust: str | Path | None) -> Verified:
    anchors = read_anchors(trust)
    verified = _check(path, sidecar, anchors)
    at = verified.signed_at or datetime.now(UTC)
    dated = [one for one in anchors if one.is_valid_at(at)]
    if len(dated) == len(anchors):
        return verified
    if verified.verdict == "trusted":  # the toolkit trusts an authority for ever
        verified = _check(path, sidecar, dated)
    if verified.verdict != "untrusted":
        return verified
    notes = [f"{one.validity_text(at)} (--trust)" for one in anchors if one not in dated]
    more = [] if len(notes) <= _MAX_NOTES else [f"and {len(notes) - _MAX_NOTES} more of that list"]
    return replace(verified, notes=(*verified.notes, *notes[:_MAX_NOTES], *more))


def _check(path: Path, sidecar: Path, anchors: Sequence[TrustAnchor]) -> Verified:
    c2pa = toolkit.load()
    context = toolkit.context(c2pa, anchors="".join(one.pem for one in anchors) or None)
    try:
        _check_limits(path)
        reader = _reader(c2pa, path, context, None)
        beside = None
    except _UnsignedError as error:
        if not sidecar.is_file():
            reasons = (str(error), *_cut_short(path), *_of_tags(path))
            return Verified(path=path, verdict="unsigned", reasons=reasons)
        beside = sidecar
        try:
            reader = _reader(c2pa, path, context, _sidecar(sidecar))
        except (_UnsignedError, _UnreadableError) as failure:
            return _unreadable(path, str(failure), sidecar)
    except _UnreadableError as error:
        return _unreadable(path, str(error), None)
    return _found(path, reader, beside)


def _unreadable(path: Path, reason: str, sidecar: Path | None) -> Verified:
    cut = tuple(_cut_short(path))
    verdict: Verdict = "broken" if cut else "malformed"
    return Verified(path=path, verdict=verdict, reasons=(*cut, reason), sidecar=sidecar)


def _cut_short(path: Path) -> Iterator[str]:
    if missing := media.missing_bytes(path):
        yield f"the file is cut short: it lacks {missing:,} bytes of what its header promises"


def _mark(path: Path) -> FoundMark | None:
    """The watermark; what is no video, or cannot be decoded, has none. Nor is a huge picture looked at."""
    if is_too_large(path):
        return None
    try:
        return find_mark(path)
    except MediaError:
        return None


class _UnsignedError(Exception):
    """There is no manifest."""


class _UnreadableError(Exception):
    """There is one, and it cannot be read."""


def _check_limits(path: Path) -> None:
    try:
        check_limits(path)
    except TooLargeError as error:
        raise _UnreadableError(str(error)) from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _sidecar(path: Path) -> bytes:
    try:
        return read_sidecar(path)
    except TooLargeError as error:
        raise _UnreadableError(str(error)) from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _unreadable_file(path: Path, error: OSError) -> InputError:
    return InputError(f"'{path}' cannot be read ({error.strerror or error}). Check that it may be")


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
        raise InputError(
            f"'{path}' is of a format that holds no manifests. Give a video that ends in "
            f"{media.containers.listed(media.containers.signed_suffixes())}, a picture or a sound"
        ) from error
    except c2pa.C2paError as error:
        if str(error).startswith(_ELSEWHERE):
            raise _UnsignedError(f"its manifest lies elsewhere, and nothing is fetched ({error})") from error
        raise _UnreadableError(f"the manifest cannot be read ({error})") from error
    except OSError as error:
        raise _unreadable_file(path, error) from error


def _is_media(path: Path) -> bool:
    try:
        media.probe(path, header_only=True)
    except MediaError:
        return False
    return True


def _of_tags(path: Path) -> Iterator[str]:
    """What is odd of a file without a manifest."""
    try:
        comment = media.probe(path, header_only=True).metadata.get("comment", "")
    except MediaError:  # a picture, say
        return
    if GENERATOR in comment:
        yield "its tags say that newscaster made it: it was never signed, or the manifest was removed"


def _found(path: Path, reader: Any, sidecar: Path | None) -> Verified:
    store = json.loads(reader.json())
    manifest = store["manifests"].get(store.get("active_manifest"), {})
    results = reader.get_validation_results() or {}
    validity, stamp = _times(reader, store.get("active_manifest"), results)
    findings = list(findings_of(results, validity))
    statement = None
    if is_newscasters(manifest):
        try:
            check_store(embedded_store(path) if sidecar is None else _sidecar(sidecar))
            if sidecar is None:
                check_uncovered_boxes(path)
            if _has_changed_stamp(results):
                raise MalformedManifestError("the time stamp was changed")
            statement = Statement.of_manifest(manifest)
        except MalformedManifestError as error:
            findings.append(Finding(kind="broken", text=str(error)))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            text = f"newscaster's own statement is not as it should be ({error!r})"
            findings.append(Finding(kind="malformed", text=text))
    state = reader.get_validation_state()
    kinds = [finding.kind for finding in findings]
    verdict: Verdict = "trusted" if state == "Trusted" else "untrusted"
    if decisive := [kind for kind in KINDS if kind in kinds]:
        verdict = decisive[0]
    elif state == "Invalid":
        verdict = "unknown"
        findings.append(Finding(kind="unknown", text="C2PA's own checks do not pass"))
    reasons = [one.text for kind in KINDS for one in findings if one.kind == kind]
    if verdict == "broken":
        reasons = [*_cut_short(path), *reasons]
    notes = [*stamp, *(one.text for one in findings if one.kind == "note")]
    signature = manifest.get("signature_info") or {}
    named = [signature.get("common_name"), signature.get("issuer")]
    return Verified(
        path=path,
        verdict=verdict,
        reasons=tuple(dict.fromkeys(reasons)),
        notes=tuple(dict.fromkeys(notes)),
        sidecar=sidecar,
        generator=_generator(manifest),
        signer=", ".join(name for name in named if name),
        certificate_start=None if validity is None else validity.start,
        certificate_end=None if validity is None else validity.end,
        signed_at=None if validity is None else validity.signed_at,
        local=signature.get("issuer") == LOCAL_ORGANISATION,
        source_types=tuple(_source_types(manifest)),
        ingredients=tuple(str(part.get("title", "")) for part in manifest.get("ingredients", [])),
        statement=statement,
    )


def _has_changed_stamp(results: Mapping[str, Any]) -> bool:
    """Whether a time stamp is not of this signature. C2PA then reads the manifest as one without a stamp."""
    active = results.get("activeManifest") or {}
    failed = (*active.get("failure", []), *active.get("informational", []))
    return any(one["code"] in ("timeStamp.mismatch", "timeStamp.malformed") for one in failed)


def _times(reader: Any, label: object, results: Mapping[str, Any]) -> tuple[Validity | None, list[str]]:
    """The dates of certificate and time stamp, and a note on a stamp that does not count."""
    manifests = json.loads(reader.crjson()).get("manifests", [])
    signature = next((one.get("signature") or {} for one in manifests if one.get("label") == label), {})
    active = results.get("activeManifest") or {}
    codes = {one["code"] for kind in ("success", "informational", "failure") for one in active.get(kind, [])}
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
