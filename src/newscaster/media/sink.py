"""Live video out: pictures and sound, frame by frame, to any address that FFmpeg can write.

Encoded for low delay, H.264 and AAC. What is sent has no second chance: unlike files, nothing is written
beside its place and renamed. Encoding and sending run in a second thread.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from newscaster.errors import MediaError, OutputError
from newscaster.media.background import in_background
from newscaster.media.container import reason
from newscaster.media.downmix import Samples
from newscaster.media.frame import YuvFrame
from newscaster.media.output_file import OutputFiles
from newscaster.media.write import KEY_SECONDS, VideoTrack, key_frames
from newscaster.system.durable import check_inputs_kept, is_same_file
from newscaster.system.files import check_output
from newscaster.system.os_errors import NO_ROOM
from newscaster.system.output_locks import exclusive_output
from newscaster.texts import is_unicode, quoted

LiveItem = tuple[YuvFrame | None, Samples]
"""A frame's picture, or None where it was left out, and its sound (n,) float32 mono."""

_BY_SCHEME = {
    "rtmp": "flv",
    "rtmps": "flv",
    "rtsp": "rtsp",
    "rtp": "rtp_mpegts",
    "udp": "mpegts",
    "tcp": "mpegts",
    "srt": "mpegts",
    "pipe": "mpegts",
}
_BY_ENDING = {
    ".m3u8": "hls",
    ".ts": "mpegts",
    ".flv": "flv",
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
}
_NESTED = frozenset({"async", "cache", "concat", "concatf", "crypto", "ffrtmpcrypt", "subfile", "tee"})
"""Protocols that write to other addresses, which they name: files could be replaced unseen."""
_PIPE = re.compile(r"pipe:(?://)?(\d{0,4})", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)  # two letters at least: C: is a drive
_HLS_SECONDS = Fraction(1)
"""Length of a segment of HLS, at most. Each starts with its only key frame."""
_HLS_SEGMENTS = 12
"""Segments in the playlist; as many older ones are kept, for players that have read an older playlist."""
_AAC_BITS = 96_000
_TS_PACKET_BYTES = 188
_SERVICE_CHARACTERS = 200
"""What a transport stream can say of itself in one line is 255 bytes long at most."""
_MUXING: dict[str, dict[str, str]] = {
    "hls": {
        "hls_list_size": str(_HLS_SEGMENTS),
        "hls_delete_threshold": str(_HLS_SEGMENTS + 1),
        "hls_flags": "delete_segments+independent_segments",
    },
    # What has been written of these can be played at any time.
    "mp4": {"movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags"},
    "mov": {"movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags"},
    "flv": {"flvflags": "no_duration_filesize"},
}


def live_format(address: str, given: str | None = None) -> str:
    """FFmpeg's name of the container for an address: the one given, or what its scheme or ending means.

    Raises:
        OutputError: neither says it; or FFmpeg cannot write it.
    """
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() in _NESTED:
        raise OutputError(
            f"'{scheme[1]}:' leads to other addresses, which cannot be checked. Give the address itself"
        )
    if scheme and scheme[1].lower() not in ("file", "http", "https"):
        guessed = _BY_SCHEME.get(scheme[1].lower())
    else:
        guessed = _BY_ENDING.get(Path(address.split("?")[0]).suffix.lower())
    found = given or guessed
    if found is None:
        schemes, endings = ", ".join(f"{name}:" for name in _BY_SCHEME), ", ".join(_BY_ENDING)
        raise OutputError(
            f"how to write to '{redact_url(address)}' is not clear; expected an address that begins with "
            f"{schemes}, or a file that ends in {endings}. "
            "Otherwise say it with --format, such as --format mpegts"
        )
    if found not in av.formats_available:
        raise OutputError(
            f"the format is {quoted(found)}, which FFmpeg does not know; expected one such as mpegts, "
            "flv, hls or matroska"
        )
    return found


def live_file(address: str) -> Path | None:
    """The file that an address names, with or without "file:"; None if it leads elsewhere."""
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() == "file":
        return Path(address[scheme.end() :])
    return None if scheme else Path(address)


def live_pipe(address: str) -> int | None:
    """The open file that "pipe:" and "pipe:N" name, by default standard output; None for other addresses."""
    found = _PIPE.fullmatch(address)
    return None if found is None else int(found[1] or 1)


