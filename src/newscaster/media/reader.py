"""Opening a media file and decoding one of its streams, with errors that a user can act on.

Translates FFmpeg's errors. Leaves time stamps, pixels and samples to `video` and `audio`.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.completeness import Completeness, completeness
from newscaster.media.lengths import PatchedFile
from newscaster.system.cpu import usable_cores
from newscaster.system.os_errors import is_no_memory
from newscaster.texts import ONCE

_log = logging.getLogger("newscaster.media")

_FORMATS = """
    mov matroska webm avi mpeg mpegts mpegvideo m4v h264 hevc av1 obu ivf flv asf mxf gxf ogg dv nut rm wtv
    mjpeg yuv4mpegpipe gif apng png_pipe jpeg_pipe bmp_pipe webp_pipe
    wav w64 aiff au caf flac mp3 aac loas ac3 eac3 dts truehd amr amrnb amrwb ape tta tak wv mpc mpc8 dsf
    iff voc
"""
SELF_CONTAINED = {"format_whitelist": ",".join(_FORMATS.split()), "protocol_whitelist": "file"}
"""FFmpeg's options for every input file. Only self-contained formats are accepted.

Other formats name further files or addresses, which FFmpeg would open (HLS, DASH, concat, SDP, numbered
images and more), or read any text as video."""
# PyAV 18 refuses tags that are not UTF-8 without this option. PyAV 19 has no such option: it reads their
# bytes as lone surrogates, and writes them as they were.
_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
_MAX_PIXELS = 2**26
_MAX_DECODER_THREADS = 16
_TEXT_BYTES = 4096
_CORRECT = "; if its end is there, correct the header: ffmpeg -i INPUT -c copy OUTPUT"
_ACCEPTED = "Accepted are MP4, MOV, MKV, WebM, AVI, MPEG, WAV, FLAC, MP3 and M4A files"


def open_container(
    file: Any, *, format: str | None = None, options: Mapping[str, str] | None = None
) -> InputContainer:
    """Open a self-contained file of any supported format for reading.

    Args:
        file: a file object, or a name; `open_media` is for names that users give.
        format: FFmpeg's name of the only accepted format.
        options: further options of the demuxer.

    Raises:
        av.FFmpegError, OSError: it cannot be opened.
    """
    given = {**SELF_CONTAINED, **(options or {})}
    container: InputContainer = av.open(file, mode="r", format=format, options=given, **_LENIENT)
    return container


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open `path` for reading; close it when the block ends.

    Raises:
        MediaError: there is no such file, or it is not a media file.
    """
    patches = _check_is_file(path)
    patched = PatchedFile(path, patches) if patches else None
    try:
        # Without "file:", FFmpeg reads a name with a colon as a protocol.
        container = open_container(patched or f"file:{path}")
    except (av.FFmpegError, OSError) as error:
        if is_text(path):
            raise MediaError(
                f"'{path}' cannot be read as video or audio (it is a text); playlists and other "
                f"files that only name files are not followed. {_ACCEPTED}. Give another file, or, to "
                "have a text read aloud, save it in one that ends in .txt"
            ) from error
        raise MediaError(
            f"'{path}' cannot be read as video or audio ({reason(error)}): it is damaged, cut short, or not "
            f"a media file; playlists and other files that only name files are not followed. {_ACCEPTED}. "
            f"Copy or record it again, or convert it, for example with: "
            f"ffmpeg -i INPUT -c:v libx264 -c:a aac OUTPUT.mp4"
        ) from error
    try:
        if not (container.streams.video or container.streams.audio):
            raise MediaError(f"'{path}' holds neither video nor audio. {_ACCEPTED}. Give another file")
        yield container
    finally:
        container.close()
        if patched is not None:
            patched.close()


def _check_is_file(path: Path) -> dict[int, bytes]:
    """Raise MediaError if it is no file, or truncated; return patches, see `lengths.StatedLength`."""
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder; expected a media file. Give one of the files in it")
    if not path.exists():
        raise MediaError(f"no such file: '{path}'. Give the path of an existing video or audio file")
    if not path.is_file():
        raise MediaError(
            f"'{path}' is a pipe or a device, and media files are read more than once. Save it to a file"
        )
    if path.stat().st_size == 0:
        raise MediaError(f"'{path}' is empty (0 bytes). Copy or record it again")
    try:
        result = completeness(path)
    except OSError as error:
        raise MediaError(f"'{path}' cannot be read ({reason(error)}). Give a file that can be") from error
    if result.is_cut_short:
        raise MediaError(
            f"'{path}' is cut short: it lacks {result.missing_bytes:,} bytes of the length in its header. "
            "Copy or record it again" + (_CORRECT if result.is_audio else "")
        )
    for kind, line in _notes_of(result, path).items():
        _log.warning("%s", line, extra={ONCE: f"{kind} {path.resolve()}"})
    return result.patches


def is_text(path: Path) -> bool:
    """Return whether a file starts as plain text does; an empty one does not."""
    with path.open("rb") as file:
        head = file.read(_TEXT_BYTES)
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < _TEXT_BYTES or error.start < len(head) - 3:
            return False
        text = head[: error.start].decode("utf-8-sig")
    return bool(text) and not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f" for c in text)


