"""Uploaded videos: size, kind and length are checked before anything is made of them.

The kind follows from the first bytes, not from the name. Playlists and similar formats, which make a decoder
read other files, are not accepted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from newscaster import media
from newscaster.errors import MediaError
from newscaster.server.http_errors import BAD_REQUEST, TOO_LARGE, WRONG_KIND, RefusedError
from newscaster.server.settings import Limits
from newscaster.server.speech_upload import UNKNOWN, Accepted, kind_of, receive

KINDS = "MP4, MOV, MKV, WebM, AVI, MPEG, WMV or MXF"
MIN_SECONDS = 1.0
_QUICKTIME = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_AUDIO_BRANDS = (b"M4A ", b"M4B ")
_SYNC_BYTES = {0: ".ts", 4: ".m2ts"}
"""Where the sync byte of a transport stream may be, and the suffix of such a file."""


@dataclass(frozen=True, kw_only=True)
class UploadedVideo:
    """A video that was uploaded and can be read."""

    path: Path
    size_bytes: int
    width: int
    height: int
    fps: float
    seconds: float
    has_audio: bool


def video_suffix(head: bytes) -> str | None:
    """Return the suffix of a video file from its first 12 bytes; None: not an accepted format."""
    if head[4:8] in _QUICKTIME and head[8:12] not in _AUDIO_BRANDS:
        return ".mov" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else ".mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ".avi"
    for mark, suffix in (
        (b"\x1aE\xdf\xa3", ".mkv"),
        (b"\x00\x00\x01\xba", ".mpg"),
        (b"\x00\x00\x01\xb3", ".mpg"),
        (b"\x30\x26\xb2\x75", ".wmv"),
        (b"\x06\x0e\x2b\x34", ".mxf"),
        (b"FLV\x01", ".flv"),
        (b"OggS", ".ogv"),
    ):
        if head.startswith(mark):
            return suffix
    if kind_of(head) != UNKNOWN:  # a text may start with the sync byte, which is a G
        return None
    return next((name for place, name in _SYNC_BYTES.items() if head[place : place + 1] == b"G"), None)


async def receive_video(stream: AsyncIterator[bytes], folder: Path, *, limits: Limits) -> UploadedVideo:
    """Write the body of a request to a new file in `folder`, if it is a video within limits.

    Returns:
        The video, whose file the caller removes.

    Raises:
        RefusedError: it is too large, too long or too short, of another format, damaged, without video, or
            stalls.
    """
    accepted = Accepted(suffix_of=video_suffix, name="a video", kinds=KINDS)
    return await receive(stream, folder, accepted, partial(_check, limits=limits), limits, limits.video_bytes)


def _check(path: Path, *, limits: Limits) -> UploadedVideo:
    """Probe a video: its headers, first frame and time stamps.

    Raises:
        RefusedError: it cannot be dubbed.
    """
    try:
        info = media.probe(path)
    except MediaError as error:
        message = str(error).replace(f"'{path}'", "the file")
        if "cannot be read" in message:  # a command would not help here
            message = (
                "the file cannot be read as video: it is damaged, cut short, or contains none. Choose "
                f"another one: {KINDS}"
            )
        raise RefusedError(message, status=WRONG_KIND) from error
    video = info.video
    if video is None:
        raise RefusedError(
            "the file has audio but no video. Choose a video; audio to speak is chosen separately",
            status=WRONG_KIND,
        )
    seconds = video.end_seconds or 0.0
    if seconds > limits.video_seconds:
        raise RefusedError(
            f"the video is {seconds:.0f} s long; the maximum is {limits.video_seconds:g} s. Cut it",
            status=TOO_LARGE,
        )
    if seconds < MIN_SECONDS:
        raise RefusedError(
            f"the video is {seconds:.2f} s long; expected {MIN_SECONDS:g} s or more. Choose a longer one",
            status=BAD_REQUEST,
        )
    return UploadedVideo(
        path=path,
        size_bytes=path.stat().st_size,
        width=video.width,
        height=video.height,
        fps=round(float(video.nominal_fps or video.fps), 3),
        seconds=round(seconds, 2),
        has_audio=info.audio is not None,
    )
