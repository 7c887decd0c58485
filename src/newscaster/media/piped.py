"""Audio input from a pipe: detection of the file format, and streaming decoding.

Recognises the first bytes of audio and video files. All other data is raw samples.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import av

from newscaster.errors import MediaError
from newscaster.media.audio import AudioSource
from newscaster.media.mpeg_audio import SYNC_BYTES, mpeg_frame_bytes
from newscaster.media.reader import open_container, reason
from newscaster.system.files import spooled

_MP4 = "an MP4 file"
_MARKS = {
    0: {
        b"RIFF": "a WAV file",
        b"RIFX": "a WAV file",
        b"RF64": "a WAV file",
        b"BW64": "a WAV file",
        b"riff": "a WAV file",
        b"FORM": "an AIFF file",
        b"fLaC": "a FLAC file",
        b"OggS": "an Ogg file",
        b"caff": "a CAF file",
        b".snd": "an AU file",
        b"wvpk": "a WavPack file",
        b"MAC ": "a Monkey's Audio file",
        b"#!AM": "an AMR file",
        b"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
        b"\x30\x26\xb2\x75": "a Windows Media file",
        b"ID3\x02": "an MP3 file",
        b"ID3\x03": "an MP3 file",
        b"ID3\x04": "an MP3 file",
    },
    4: {b"ftyp": _MP4, b"moov": _MP4, b"mdat": _MP4, b"wide": _MP4},
}
MARK_BYTES = 12
_PACKET_BYTES = 188
"""Packet of an MPEG transport stream; all start with the same byte."""
_TEXT_BYTES = 24


def container_named(head: bytes) -> str | None:
    """Return the format of a file with these first bytes, such as "a WAV file"; None for raw samples.

    Args:
        head: MARK_BYTES or more.
    """
    for offset, marks in _MARKS.items():
        for mark, name in marks.items():
            if head[offset : offset + len(mark)] == mark:
                return name
    return None


class PipedAudio:
    """A binary stream that can be inspected before it is read.

    Args:
        source: such as standard input; reads return available data only.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._read = getattr(source, "read1", source.read)
        self._held = b""
        self._ended = False

    @property
    def is_empty(self) -> bool:
        """Whether the stream has no data."""
        return not self._peek(1)

    @property
    def container(self) -> str | None:
        """The format, such as "a WAV file"; None for raw samples."""
        name = container_named(self._peek(MARK_BYTES))
        if name is not None:
            return name
        # Raw samples may resemble one header of MP3 or AAC; a second one at its offset is no coincidence.
        frame = mpeg_frame_bytes(self._peek(SYNC_BYTES))
        if frame is not None and mpeg_frame_bytes(self._peek(frame + SYNC_BYTES)[frame:]) is not None:
            return "an MP3 or AAC file"
        if self._peek(1) == b"G" and self._peek(2 * _PACKET_BYTES + 1)[::_PACKET_BYTES] == b"GGG":
            return "an MPEG transport stream"
        return None

    @property
    def is_text(self) -> bool:
        """Whether it starts with text: no audio consists of printable characters alone."""
        head = self._peek(_TEXT_BYTES)
        return len(head) == _TEXT_BYTES and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)

    def read(self, count: int = -1) -> bytes:
        """Return up to `count` bytes, as they come; none at the end."""
        if self._held:
            count = len(self._held) if count < 0 else count
            data, self._held = self._held[:count], self._held[count:]
            return data
        data = self._read(count)
        return data

    def _peek(self, count: int) -> bytes:
        while len(self._held) < count and not self._ended:
            data = self._read(count - len(self._held))
            self._held += data
            self._ended = not data
        return self._held[:count]

    @contextmanager
    def opened(self, name: str) -> Iterator[AudioSource]:
        """Open the audio of a file that is not raw samples; close it when the block ends.

        Args:
            name: for messages.

        Raises:
            MediaError: it is damaged, or has no audio.
            OutputError: the disk is full for a copy of an MP4 file, which cannot be decoded as a stream.
        """
        kind = self.container
        with ExitStack() as stack:
            file: BinaryIO | PipedAudio | str = self
            if _is_seekable(self._source):
                self._source.seek(-len(self._held), io.SEEK_CUR)
                self._held, file = b"", self._source
            elif kind == _MP4:  # its index may be at its end
                file = f"file:{stack.enter_context(spooled(self, name=name))}"
            try:
                container = stack.enter_context(open_container(file))
            except (av.FFmpegError, OSError) as error:
                raise MediaError(
                    f"{name} starts like {kind} and cannot be decoded ({reason(error)}). Name the file "
                    "itself, or convert it to WAV before the pipe"
                ) from error
            yield AudioSource(container, Path(name), piped=True)


def _is_seekable(source: BinaryIO) -> bool:
    try:
        return source.seekable()
    except (AttributeError, ValueError):
        return False
