"""Signing a video file before anybody sees it: within the file, or beside it where C2PA cannot."""

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
"""Of the manifest beside a file, where the file's format has no place for one."""


def can_sign() -> bool:
    """Whether what signs is installed."""
    return toolkit.is_there()


def media_type_of(path: Path) -> str | None:
    """The media type of a video that C2PA can sign, by its name; None for other files."""
    container = media.containers.container_of(path)
    return None if container is None or container.manifest is None else container.media_type


def sidecar_of(path: Path) -> Path | None:
    """The file that holds a video's manifest; None where the video itself does."""
    container = media.containers.container_of(path)
    is_beside = container is not None and container.manifest == "beside"
    return path.with_suffix(SIDECAR_SUFFIX) if is_beside else None


def sign_video(
    path: Path, statement: Statement, credentials: Credentials, *, place: Path, timestamp: str | None = None
) -> str | None:
    """Sign a finished video file that is still under another name.

    The signed file replaces `path`; a sidecar is written at once, under the name that goes with `place`.

    Args:
        path: the file, of a container that takes a manifest: see `media_type_of`.
        statement: what is said of it.
        credentials: who says so.
        place: where the file is going to be.
        timestamp: address of a time-stamp authority (RFC 3161), which is sent a hash of the signature.

    Returns:
        Why the signature has no time stamp, if one was to be had: the file is signed without it then, since
        the work would be lost otherwise.

    Raises:
        OutputError: there is no room for it.
        InputError: the certificate is not one that C2PA takes.
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
            f"'{place}' cannot be signed as {credentials.name} ({error}). Free some space there and where "
            "temporary files go, or sign with another certificate: --sign CERT KEY"
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
        manifest = builder.sign(mime_type, source, _Nowhere())
    with media.atomic_write(sidecar) as temporary:
        temporary.write_bytes(manifest)


def check_credentials(credentials: Credentials, *, timestamp: str | None = None) -> None:
    """Sign a moment of silence and read it, so that a certificate that C2PA refuses is found before any work.

    Args:
        credentials: who signs.
        timestamp: address of a time-stamp authority, which is asked for a stamp of that, too.

    Raises:
        InputError: the certificate is refused; `timestamp` is no address, does not answer, or answers with
            something else than a time stamp within the certificate's dates.
    """
    if timestamp is not None:
        check_timestamp_address(timestamp)
    c2pa = toolkit.load()
    try:
        results, _ = _signed_silence(c2pa, credentials, None)
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
            f"C2PA does not take the certificate '{credentials.name}' ({'; '.join(why)}). It asks for X.509 "
            "version 3, issued by an authority and not by itself, with the key usage digitalSignature and an "
            "extended key usage such as emailProtection"
        )
    if timestamp is not None:
        _check_timestamp(c2pa, credentials, timestamp)


def check_timestamp_address(timestamp: str) -> None:
    """Make sure that a time-stamp authority's address is one, without asking it.

    Raises:
        InputError: it is not.
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
    """Have one time stamp made and look at it."""
    try:
        results, signature = _signed_silence(c2pa, credentials, timestamp)
    except c2pa.C2paError as error:
        why = refusal(timestamp, error)
    else:
        stamp = (signature.get("timeStampInfo") or {}).get("timestamp")
        if stamp is not None and any(one["code"] == "timeStamp.validated" for one in results["success"]):
            dates = signature["certificateInfo"]["validity"]
            start, at, end = map(datetime.fromisoformat, (dates["notBefore"], stamp, dates["notAfter"]))
            if start <= at <= end:
                return
            why = f"{media.redact_url(timestamp)} stamped {day(at)}, and the certificate is valid from "
            why += f"{day(start)} to {day(end)}"
        else:
            why = f"{media.redact_url(timestamp)} did not answer with a time stamp of what it was sent"
    raise InputError(
        f"--timestamp: {why}. Nothing was made. Try again, give another address, or leave --timestamp out"
    )


def _signed_silence(
    c2pa: ModuleType, credentials: Credentials, timestamp: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sign a moment of silence: the results of its validation, and its signature as crJSON has it."""
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
    """Raise InputError if today is outside the local certificate's dates.

    No new one is made here: the clock may be what is wrong, and others may trust the certificate by now.
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
    # None: no authority is asked for a time stamp, for that needs the network.
    address = None if timestamp is None else timestamp.encode("ascii")
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, address)
    )


class _Nowhere(io.RawIOBase):
    """Takes the copy of a file that the toolkit makes where it embeds nothing, and keeps none of it."""

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
