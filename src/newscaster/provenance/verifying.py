"""What a file's manifest claims, and whether it holds: read from the file, or from the sidecar beside it.

Knows how C2PA's findings are said in words. Any manifest is read, whoever wrote it; of newscaster's own, the
bytes that no signature covers are checked, too (`store`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from newscaster import media
from newscaster.errors import InputError, MediaError
from newscaster.provenance import toolkit
from newscaster.provenance.credentials import LOCAL_ORGANISATION
from newscaster.provenance.signing import SIDECAR_SUFFIX
from newscaster.provenance.statement import GENERATOR, Statement, is_newscasters
from newscaster.provenance.store import NotAsWrittenError, check_store, embedded_store
from newscaster.watermark import FoundMark, find_mark

Verdict = Literal["unsigned", "trusted", "untrusted", "broken"]
"""No manifest; one that holds, and whose signer is trusted or not; one that does not hold."""

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/x-m4v",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
}
_WORDS = {
    "assertion.bmffHash.mismatch": "picture, sound or tags are not those that were signed",
    "assertion.dataHash.mismatch": "the file is not the one that was signed",
    "assertion.boxesHash.mismatch": "the file is not the one that was signed",
    "assertion.hashedURI.mismatch": "a statement was changed",
    "claimSignature.mismatch": "the signature does not fit",
    "claimSignature.outsideValidity": "the certificate was not valid when it was signed, or is no longer",
    "signingCredential.invalid": "the certificate is not one to sign with",
}
_ELSEWHERE = ("Remote:", "RemoteManifest:")
"""How the toolkit's message begins where it would have to fetch a manifest; not all of these have a class."""
_OF_TRUST = frozenset({"signingCredential.untrusted"})


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found out about a file."""

    path: Path
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """What does not match; or why there is no manifest."""
    sidecar: Path | None = None
    """The file that the manifest was read from, where that is not the file itself."""
    generator: str = ""
    """What made the file, as its manifest claims."""
    signer: str = ""
    """Whose certificate signed it."""
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


def verify(path: str | Path, *, trust: str | Path | None = None, watermark: bool = True) -> Verified:
    """Read the manifest of a file, check it, and look for the watermark. Nothing is fetched from a network.

    Args:
        path: a file of any format that can hold a manifest, or a video with a .c2pa file beside it.
        trust: PEM certificates of authorities whose signers are trusted; None: nobody is.
        watermark: whether pixels are looked at for newscaster's mark: all pictures are decoded for that.

    Raises:
        InputError: the file is missing, or neither a video nor of a format that can hold a manifest; `trust`
            holds no certificates.
        MissingExtraError: what reads manifests is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such file: '{path}'. Give an existing video, picture or sound file")
    sidecar = path.with_suffix(SIDECAR_SUFFIX)
    if path == sidecar:
        raise InputError(f"'{path}' is a manifest, and not what it speaks of. Give the video beside it")
    found = _read(path, sidecar, trust)
    return replace(found, watermark=_mark(path)) if watermark else found


def _read(path: Path, sidecar: Path, trust: str | Path | None) -> Verified:
    c2pa = toolkit.load()
    context = toolkit.context(c2pa, anchors=_anchors(trust))
    try:
        reader = _reader(c2pa, path, context, None)
        beside = None
    except _UnsignedError as error:
        if not sidecar.is_file():
            return Verified(path=path, verdict="unsigned", reasons=(str(error), *_of_tags(path)))
        beside = sidecar
        try:
            reader = _reader(c2pa, path, context, sidecar.read_bytes())
        except (_UnsignedError, _UnreadableError) as failure:
            return Verified(path=path, verdict="broken", reasons=(str(failure),), sidecar=sidecar)
    except _UnreadableError as error:
        return Verified(path=path, verdict="broken", reasons=(str(error),))
    return _found(path, reader, beside)


def _mark(path: Path) -> FoundMark | None:
    """The watermark; what is no video, or cannot be decoded, has none."""
    try:
        return find_mark(path)
    except MediaError:
        return None


class _UnsignedError(Exception):
    """There is no manifest."""


