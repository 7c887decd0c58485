"""Signing a video file before anybody sees it: within the file, or beside it where C2PA cannot."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from types import ModuleType
from typing import Any

from newscaster import media
from newscaster.errors import InputError, OutputError
from newscaster.provenance import toolkit
from newscaster.provenance.credentials import Credentials, local_folder
from newscaster.provenance.statement import Statement

SIDECAR_SUFFIX = ".c2pa"
"""Of the manifest beside a file, where the file's format has no place for one."""

_EMBEDDED = {".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime"}
_BESIDE = {".mkv": "video/x-matroska"}


def can_sign() -> bool:
    """Whether what signs is installed."""
    return toolkit.is_there()


def takes_signature(path: Path) -> bool:
    """Whether C2PA knows this kind of video file, by its name."""
    return path.suffix.lower() in {**_EMBEDDED, **_BESIDE}


def sidecar_of(path: Path) -> Path | None:
    """The file that holds a video's manifest; None where the video itself does."""
    return path.with_suffix(SIDECAR_SUFFIX) if path.suffix.lower() in _BESIDE else None


def sign_video(path: Path, statement: Statement, credentials: Credentials, *, place: Path) -> None:
    """Sign a finished video file that is still under another name.

    The signed file replaces `path`; a sidecar is written at once, under the name that goes with `place`.

    Args:
        path: the file: .mp4, .m4v, .mov or .mkv.
        statement: what is said of it.
        credentials: who says so.
        place: where the file is going to be.

    Raises:
        OutputError: there is no room for it.
        InputError: the certificate is not one that C2PA takes.
    """
    c2pa = toolkit.load()
    mime_type = {**_EMBEDDED, **_BESIDE}[path.suffix.lower()]
    builder = _builder(c2pa, statement, credentials, mime_type)
    sidecar = sidecar_of(place)
    try:
        with path.open("rb") as source:
            if sidecar is None:
                with media.replacing(path) as temporary, temporary.open("w+b") as signed:
                    builder.sign(mime_type, source, signed)
                return
            builder.set_no_embed()
            manifest = builder.sign(mime_type, source, _Nowhere())
        with media.replacing(sidecar) as temporary:
            temporary.write_bytes(manifest)
    except c2pa.C2paError as error:
        raise OutputError(
            f"'{place}' cannot be signed as {credentials.name} ({error}). Free some space there and where "
            "temporary files go, or sign with another certificate: --sign CERT KEY"
        ) from error


def check_credentials(credentials: Credentials) -> None:
    """Sign a moment of silence and read it, so that a certificate that C2PA refuses is found before any work.

    Raises:
        InputError: it is refused.
    """
    c2pa = toolkit.load()
    silence, signed = io.BytesIO(), io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16))
    silence.seek(0)
    definition = {"claim_generator_info": [{"name": "newscaster"}], "format": "audio/wav"}
    try:
        builder = c2pa.Builder(definition, context=toolkit.context(c2pa, signer=_signer(c2pa, credentials)))
        builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.ALGORITHMIC_MEDIA)
        builder.sign("audio/wav", silence, signed)
        reader = c2pa.Reader("audio/wav", signed, context=toolkit.context(c2pa))
        results = reader.get_validation_results() or {}
        why = [
            str(failure.get("explanation", failure["code"]))
            for failure in results.get("activeManifest", {}).get("failure", [])
            if failure["code"] != "signingCredential.untrusted"
        ]
    except c2pa.C2paError as error:
        why = [str(error)]
    if why and credentials.local:
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


def _builder(c2pa: ModuleType, statement: Statement, credentials: Credentials, mime_type: str) -> Any:
    context = toolkit.context(c2pa, signer=_signer(c2pa, credentials))
    return c2pa.Builder(statement.definition(mime_type=mime_type), context=context)


def _signer(c2pa: ModuleType, credentials: Credentials) -> Any:
    # None: no authority is asked for a time stamp, for that would need the network.
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, None)
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
