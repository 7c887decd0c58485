"""Opening a media file and decoding one of its streams, with errors that a user can act on.

Knows how FFmpeg reports what is wrong with a file. Leaves time stamps, pixels and samples to `video` and
`audio`.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
"""Options of FFmpeg for every file that is read. Accepted are formats that hold their media themselves.

Others name further files or addresses, which FFmpeg would open (HLS, DASH, concat, SDP, numbered pictures
and more), or take any text for video."""
_MAX_PIXELS = 2**26
_TEXT_BYTES = 4096
_CORRECT = "; if its end is there, correct the header: ffmpeg -i INPUT -c copy OUTPUT"
_ACCEPTED = "Accepted are MP4, MOV, MKV, WebM, AVI, MPEG, WAV, FLAC, MP3 and M4A files"


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open `path` for reading; it is closed when the block ends.

    Raises:
        MediaError: there is no such file, or it is not a media file.
    """
    patches = _check_is_file(path)
    patched = PatchedFile(path, patches) if patches else None
    try:
        # "file:" keeps a colon in a file's name from being taken for a protocol.
        container = av.open(
            patched or f"file:{path}", mode="r", metadata_errors="replace", options=SELF_CONTAINED
        )
    except (av.FFmpegError, OSError) as error:
        if _is_text(path):
            raise MediaError(
                f"'{path}' cannot be read as video or sound (it is a text); playlists and other "
                f"files that only name files are not followed. {_ACCEPTED}. Give another file, or, to "
                "have a text read aloud, save it in one that ends in .txt"
            ) from error
        raise MediaError(
            f"'{path}' cannot be read as video or sound ({reason(error)}): it is damaged, cut short, or not "
            f"a media file; playlists and other files that only name files are not followed. {_ACCEPTED}. "
            f"Copy or record it again, or convert it, for example with: "
            f"ffmpeg -i INPUT -c:v libx264 -c:a aac OUTPUT.mp4"
        ) from error
    try:
        if not (container.streams.video or container.streams.audio):
            raise MediaError(f"'{path}' holds neither video nor sound. {_ACCEPTED}. Give another file")
        yield container
    finally:
        container.close()
        if patched is not None:
            patched.close()


def _check_is_file(path: Path) -> dict[int, bytes]:
    """Refuse what is no file, or was cut short; returns bytes to read in place of others, see `lengths`."""
    if path.is_dir():
        raise MediaError(f"'{path}' is a folder, where a media file is needed. Give one of the files in it")
    if not path.exists():
        raise MediaError(f"no such file: '{path}'. Give the path of an existing video or sound file")
    if not path.is_file():
        raise MediaError(
            f"'{path}' is a pipe or a device, and media files are read more than once. Save it to a file"
        )
    if path.stat().st_size == 0:
        raise MediaError(f"'{path}' is empty (0 bytes). Copy or record it again")
    try:
        found = completeness(path)
    except OSError as error:
        raise MediaError(f"'{path}' cannot be read ({reason(error)}). Give a file that can be") from error
    if found.is_cut_short:
        raise MediaError(
            f"'{path}' is cut short: it lacks {found.missing_bytes:,} bytes of what its header promises. "
            "Copy or record it again" + (_CORRECT if found.is_audio else "")
        )
    for kind, line in _notes_of(found, path).items():
        _log.warning("%s", line, extra={ONCE: f"{kind} {path.resolve()}"})
    return found.patches


def _is_text(path: Path) -> bool:
    """Whether a file that is no media holds text alone."""
    with path.open("rb") as file:
        begin = file.read(_TEXT_BYTES)
    try:
        text = begin.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(begin) < _TEXT_BYTES or error.start < len(begin) - 3:
            return False
        text = begin[: error.start].decode("utf-8-sig")
    return bool(text) and not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f" for c in text)


def _notes_of(found: Completeness, path: Path) -> dict[str, str]:
    """What may be wrong with a file that is read all the same: a line by the kind of it."""
    notes = {}
    if found.missing_bytes:
        notes["length stated"] = (
            f"'{path}' holds {found.missing_bytes:,} bytes fewer than its header states, and is read to its "
            "end: its length was not known when it was written, or it is cut short"
        )
    if found.unread_bytes:
        notes["unread"] = (
            f"'{path}' holds {found.unread_bytes:,} bytes after the audio that its header states, which are "
            "not read: the header is wrong, or another file was appended. Of a WAV file, this reads all: "
            "ffmpeg -ignore_length 1 -i INPUT OUTPUT.wav"
        )
    return notes


