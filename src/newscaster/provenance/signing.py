"""Signing of a video file before its release: in the file, or in a sidecar if the format has no place."""

from __future__ import annotations

import io
import json
import wave
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from newscaster import media
from newscaster.errors import InputError, OutputError
from newscaster.provenance import toolkit
from newscaster.provenance.credentials import Credentials, check_dates, local_folder
from newscaster.provenance.findings import day
from newscaster.provenance.statement import Statement
from newscaster.provenance.timestamp_errors import refusal
from newscaster.texts import quoted

SIDECAR_SUFFIX = ".c2pa"
"""Of the manifest beside a file whose format has no place for one."""


def can_sign() -> bool:
    """Return whether the packages for signing are installed."""
    return toolkit.is_there()


def media_type_of(path: Path) -> str | None:
    """Return the media type of a video that C2PA can sign, by its suffix; None for other files."""
    container = media.containers.container_of(path)
    return None if container is None or container.manifest is None else container.media_type


def sidecar_of(path: Path) -> Path | None:
    """Return the file with the manifest of a video; None if the video itself holds it."""
    container = media.containers.container_of(path)
    is_beside = container is not None and container.manifest == "beside"
    return path.with_suffix(SIDECAR_SUFFIX) if is_beside else None


def sign_video(
    path: Path, statement: Statement, credentials: Credentials, *, place: Path, timestamp: str | None = None
) -> str | None:
    """Sign a finished video file that still has a temporary name.

    The signed file replaces `path`. A sidecar is written at once, under its final name.

    Args:
        path: the file, in a container that can be signed: see `media_type_of`.
        statement: its content.
        credentials: of the signer.
        place: the final path of the file.
        timestamp: address of a time-stamp authority (RFC 3161), which receives a hash of the signature.

    Returns:
        Why the signature has no time stamp, if one was requested. The file is then signed without it, so that
        the work is not lost.

    Raises:
        OutputError: the disk is full.
        InputError: C2PA does not accept the certificate.
    """
    c2pa = toolkit.load()
    unstamped = None
    if timestamp is not None:
        try:
            _sign(c2pa, path, statement, credentials, place, timestamp)
        except c2pa.C2paError as error:
            unstamped = refusal(timestamp, error)
        else:
            return None
    try:
        _sign(c2pa, path, statement, credentials, place, None)
    except c2pa.C2paError as error:
        raise OutputError(
            f"'{place}' cannot be signed as {credentials.name} ({error}). Free some space there and in "
            "the folder for temporary files, or sign with another certificate: --sign CERT KEY"
        ) from error
    return unstamped


def _sign(
    c2pa: ModuleType,
    path: Path,
    statement: Statement,
    credentials: Credentials,
    place: Path,
    timestamp: str | None,
) -> None:
    mime_type = media_type_of(path)
    assert mime_type is not None
    context = toolkit.context(c2pa, signer=_signer(c2pa, credentials, timestamp))
    builder = c2pa.Builder(statement.definition(mime_type=mime_type), context=context)
    sidecar = sidecar_of(place)
    with path.open("rb") as source:
        if sidecar is None:
            with media.atomic_write(path) as temporary, temporary.open("w+b") as signed:
                builder.sign(mime_type, source, signed)
            return
        builder.set_no_embed()
        manifest = builder.sign(mime_type, source, _NullFile())
    with media.atomic_write(sidecar) as temporary:
        temporary.write_bytes(manifest)


def check_credentials(credentials: Credentials, *, timestamp: str | None = None) -> None:
    """Sign some silence and verify it, so that a certificate that C2PA rejects is found before any work.

    Args:
        credentials: of the signer.
        timestamp: address of a time-stamp authority, which is asked for one time stamp.

    Raises:
        InputError: the certificate is rejected; `timestamp` is no address, does not answer, or does not
            return a time stamp within the dates of the certificate.
    """
    if timestamp is not None:
        check_timestamp_address(timestamp)
    c2pa = toolkit.load()
    try:
        results, _ = _sign_silence(c2pa, credentials, None)
        why = [
            str(failure.get("explanation", failure["code"]))
            for failure in results.get("failure", [])
            if failure["code"] != "signingCredential.untrusted"
        ]
    except c2pa.C2paError as error:
        why = [str(error)]
    if why and credentials.local:
        _check_local_dates(credentials)
        raise InputError(
            f"the local signing certificate in '{local_folder()}' cannot be used ({'; '.join(why)}). Move "
            "the folder away, and a new one is made; or sign with your own: --sign CERT KEY"
        )
    if why:
        raise InputError(
            f"C2PA does not accept the certificate '{credentials.name}' ({'; '.join(why)}). It requires "
            "X.509 version 3, issued by an authority and not by itself, with the key usage "
            "digitalSignature and an extended key usage such as emailProtection"
        )
    if timestamp is not None:
        _check_timestamp(c2pa, credentials, timestamp)