def check_live_inputs(address: str, format_name: str, inputs: Iterable[tuple[object, str]]) -> None:
    """Make sure that live video to a file does not replace what is read meanwhile.

    Args:
        address: as `write_live` takes it.
        format_name: see `live_format`.
        inputs: what is read, and its name in a message.

    Raises:
        OutputError: it would.
    """
    if (file := live_file(address)) is None:
        return
    inputs = tuple(inputs)
    check_inputs_kept([file], inputs)
    if format_name != "hls":
        return
    playlist = Path(_url(file, format_name))
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
    """An address as it can be shown: streaming servers take whoever knows its last part for its owner."""
    scheme = _SCHEME.match(address)
    if not scheme or scheme[1].lower() in ("file", "pipe"):
        return address
    server = re.match(r"[^:]+:/*(?:[^/@]*@)?([^/?]*)", address)
    host = server[1] if server else ""
    return f"{scheme[1]}://{host}" + ("/..." if len(address) > len(f"{scheme[1]}://{host}") else "")


class _Sink:
    """An open container with both of its streams."""

    def __init__(
        self,
        container: OutputContainer,
        first: YuvFrame,
        *,
        fps: Fraction,
        rate: int,
        crf: int,
        key_seconds: Fraction,
    ) -> None:
        options = {"crf": str(crf), "preset": "superfast", "tune": "zerolatency", "threads": "1"}
        options |= {"keyint_min": str(key_frames(fps, key_seconds)), "sc_threshold": "0"}
        self._container = container
        self._video = VideoTrack(container, fps=fps, like=first, options=options, key_seconds=key_seconds)
        self._audio: AudioStream = container.add_stream("aac", rate=rate, layout="mono")
        self._audio.codec_context.bit_rate = _AAC_BITS
        self._rate = rate
        self._samples = 0

    def write(self, image: YuvFrame | None, audio: Samples) -> None:
        """Send a frame."""
        if image is None:
            self._video.skip()
        else:
            self._video.write(image)
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(audio[None], np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
        self._samples += len(audio)
        self._container.mux(self._audio.encode(frame))

    def finish(self) -> None:
        """Send what the encoders still hold."""
        self._video.finish()
        self._container.mux(self._audio.encode(None))


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
    """Send frames to an address as they come, until there are no more.

    Args:
        address: an URL that FFmpeg can write (rtmp:, udp:, tcp:, pipe:, ...; srt: where its build has it), or
            a file (.m3u8 for HLS, whose segments lie beside it; .ts, .flv, .mkv, .mp4, .mov), which is left
            as it is until there is something to write. There is a key
            frame at least every 2 s, and in HLS at the start of each segment, which is at most 1 s long.
        items: pictures of one size, each with its sound. If a picture is None, the one before it stays, and
            is encoded again if a key frame is due then: it must not change until the next one. Items before
            the first picture are left out. The second is taken when the address has been opened: servers
            take their time.
        fps: frames per second.
        rate: of the sound, in Hz: one that AAC knows, such as 48000.
        format_name: FFmpeg's name of the container; by default as the address says.
        metadata: tags, as far as the container takes any. A transport stream takes title and comment, as its
            service and who provides it.
        crf: x264's quality.
        inputs: files that `items` are made of, and their names in messages: none of them is written to.

    Returns:
        How many pictures of `items` were sent.

    Raises:
        OutputError: the address cannot be written, the disk is full, another command is writing the file, or
            an input would be replaced.
        BrokenPipeError: whoever read the pipe has gone.
        MediaError: there are no pictures.
        Exception: whatever `items` raises.
    """
    found = live_format(address, format_name)
    file = live_file(address)
    inputs = tuple(inputs)
    if file is not None:
        check_output(file, suffixes=None, in_place=True)
        check_live_inputs(address, found, inputs)

    opened = threading.Event()
    files = OutputFiles(like=file, inputs=inputs)

    def send(coming: Iterator[LiveItem]) -> int:
        first = next(((image, audio) for image, audio in coming if image is not None), None)
        if first is None:
            raise MediaError("there are no frames to send. Give speech, or let the stage go on for a while")
        sent = 1
        with ExitStack() as stack:
            stack.callback(opened.set)  # nobody waits for what has failed
            options = {"flush_packets": "1", **_muxing(found, fps)}
            container = stack.enter_context(_opened(address, found, options, files, stack))
            container.metadata.update(_tags(metadata or {}, found))
            key_seconds = _HLS_SECONDS if found == "hls" else KEY_SECONDS
            try:
                sink = _Sink(container, first[0], fps=fps, rate=rate, crf=crf, key_seconds=key_seconds)
            except ValueError as error:  # PyAV's, of a container that takes other codecs only
                raise OutputError(
                    f"the format {found} does not hold H.264 and AAC ({error}). Give another --format, such "
                    "as mpegts"
                ) from error
            container.start_encoding()
            files.check()
            opened.set()
            waiting: LiveItem | None = first  # until the second is there: its maker has seen by then that
            for image, audio in coming:  # the address is open
                if waiting is not None:
                    sink.write(*waiting)
                    waiting = None
                sink.write(image, audio)
                files.check()
                sent += image is not None
            if waiting is not None:
                sink.write(*waiting)
            sink.finish()
        files.check()
        if file is not None and found == "hls":
            _check_hls(file)
        return sent

    try:
        with ExitStack() as stack:
            if file is not None:
                stack.enter_context(exclusive_output(file))
            return in_background(_once(opened, items), send)
    except (av.FFmpegError, OSError) as error:
        if error.errno == errno.EPIPE and live_pipe(address) is not None:
            raise BrokenPipeError(*error.args) from error
        raise _unwritable(address, found, error) from error


def _opened(
    address: str, format_name: str, options: dict[str, str], files: OutputFiles, stack: ExitStack
) -> OutputContainer:
    """An open container. FFmpeg itself opens network addresses only: see `output_file`."""
    file, pipe = live_file(address), live_pipe(address)
    has_own_files = av.ContainerFormat(format_name, "w").no_file
    if has_own_files and file is not None:
        url = _url(file, format_name)
        # PyAV hands on no other names; what FFmpeg then writes by itself, `_check_hls` looks at.
        io_open = files.io_open if is_unicode(url) else None
        return av.open(url, mode="w", format=format_name, options=options, io_open=io_open)
    if has_own_files or (file is None and pipe is None):
        return av.open(address, mode="w", format=format_name, options=options)
    target = files.open(file) if file is not None else files.open_descriptor(1 if pipe is None else pipe)
    stack.callback(target.close)
    return av.open(target, mode="w", format=format_name, options=options)


def _unwritable(address: str, format_name: str, error: OSError | av.FFmpegError) -> OutputError:
    """What a user can do where an address cannot be written to."""
    shown = redact_url(address)
    if error.errno in NO_ROOM and (live_file(address) is not None or live_pipe(address) is not None):
        return OutputError(
            f"cannot write '{error.filename or shown}' ({reason(error)}). Free some space, or write "
            "elsewhere. What was written so far stays, and is not finished"
        )
    return OutputError(
        f"cannot write to '{shown}' as {format_name} ({reason(error)}). Is somebody listening "
        "there, may you write there, and does this FFmpeg know such addresses? Otherwise give another "
        "address or --format"
    )


def _check_hls(file: Path) -> None:
    """Make sure that playlist and segments are whole: FFmpeg only logs when one cannot be written or renamed.

    Raises:
        OutputError: one is not.
    """
    playlist = Path(_url(file, "hls"))
    lines = playlist.read_bytes().splitlines() if playlist.is_file() else []
    if Path(f"{playlist}.tmp").exists() or not lines or lines[-1] != b"#EXT-X-ENDLIST":
        raise OutputError(
            f"the playlist '{file}' could not be written whole. Free some space, or write elsewhere"
        )
    for name in (os.fsdecode(line) for line in lines if not line.startswith(b"#")):
        segment = playlist.parent / name
        size = segment.stat().st_size if segment.is_file() else 0
        if not size or size % _TS_PACKET_BYTES:
            raise OutputError(
                f"the segment '{segment}' could not be written whole. Free some space, or write elsewhere"
            )


def _url(file: Path, format_name: str) -> str:
    """A file's address, in which a colon is not taken for the end of a protocol's name.

    HLS deletes its old segments by names made from it, and would not find them behind "file:".
    """
    return os.path.realpath(file) if format_name == "hls" else f"file:{file}"


def _muxing(format_name: str, fps: Fraction) -> dict[str, str]:
    """FFmpeg's options of a container."""
    options = dict(_MUXING.get(format_name, {}))
    if format_name == "hls":  # it cuts at the first key frame from this time on: half a frame before the next
        options["hls_time"] = f"{float((key_frames(fps, _HLS_SECONDS) - Fraction(1, 2)) / fps):.6f}"
    return options


def _once(opened: threading.Event, items: Iterable[LiveItem]) -> Iterator[LiveItem]:
    """The items, all but the first of them once something has been opened."""
    for item in items:
        yield item
        if item[0] is not None:
            opened.wait()


def _tags(metadata: Mapping[str, str], format_name: str) -> dict[str, str]:
    tags = dict(metadata)
    if format_name in ("mpegts", "hls", "rtp_mpegts"):
        for name, tag in (("service_name", "title"), ("service_provider", "comment")):
            if tag in tags:
                tags[name] = tags[tag][:_SERVICE_CHARACTERS]
    return tags