def length_notes(path: Path) -> tuple[str, ...]:
    """The warnings that are logged when a file is opened whose header states another length, a line each."""
    return tuple(_notes_of(completeness(path), path).values())


def reason(error: BaseException) -> str:
    """What the library said, in one line and without the file's name.

    Raises:
        MemoryError: that was it, and nothing is wrong with the file.
    """
    if is_no_memory(error):
        raise MemoryError from error
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


def find_video(container: InputContainer) -> VideoStream | None:
    """The video stream to show, or None. The cover picture of a sound file is not video.

    Nor is a stream that there is no decoder for.
    """
    streams = [
        s for s in container.streams.video if not s.disposition & Disposition.attached_pic and has_decoder(s)
    ]
    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def find_audio(container: InputContainer) -> AudioStream | None:
    """The sound stream to play, or None; none that there is no decoder for."""
    streams = [s for s in container.streams.audio if has_decoder(s)]
    return next((s for s in streams if s.disposition & Disposition.default), streams[0] if streams else None)


def has_decoder(stream: VideoStream | AudioStream) -> bool:
    """Whether FFmpeg knows what to decode a stream with."""
    context: object = stream.codec_context  # None where it does not, whatever PyAV's types say
    return context is not None


def need_video(container: InputContainer, path: Path) -> VideoStream:
    stream = find_video(container)
    if stream is None:
        raise MediaError(f"'{path}' has no video in it, only sound. Give a video file")
    return stream


def need_audio(container: InputContainer, path: Path) -> AudioStream:
    stream = find_audio(container)
    if stream is None:
        raise MediaError(f"'{path}' has no sound in it, only video. Give a file that has sound")
    return stream


def decode_stored_video(
    container: InputContainer, stream: VideoStream, path: Path, *, sought: bool = False
) -> Iterator[VideoFrame]:
    """The frames in presentation order, as stored; after a seek (`sought`) there may be none."""
    if stream.width * stream.height > _MAX_PIXELS:
        raise MediaError(
            f"the pictures of '{path}' have {stream.width}x{stream.height} pixels; accepted are "
            f"{_MAX_PIXELS // 1_000_000} million at most. Make them smaller, for example with: "
            f"ffmpeg -i INPUT -vf scale=-2:2160 OUTPUT.mp4"
        )
    if not stream.codec_context.is_open:
        stream.thread_type = "AUTO"
    for frame in _decode(container, stream, path, sought=sought):
        if isinstance(frame, VideoFrame):
            yield frame


def decode_audio(
    container: InputContainer, stream: AudioStream, path: Path, *, sought: bool = False
) -> Iterator[AudioFrame]:
    """The stream's blocks of samples in order, encoder delay removed; after a seek there may be none."""
    for frame in _decode(container, stream, path, sought=sought):
        if isinstance(frame, AudioFrame):
            yield frame


def _decode(
    container: InputContainer, stream: VideoStream | AudioStream, path: Path, *, sought: bool
) -> Iterator[VideoFrame | AudioFrame]:
    """Decode, stepping over damaged packets (broadcast recordings begin with some).

    A container that breaks off, on the other hand, is an error: what is missing is unknown.
    """
    damaged = decoded = 0
    at_seconds = 0.0
    try:
        for packet in container.demux(stream):
            if packet.pts is not None:
                at_seconds = float(packet.pts * packet.time_base)
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
            f"'{path}' breaks off at {at_seconds:.2f} s ({reason(error)}): it is damaged or was not "
            f"copied whole. Copy or record it again"
        ) from error
    if decoded == 0 and not sought:
        raise MediaError(
            f"none of the {stream.type} in '{path}' can be decoded: it is empty or damaged. Copy or record "
            f"it again, or convert it to MP4 (H.264 and AAC)"
        )
    if damaged:
        text = "'%s': %d damaged %s packets were left out"
        _log.warning(
            text, path, damaged, stream.type, extra={ONCE: f"damaged {stream.type} {path.resolve()}"}
        )