def _notes_of(result: Completeness, path: Path) -> dict[str, str]:
    """Return warnings about a file that is read nevertheless, by kind."""
    notes = {}
    if result.missing_bytes:
        notes["length stated"] = (
            f"'{path}' holds {result.missing_bytes:,} bytes fewer than its header states, and is read to its "
            "end: its length was not known when it was written, or it is cut short"
        )
    if result.unread_bytes:
        notes["unread"] = (
            f"'{path}' holds {result.unread_bytes:,} bytes after the audio that its header states, which are "
            "not read: the header is wrong, or another file was appended. Of a WAV file, this reads all: "
            "ffmpeg -ignore_length 1 -i INPUT OUTPUT.wav"
        )
    return notes


def length_notes(path: Path) -> tuple[str, ...]:
    """Return the warnings about a header with a wrong length, one line each. Opening the file logs them."""
    return tuple(_notes_of(completeness(path), path).values())


def reason(error: BaseException) -> str:
    """Return the library's error message, in one line and without the name of the file.

    Raises:
        MemoryError: the error was a lack of memory; the file may be fine.
    """
    if is_no_memory(error):
        raise MemoryError from error
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


def find_video(container: InputContainer) -> VideoStream | None:
    """Return the video stream to show, or None.

    The cover image of an audio file does not count, nor does a stream without a decoder.
    """
    streams = [
        s for s in container.streams.video if not s.disposition & Disposition.attached_pic and has_decoder(s)
    ]
    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return the audio stream to play, or None. A stream without a decoder does not count."""
    streams = [s for s in container.streams.audio if has_decoder(s)]
    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def has_decoder(stream: VideoStream | AudioStream) -> bool:
    """Return whether FFmpeg has a decoder for a stream."""
    context: object = stream.codec_context  # None without a decoder, despite PyAV's types
    return context is not None


def need_video(container: InputContainer, path: Path) -> VideoStream:
    stream = find_video(container)
    if stream is None:
        raise MediaError(f"'{path}' has no video in it, only audio. Give a video file")
    return stream


def need_audio(container: InputContainer, path: Path) -> AudioStream:
    stream = find_audio(container)
    if stream is None:
        raise MediaError(f"'{path}' has no audio in it, only video. Give a file that has audio")
    return stream


def decoder_threads() -> int:
    """Return the number of threads of a decoder of video: half the usable cores.

    FFmpeg's choice is one more than the cores. Decoding is a small part of the work here, so that they took
    turns with the threads of renderer and encoder. Each thread also decodes a frame ahead, even if one frame
    alone is wanted.
    """
    return min(max(1, usable_cores() // 2), _MAX_DECODER_THREADS)


def decode_stored_video(
    container: InputContainer, stream: VideoStream, path: Path, *, after_seek: bool = False
) -> Iterator[VideoFrame]:
    """Yield the frames in presentation order, as stored; after a seek there may be none."""
    if stream.width * stream.height > _MAX_PIXELS:
        raise MediaError(
            f"the frames of '{path}' have {stream.width}x{stream.height} pixels; accepted are "
            f"{_MAX_PIXELS // 1_000_000} million at most. Scale them down, for example with: "
            f"ffmpeg -i INPUT -vf scale=-2:2160 OUTPUT.mp4"
        )
    if not stream.codec_context.is_open:
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = decoder_threads()
    for frame in _decode(container, stream, path, after_seek=after_seek):
        if isinstance(frame, VideoFrame):
            yield frame


def decode_audio(
    container: InputContainer, stream: AudioStream, path: Path, *, after_seek: bool = False
) -> Iterator[AudioFrame]:
    """Yield the blocks of samples in order, encoder delay removed; after a seek there may be none."""
    for frame in _decode(container, stream, path, after_seek=after_seek):
        if isinstance(frame, AudioFrame):
            yield frame


def _decode(
    container: InputContainer, stream: VideoStream | AudioStream, path: Path, *, after_seek: bool
) -> Iterator[VideoFrame | AudioFrame]:
    """Decode, skipping damaged packets (broadcast recordings start with some).

    A container that breaks off is an error, since the extent of the loss is unknown.
    """
    damaged = decoded = 0
    position_seconds = 0.0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                position_seconds = float(packet.pts * packet.time_base)
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                continue
            for frame in frames:
                decoded += 1
                yield frame  # type: ignore[misc]  # a video or audio stream decodes to nothing else
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"'{path}' breaks off at {position_seconds:.2f} s ({reason(error)}): it is damaged or was not "
            f"copied completely. Copy or record it again"
        ) from error
    if decoded == 0 and not after_seek:
        raise MediaError(
            f"none of the {stream.type} in '{path}' can be decoded: it is empty or damaged. Copy or record "
            f"it again, or convert it to MP4 (H.264 and AAC)"
        )
    if damaged:
        text = "'%s': %d damaged %s packets were skipped"
        _log.warning(
            text, path, damaged, stream.type, extra={ONCE: f"damaged {stream.type} {path.resolve()}"}
        )
