"""Uploaded audio files: size, time and format are checked before they are decoded.

The format follows from the first bytes, not from the name. Playlists and similar formats, which make a
decoder read other files, are not accepted.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from newscaster import media
from newscaster.errors import MediaError
from newscaster.server.http_errors import TIMED_OUT, TOO_LARGE, WRONG_KIND, RefusedError
from newscaster.server.settings import Limits

Checked = TypeVar("Checked")

KINDS = "WAV, FLAC, MP3, Ogg, WebM, MP4/M4A or AIFF"
PARTIAL = ".part"
"""Suffix of an upload in progress."""
JOB_AUDIO_STEM = "sound"
"""File name, without suffix, of the audio in the folder of a job."""
UNKNOWN = "of an unknown kind"
_MAX_MARK = 12
_DECODERS = 2
"""Concurrent decoders; other uploads wait, so that sessions keep their threads."""
_OTHER_KINDS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
)


def audio_suffix(head: bytes) -> str | None:
    """Return the suffix of an audio file from its first bytes; None: not an accepted format."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return ".wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return ".aiff"
    if head[4:8] == b"ftyp":
        return ".mp4"
    for mark, suffix in (
        (b"fLaC", ".flac"),
        (b"OggS", ".ogg"),
        (b"\x1aE\xdf\xa3", ".webm"),
        (b"ID3", ".mp3"),
    ):
        if head.startswith(mark):
            return suffix
    is_mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2  # layer III, no reserved version
    return ".mp3" if is_mpeg else None


def kind_of(head: bytes) -> str:
    """Describe the format of a file that is not accepted, from its first bytes."""
    for mark, kind in _OTHER_KINDS:
        if head.startswith(mark):
            return kind
    is_text = all(byte >= 32 or byte in b"\t\n\r" for byte in head)
    return "a text" if is_text and head.isascii() else UNKNOWN


async def receive_audio(stream: AsyncIterator[bytes], folder: Path, *, limits: Limits) -> tuple[Path, float]:
    """Write the body of a request to a new file in `folder`, if it is an audio file within limits.

    Returns:
        The file, which the caller removes, and its decoded length in seconds.

    Raises:
        RefusedError: it is too large, too long, of another format, damaged, or stalls.
    """
    left = threading.Event()

    def check(path: Path) -> tuple[Path, float]:
        return path, _check(path, limits, left)

    accepted = Accepted(suffix_of=audio_suffix, name="an audio file", kinds=KINDS)
    return await receive(stream, folder, accepted, check, limits, limits.upload_bytes, left=left)


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What an upload may be."""

    suffix_of: Callable[[bytes], str | None]
    """The suffix of a file from its first bytes; None: not accepted."""
    name: str
    """Such as "an audio file"."""
    kinds: str
    """Formats, for messages."""


async def receive(
    stream: AsyncIterator[bytes],
    folder: Path,
    accepted: Accepted,
    check: Callable[[Path], Checked],
    limits: Limits,
    max_bytes: int,
    *,
    left: threading.Event | None = None,
) -> Checked:
    """Write the body of a request to a new file, and return what its check returns.

    Args:
        stream: the body.
        folder: of the file, which the caller removes.
        accepted: formats.
        check: called with the file in a decoder thread; the file is removed if it raises.
        limits: how long an upload may stall.
        max_bytes: maximum size.
        left: set if the client disconnects during the check.

    Raises:
        RefusedError: it is too large, of another format, or stalls; or as `check`.
    """
    temporary = folder / f"{secrets.token_hex(8)}{PARTIAL}"
    try:
        size, head = await write_body(stream, temporary, limits, max_bytes)
        suffix = accepted.suffix_of(head)
        if suffix is None:
            problem = "is empty" if not size else f"is {kind_of(head)}, not {accepted.name}"
            raise RefusedError(f"the file {problem}. Choose another one: {accepted.kinds}", status=WRONG_KIND)
        path = temporary.with_suffix(suffix)
        temporary.rename(path)
        try:
            return await _in_decoder(check, path, left)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    finally:
        temporary.unlink(missing_ok=True)


async def write_body(
    stream: AsyncIterator[bytes], path: Path, limits: Limits, max_bytes: int
) -> tuple[int, bytes]:
    """Write a body to a file; return its size and first bytes.

    Raises:
        RefusedError: it is larger than `max_bytes`, or stalls.
    """
    size, head = 0, b""
    with path.open("wb") as file:
        while True:
            try:
                async with asyncio.timeout(limits.stall_seconds):
                    part = await anext(stream, None)
            except TimeoutError:
                raise RefusedError(
                    f"the upload stalled for {limits.stall_seconds:g} s. Send it again",
                    status=TIMED_OUT,
                ) from None
            if part is None:
                return size, head
            size += len(part)
            if size > max_bytes:
                raise RefusedError(
                    f"the upload is larger than {max_bytes:,} bytes. Cut it, or compress it",
                    status=TOO_LARGE,
                )
            head = (head + part)[:_MAX_MARK] if len(head) < _MAX_MARK else head
            file.write(part)


async def _in_decoder(check: Callable[[Path], Checked], path: Path, left: threading.Event | None) -> Checked:
    """Check a file in a decoder thread. A disconnect sets `left`, and waits for the check to end."""
    checking = asyncio.get_running_loop().run_in_executor(_decoders(), check, path)
    try:
        return await asyncio.shield(checking)
    except asyncio.CancelledError:
        if left is not None:
            left.set()
        await asyncio.wait([checking])  # it reads the file, which the caller removes next
        raise


@cache
def _decoders() -> ThreadPoolExecutor:
    """Return the threads that decode uploads."""
    return ThreadPoolExecutor(_DECODERS, thread_name_prefix="newscaster-upload")


class _LeftError(Exception):
    """The client has disconnected."""


def _check(path: Path, limits: Limits, left: threading.Event) -> float:
    start = time.monotonic()

    def watch(seconds: float) -> None:
        if left.is_set():
            raise _LeftError
        if seconds > limits.upload_seconds:
            raise RefusedError(
                f"the audio is longer than {limits.upload_seconds:g} s, the maximum. Cut it",
                status=TOO_LARGE,
            )
        if time.monotonic() - start > limits.decode_seconds:
            raise RefusedError(
                f"the audio takes more than {limits.decode_seconds:g} s to decode. Convert it, for example "
                "with: ffmpeg -i INPUT -ac 1 -ar 48000 OUTPUT.wav",
                status=TOO_LARGE,
            )

    try:
        measure = media.measure_audio(path, watch=watch)
    except MediaError as error:
        message = str(error).replace(f"'{path}'", "the file")
        if "cannot be read" in message:  # a list of containers would not help here
            message = (
                "the file cannot be read as audio: it is damaged, cut short, or contains none. Choose "
                f"another one: {KINDS}"
            )
        raise RefusedError(message, status=WRONG_KIND) from error
    if not measure.is_audio:
        raise RefusedError(
            "the file contains NaN, infinite, or far too large samples. Export it again, for instance as "
            "16-bit WAV",
            status=WRONG_KIND,
        )
    return measure.seconds