def check_timestamp_address(timestamp: str) -> None:
    """Check the form of a time-stamp authority's address, without a connection.

    Raises:
        InputError: it is not an address.
    """
    try:
        parts = urlsplit(timestamp)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        usable = False
    if not usable or not timestamp.isascii() or not timestamp.isprintable() or " " in timestamp:
        raise InputError(
            f"--timestamp is {quoted(timestamp):.200}; expected the address of a time-stamp authority "
            "(RFC 3161), such as http://timestamp.example.com"
        )


def _check_timestamp(c2pa: ModuleType, credentials: Credentials, timestamp: str) -> None:
    """Request one time stamp and check it."""
    try:
        results, signature = _sign_silence(c2pa, credentials, timestamp)
    except c2pa.C2paError as error:
        why = refusal(timestamp, error)
    else:
        stamp = (signature.get("timeStampInfo") or {}).get("timestamp")
        if stamp is not None and any(
            status["code"] == "timeStamp.validated" for status in results["success"]
        ):
            dates = signature["certificateInfo"]["validity"]
            start, at, end = map(datetime.fromisoformat, (dates["notBefore"], stamp, dates["notAfter"]))
            if start <= at <= end:
                return
            why = f"{media.redact_url(timestamp)} stamped {day(at)}, and the certificate is valid from "
            why += f"{day(start)} to {day(end)}"
        else:
            why = f"{media.redact_url(timestamp)} did not answer with a time stamp of the hash sent to it"
    raise InputError(
        f"--timestamp: {why}. Nothing was made. Try again, give another address, or leave --timestamp out"
    )


def _sign_silence(
    c2pa: ModuleType, credentials: Credentials, timestamp: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sign some silence; return the results of its validation, and its signature as in crJSON."""
    silence, signed = io.BytesIO(), io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16))
    silence.seek(0)
    definition = {"claim_generator_info": [{"name": "newscaster"}], "format": "audio/wav"}
    context = toolkit.context(c2pa, signer=_signer(c2pa, credentials, timestamp))
    builder = c2pa.Builder(definition, context=context)
    builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.ALGORITHMIC_MEDIA)
    builder.sign("audio/wav", silence, signed)
    reader = c2pa.Reader("audio/wav", signed, context=toolkit.context(c2pa))
    results = reader.get_validation_results() or {}
    signature = {} if timestamp is None else json.loads(reader.crjson())["manifests"][0]["signature"]
    return results.get("activeManifest", {}), signature


def _check_local_dates(credentials: Credentials) -> None:
    """Raise InputError if today is outside the dates of the local certificate.

    The certificate is not replaced here: the clock may be wrong, and others may trust the certificate.
    """
    from cryptography import x509

    folder = local_folder()
    with suppress(ValueError):
        check_dates(
            x509.load_pem_x509_certificates(credentials.chain)[0],
            str(folder),
            remedy=f"move the folder '{folder}' away, and a new certificate is made (keep its authority.pem "
            "for videos that were signed with it); or sign with your own: --sign CERT KEY",
        )


def _signer(c2pa: ModuleType, credentials: Credentials, timestamp: str | None) -> Any:
    # None: request no time stamp, which needs the network.
    address = None if timestamp is None else timestamp.encode("ascii")
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, address)
    )


class _NullFile(io.RawIOBase):
    """Discards the copy of a file that the toolkit writes even if it embeds nothing."""

    def __init__(self) -> None:
        self._at = 0
        self._end = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        return self._at

    def tell(self) -> int:
        return self._at
