"""Sound files from clients: limited in size, time and kind before anything decodes them.

A kind is told by a file's first bytes, not by its name: playlists and the like, which make a decoder read
other files, are none of those accepted.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from newscaster import media
from newscaster.errors import MediaError
from newscaster.server.http_errors import TIMED_OUT, TOO_LARGE, WRONG_KIND, RefusedError
from newscaster.server.settings import Limits

KINDS = "WAV, FLAC, MP3, Ogg, WebM, MP4/M4A or AIFF"
PARTIAL = ".part"
"""Suffix of a file that is coming in."""
_MAX_MARK = 12
_DECODERS = 2
"""Uploads that are decoded at once; others wait. They must not take the threads that sessions need."""
_OTHER_KINDS = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
)


def audio_suffix(begin: bytes) -> str | None:
    """The ending of a sound file that begins like this; None for a kind that is not accepted."""
    if begin[:4] in (b"RIFF", b"RF64") and begin[8:12] == b"WAVE":
        return ".wav"
    if begin[:4] == b"FORM" and begin[8:12] in (b"AIFF", b"AIFC"):
        return ".aiff"
    if begin[4:8] == b"ftyp":
        return ".mp4"
    for mark, suffix in (
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
        (b"\x1aE\xdf\xa3", ".webm"),
        (b"ID3", ".mp3"),
    ):
        if begin.startswith(mark):
            return suffix
    is_mpeg = (
        len(begin) > 1 and begin[0] == 0xFF and begin[1] & 0xE6 == 0xE2
    )  # layer III, no reserved version
    return ".mp3" if is_mpeg else None


def _kind_of(begin: bytes) -> str:
    """What a file is that begins like this, as far as that can be told."""
    for mark, kind in _OTHER_KINDS:
        if begin.startswith(mark):
            return kind
    is_text = all(byte >= 32 or byte in b"\t\n\r" for byte in begin)
    return "a text" if is_text and begin.isascii() else "of an unknown kind"


async def receive_audio(stream: AsyncIterator[bytes], folder: Path, *, limits: Limits) -> tuple[Path, float]:
    """Write a request's body to a new file in `folder`, if it is a sound file within limits.

    The caller removes it. Its length, in seconds, is what could be decoded.

    Raises:
        RefusedError: it is too large, too long, of another kind, damaged, or stops coming in.
    """
    temporary = folder / f"{secrets.token_hex(8)}{PARTIAL}"
    try:
        size, begin = await _write(stream, temporary, limits)
        suffix = audio_suffix(begin)
        if suffix is None:
            what = "is empty" if not size else f"is {_kind_of(begin)}, not a sound file"
            raise RefusedError(f"the file {what}. Choose another: {KINDS}", status=WRONG_KIND)
        path = temporary.with_suffix(suffix)
        temporary.rename(path)
        try:
            seconds = await _checked(path, limits)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path, seconds
    finally:
        temporary.unlink(missing_ok=True)


async def _write(stream: AsyncIterator[bytes], path: Path, limits: Limits) -> tuple[int, bytes]:
    """Size and first bytes of what has been written."""
    size, begin = 0, b""
    with path.open("wb") as file:
        while True:
            try:
                async with asyncio.timeout(limits.stall_seconds):
                    part = await anext(stream, None)
            except TimeoutError:
                raise RefusedError(
                    f"nothing of the upload came in for {limits.stall_seconds:g} s. Send it again",
                    status=TIMED_OUT,
                ) from None
            if part is None:
                return size, begin
            size += len(part)
            if size > limits.upload_bytes:
                raise RefusedError(
                    f"the upload is larger than {limits.upload_bytes:,} bytes. Cut it, or compress it",
                    status=TOO_LARGE,
                )
            begin = (begin + part)[:_MAX_MARK] if len(begin) < _MAX_MARK else begin
            file.write(part)


async def _checked(path: Path, limits: Limits) -> float:
    """Decode a file, in a thread kept for that; its length in seconds. If the client leaves, decoding ends.

    Raises:
        RefusedError: it cannot be decoded, is too long, or takes too long to decode.
    """
    left = threading.Event()
    checking = asyncio.get_running_loop().run_in_executor(_decoders(), _check, path, limits, left)
    try:
        return await asyncio.shield(checking)
    except asyncio.CancelledError:
        left.set()
        await asyncio.wait([checking])  # it reads the file, which is removed next
        raise


@cache
def _decoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_DECODERS, thread_name_prefix="newscaster-upload")


class _LeftError(Exception):
    """The client has left."""


def _check(path: Path, limits: Limits, left: threading.Event) -> float:
    start = time.monotonic()

    def watch(seconds: float) -> None:
        if left.is_set():
            raise _LeftError
        if seconds > limits.upload_seconds:
            raise RefusedError(
                f"the sound lasts more than {limits.upload_seconds:g} s, the most that is accepted. Cut it",
                status=TOO_LARGE,
            )
        if time.monotonic() - start > limits.decode_seconds:
            raise RefusedError(
                f"the sound takes more than {limits.decode_seconds:g} s to decode. Convert it, for example "
                "with: ffmpeg -i INPUT -ac 1 -ar 48000 OUTPUT.wav",
                status=TOO_LARGE,
            )

    try:
        measure = media.measure_audio(path, watch=watch)
    except MediaError as error:
        said = str(error).replace(f"'{path}'", "the file")
        if "cannot be read" in said:  # what its containers might be is of no use to whoever chose it as sound
            said = (
                "the file cannot be read as sound: it is damaged, cut short, or holds none. Choose another: "
            )
            said += KINDS
        raise RefusedError(said, status=WRONG_KIND) from error
    if not measure.is_audio:
        raise RefusedError(
            "the file holds samples that are not numbers (NaN or infinite), or far beyond full scale. "
            "Export it again, as 16-bit WAV for instance",
            status=WRONG_KIND,
        )
    return measure.seconds
