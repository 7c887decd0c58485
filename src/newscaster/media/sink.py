"""Live video output: frames and audio to any address that FFmpeg can write.

The encoding is H.264 and AAC with low delay. Unlike other output, live output goes directly to its target: no
temporary file is renamed. Encoding and sending run in a second thread.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from newscaster.errors import MediaError, OutputError
from newscaster.media.background import in_background
from newscaster.media.containers import (
    Container,
    container_of,
    container_of_muxer,
    container_of_scheme,
    listed,
    live_schemes,
    live_suffixes,
)
from newscaster.media.frame import YuvFrame
from newscaster.media.output_file import OutputFiles
from newscaster.media.reader import reason
from newscaster.media.stream import LiveItem
from newscaster.media.writer import LIVE_X264, Writer, key_interval
from newscaster.system.durable import check_inputs_kept, is_same_file
from newscaster.system.files import check_output
from newscaster.system.os_errors import NO_ROOM
from newscaster.system.output_locks import exclusive_output
from newscaster.texts import is_unicode, quoted
from newscaster.types import AudioF32

_NESTED = frozenset({"async", "cache", "concat", "concatf", "crypto", "ffrtmpcrypt", "subfile", "tee"})
"""Protocols that write to further addresses: they could replace files unchecked."""
_PIPE = re.compile(r"pipe:(?://)?(\d{0,4})", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)  # two letters at least: C: is a drive
_TS_PACKET_BYTES = 188


def live_container(address: str, format_name: str | None = None) -> Container:
    """Return the container for an address: the named one, or that of its scheme or suffix.

    Raises:
        OutputError: no format is named and the address implies none; or FFmpeg cannot write it.
    """
    scheme = _SCHEME.match(address)
    name = scheme[1].lower() if scheme else "file"
    if name in _NESTED:
        raise OutputError(
            f"'{name}:' writes to other addresses, which cannot be checked. Give the address itself"
        )
    if name in ("file", "http", "https"):
        implied = container_of(Path(address.split("?")[0]))
    else:
        implied = container_of_scheme(name)
    if format_name is not None and (implied is None or implied.muxer != format_name):
        implied = container_of_muxer(format_name)
    if implied is None:
        raise OutputError(
            f"the format for '{redact_url(address)}' is not clear; expected an address that starts with "
            f"{listed([f'{scheme}:' for scheme in live_schemes()])}, or a file that ends in "
            f"{listed(live_suffixes())}. Otherwise name the format, for example --format mpegts"
        )
    if implied.is_sequence:
        raise OutputError(
            f"'{redact_url(address)}' is a sequence of images, which cannot be written live; accepted are "
            f"{listed(live_suffixes())}. Write such a file, or make images with: newscaster speak"
        )
    if implied.muxer not in av.formats_available:
        raise OutputError(
            f"the format is {quoted(implied.muxer)}, which FFmpeg does not know; expected one such as "
            "mpegts, flv, hls or matroska"
        )
    return implied


def live_file(address: str) -> Path | None:
    """Return the file that an address names, with or without "file:"; None if it is no file."""
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() == "file":
        return Path(address[scheme.end() :])
    return None if scheme else Path(address)


def live_pipe(address: str) -> int | None:
    """Return the descriptor of "pipe:N", and 1 (standard output) of "pipe:"; None for other addresses."""
    match = _PIPE.fullmatch(address)
    return None if match is None else int(match[1] or 1)


def check_live_inputs(address: str, container: Container, inputs: Iterable[tuple[object, str]]) -> None:
    """Check that live video to a file does not replace a file that is being read.

    Args:
        address: as for `write_live`.
        container: see `live_container`.
        inputs: files that are read, each with its name in messages.

    Raises:
        OutputError: an input would be replaced.
    """
    if (file := live_file(address)) is None:
        return
    inputs = tuple(inputs)
    check_inputs_kept([file], inputs)
    if container.segment_seconds is None:
        return
    playlist = Path(os.path.realpath(file))
    segment = re.compile(rf"{re.escape(playlist.stem)}\d+\.ts|{re.escape(playlist.name)}\.tmp", re.IGNORECASE)
    for path, name in inputs:
        if not isinstance(path, str | os.PathLike):
            continue
        for place in {os.path.realpath(path), os.path.abspath(path)}:
            folder, base = os.path.split(place)
            if is_same_file(Path(folder), playlist.parent) and segment.fullmatch(base):
                raise OutputError(
                    f"{name} '{path}' has the name of a segment of '{file}', and would be replaced. Write to "
                    "another folder, or under another name"
                )


def redact_url(address: str) -> str:
    """Return an address without credentials: on many servers, its last part is a secret key."""
    scheme = _SCHEME.match(address)
    if not scheme or scheme[1].lower() in ("file", "pipe"):
        return address
    server = re.match(r"[^:]+:/*(?:[^/@]*@)?([^/?]*)", address)
    host = server[1] if server else ""
    return f"{scheme[1]}://{host}" + ("/..." if len(address) > len(f"{scheme[1]}://{host}") else "")


def write_live(
    address: str,
    items: Iterable[LiveItem],
    *,
    fps: Fraction,
    rate: int,
    format_name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    crf: int = 21,
    inputs: Iterable[tuple[object, str]] = (),
) -> int:
    """Send frames to an address as they come, until the last.

    A key frame comes at least every 2 s, and in HLS at the start of each segment. HLS segments are at most
    1 s long and are written beside the playlist.

    Args:
        address: a URL that FFmpeg can write (rtmp:, udp:, tcp:, pipe:, ...; srt: if its build supports it),
            or a file: see `live_suffixes`. A file stays unchanged until the first write.
        items: frames of one size, each with its audio. If a frame is None, the previous one stays on screen.
            It is encoded again if a key frame is due: it must not change until the next frame. Items before
            the first frame are skipped. The second item is taken once the address is open, since servers
            respond slowly.
        fps: frames per second.
        rate: of the audio, in Hz: one that AAC supports, such as 48000.
        format_name: FFmpeg's name of the container; by default that of the address.
        metadata: tags that the container supports. A transport stream has title and comment, as the names of
            its service and its provider.
        crf: x264's quality.
        inputs: files that `items` read, each with its name in messages; they are never overwritten.

    Returns:
        Number of frames of `items` that were sent.

    Raises:
        OutputError: the address cannot be written, the disk is full, another command is writing the file, or
            an input would be replaced.
        BrokenPipeError: the reader of the pipe has closed it.
        MediaError: there are no frames.
        Exception: any exception of `items`.
    """
    container = live_container(address, format_name)
    file = live_file(address)
    inputs = tuple(inputs)
    if file is not None:
        check_output(file, suffixes=None, in_place=True)
        check_live_inputs(address, container, inputs)
    opened = threading.Event()
    files = OutputFiles(like=file, inputs=inputs)

    def send(coming: Iterator[LiveItem]) -> int:
        try:
            first = _first_with_frame(coming)
            with _open_writer(
                address, first[0], files, container=container, fps=fps, rate=rate, tags=metadata, crf=crf
            ) as writer:
                opened.set()
                second = [*itertools.islice(coming, 1)]  # made after the address was opened
                sent = 0
                for image, audio in itertools.chain([first], second, coming):
                    writer.write(image, audio)
                    files.check()
                    sent += image is not None
        finally:
            opened.set()  # do not block the generator after a failure
        files.check()
        if file is not None and container.segment_seconds is not None:
            _check_playlist(file)
        return sent

    try:
        with ExitStack() as stack:
            if file is not None:
                stack.enter_context(exclusive_output(file))
            return in_background(_wait_until_opened(opened, items), send)
    except (av.FFmpegError, OSError) as error:
        if error.errno == errno.EPIPE and live_pipe(address) is not None:
            raise BrokenPipeError(*error.args) from error
        raise _write_error(address, container, error) from error


def _first_with_frame(items: Iterator[LiveItem]) -> tuple[YuvFrame, AudioF32]:
    """Return the first item with a frame, skipping those before it."""
    for image, audio in items:
        if image is not None:
            return image, audio
    raise MediaError("there are no frames to send. Give speech, or keep the target video running for a while")


@contextmanager
def _open_writer(
    address: str,
    first: YuvFrame,
    files: OutputFiles,
    *,
    container: Container,
    fps: Fraction,
    rate: int,
    tags: Mapping[str, str] | None,
    crf: int,
) -> Iterator[Writer]:
    """Open an address; close it when the block ends."""
    key_frames = key_interval(fps, container)
    x264 = {"crf": str(crf), **LIVE_X264, "keyint_min": str(key_frames), "sc_threshold": "0"}
    options = {"flush_packets": "1", **container.live_options}
    if container.segment_seconds is not None:
        # FFmpeg cuts at the first key frame after this time, which is half a frame before the next one.
        options["hls_time"] = f"{float((key_frames - Fraction(1, 2)) / fps):.6f}"
    with ExitStack() as stack:
        target, io_open = _target(address, container, files, stack)
        try:
            writer = Writer(
                target,
                first,
                container=container,
                fps=fps,
                x264=x264,
                options=options,
                tags=tags,
                audio=(rate, 1),
                io_open=io_open,
            )
        except ValueError as error:  # from PyAV, if the container supports other codecs only
            raise OutputError(
                f"the format {container.muxer} does not hold H.264 and AAC ({error}). Give another --format, "
                "such as mpegts"
            ) from error
        stack.enter_context(writer)
        files.check()
        yield writer


def _target(address: str, container: Container, files: OutputFiles, stack: ExitStack) -> tuple[Any, Any]:
    """Return the target for PyAV, an address or a file, and the function that opens further files.

    FFmpeg itself opens network addresses only: see `output_file`.
    """
    file, pipe = live_file(address), live_pipe(address)
    has_own_files = av.ContainerFormat(container.muxer, "w").no_file
    if has_own_files and file is not None:
        # Without "file:", a name with a colon reads as a protocol. With it, HLS would not find its old
        # segments, whose names it derives from this one to delete them.
        url = f"file:{file}" if container.segment_seconds is None else os.path.realpath(file)
        # PyAV passes only Unicode names to `io_open`. `_check_playlist` checks what FFmpeg writes otherwise.
        return url, files.io_open if is_unicode(url) else None
    if has_own_files or (file is None and pipe is None):
        return address, None
    target = files.open(file) if file is not None else files.open_descriptor(1 if pipe is None else pipe)
    stack.callback(target.close)
    return target, None


def _write_error(address: str, container: Container, error: OSError | av.FFmpegError) -> OutputError:
    """Return the error for an address that cannot be written to."""
    shown = redact_url(address)
    if error.errno in NO_ROOM and (live_file(address) is not None or live_pipe(address) is not None):
        return OutputError(
            f"cannot write '{error.filename or shown}' ({reason(error)}). Free some space, or write "
            "elsewhere. The part written so far stays, unfinished"
        )
    return OutputError(
        f"cannot write to '{shown}' as {container.muxer} ({reason(error)}). Check that a server "
        "is listening there, that you may write there, and that this FFmpeg supports such addresses; or give "
        "another address or --format"
    )


def _check_playlist(file: Path) -> None:
    """Check that playlist and segments are complete: FFmpeg only logs a failed write or rename.

    Raises:
        OutputError: one is incomplete.
    """
    playlist = Path(os.path.realpath(file))
    lines = playlist.read_bytes().splitlines() if playlist.is_file() else []
    if Path(f"{playlist}.tmp").exists() or not lines or lines[-1] != b"#EXT-X-ENDLIST":
        raise OutputError(
            f"the playlist '{file}' could not be written completely. Free some space, or write elsewhere"
        )
    for name in (os.fsdecode(line) for line in lines if not line.startswith(b"#")):
        segment = playlist.parent / name
        size = segment.stat().st_size if segment.is_file() else 0
        if not size or size % _TS_PACKET_BYTES:
            raise OutputError(
                f"the segment '{segment}' could not be written completely. Free some space, or write "
                "elsewhere"
            )


def _wait_until_opened(opened: threading.Event, items: Iterable[LiveItem]) -> Iterator[LiveItem]:
    """Yield the items; wait for `opened` after the first one with a frame."""
    for item in items:
        yield item
        if item[0] is not None:
            opened.wait()