class _UnreadableError(Exception):
    """There is one, and it cannot be read."""


def _reader(c2pa: ModuleType, path: Path, context: Any, manifest: bytes | None) -> Any:
    mime_type = _TYPES.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            return c2pa.Reader(mime_type, file, manifest, context=context)
    except c2pa.C2paError.ManifestNotFound as error:
        raise _UnsignedError("it holds no manifest") from error
    except c2pa.C2paError.NotSupported as error:
        if manifest is None and (path.suffix.lower() in _TYPES or _is_media(path)):
            raise _UnsignedError(
                "its format has no place for a manifest, and there is none beside it"
            ) from error
        raise InputError(
            f"'{path}' is of a format that holds no manifests. Give an MP4, MOV or MKV file, a picture or "
            "a sound"
        ) from error
    except c2pa.C2paError as error:
        if str(error).startswith(_ELSEWHERE):
            raise _UnsignedError(f"its manifest lies elsewhere, and nothing is fetched ({error})") from error
        raise _UnreadableError(f"the manifest cannot be read ({error})") from error
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror or error}). Check that it may be"
        ) from error


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


def _anchors(trust: str | Path | None) -> str | None:
    """PEM certificates, checked."""
    if trust is None:
        return None
    from cryptography import x509

    try:
        data = Path(trust).read_bytes()
        x509.load_pem_x509_certificates(data)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--trust: '{trust}' holds no PEM certificates ({error}). Give a file with those of the "
            "authorities that you trust"
        ) from error
    return data.decode("ascii", "replace")


def _found(path: Path, reader: Any, sidecar: Path | None) -> Verified:
    store = json.loads(reader.json())
    manifest = store["manifests"].get(store.get("active_manifest"), {})
    reasons = list(_failures(reader.get_validation_results() or {}))
    state, statement = reader.get_validation_state(), None
    if is_newscasters(manifest):
        try:
            check_store(embedded_store(path) if sidecar is None else sidecar.read_bytes())
            statement = Statement.of_manifest(manifest)
        except NotAsWrittenError as error:
            reasons.append(str(error))
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            reasons.append(f"newscaster's own statement is not as it should be ({error!r})")
    if state == "Invalid" and not reasons:
        reasons.append("C2PA's own checks do not pass")
    signature = manifest.get("signature_info") or {}
    named = [signature.get("common_name"), signature.get("issuer")]
    return Verified(
        path=path,
        verdict="broken" if reasons else "trusted" if state == "Trusted" else "untrusted",
        reasons=tuple(dict.fromkeys(reasons)),
        sidecar=sidecar,
        generator=_generator(manifest),
        signer=", ".join(name for name in named if name),
        local=signature.get("issuer") == LOCAL_ORGANISATION,
        source_types=tuple(_source_types(manifest)),
        ingredients=tuple(str(part.get("title", "")) for part in manifest.get("ingredients", [])),
        statement=statement,
    )


def _failures(results: Mapping[str, Any]) -> Iterator[str]:
    """What does not match, in words; of the file itself and of what it was made of."""
    parts = [results.get("activeManifest") or {}]
    parts += [delta.get("validationDeltas") or {} for delta in results.get("ingredientDeltas") or []]
    for part in parts:
        for failure in part.get("failure", []):
            code = failure["code"]
            if code in _OF_TRUST:
                continue
            said = _WORDS.get(code) or str(failure.get("explanation") or code)
            where = str(failure.get("url", "")).rsplit("/", 1)[-1]
            yield f"{said} ({where})" if code == "assertion.hashedURI.mismatch" else said


def _generator(manifest: Mapping[str, Any]) -> str:
    infos = manifest.get("claim_generator_info") or [{"name": manifest.get("claim_generator", "")}]
    return ", ".join(" ".join(filter(None, (info.get("name"), info.get("version")))) for info in infos)


def _source_types(manifest: Mapping[str, Any]) -> Iterator[str]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion["data"].get("actions", []):
                if "digitalSourceType" in action:
                    yield str(action["digitalSourceType"]).rsplit("/", 1)[-1]
