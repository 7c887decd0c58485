"""Caption output: SubRip and WebVTT files, and a soft subtitle track that players can switch off.

Handles the formats. Leaves the words, their times and their lines to `speech`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet, PacketSideData
from av.subtitles.codeccontext import SubtitleCodecContext

from newscaster.media.containers import Container
from newscaster.system.files import atomic_write, check_output
from newscaster.texts import without_controls

CAPTION_SUFFIXES = (".srt", ".vtt")
"""Suffixes of the caption files that can be written."""

# Text that players read as mark-up in SubRip and in text tracks: tags, ASS override codes, MicroDVD codes.
_TAG = re.compile(r"<(\s*[A-Za-z/!?][^<>]*)>")
_CODE = re.compile(r"\{((?:\\|[A-Za-z]:)[^}]*)\}")
_TOP = r"{\an8}"
"""Alignment at the top in SubRip, an extension that players know from ASS."""
_TOP_LINE = "line:0"
"""The same in WebVTT."""
# The encoder of MP4's subtitles reads font and position of a track from this: white, at the bottom.
SUBTITLE_STYLE = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, BackColour, Bold, Italic, Underline, Alignment
Style: Default,Arial,18,&H00ffffff,&H00000000,0,0,0,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """Text on the screen, from start to stop."""

    start_ms: int
    stop_ms: int
    lines: tuple[str, ...]
    """Plain text: anything that looks like mark-up is shown literally."""
    at_top: bool = False
    """Whether it is placed at the top of the frame; text tracks of MP4 leave the place to the player."""


@dataclass(frozen=True, kw_only=True)
class Subtitles:
    """The content of a soft subtitle track."""

    cues: Sequence[Cue]
    """In order of time; none starts before the last one ends."""
    language: str = "eng"
    """Three letters, as in ISO 639-2."""


class SubtitleTrack:
    """A subtitle stream of an open container, written as far as the frames."""

    def __init__(self, output: OutputContainer, subtitles: Subtitles, container: Container) -> None:
        assert container.subtitle_codec is not None
        self._output = output
        self._cues = iter(subtitles.cues)
        self._next = next(self._cues, None)
        self._codec = container.subtitle_codec
        self._stream = output.add_stream(container.subtitle_codec)
        language = subtitles.language
        self._stream.metadata["language"] = container.languages.get(language, language)
        context = self._stream.codec_context
        assert isinstance(context, SubtitleCodecContext)
        context.subtitle_header = SUBTITLE_STYLE
        self._stream.time_base = Fraction(1, 1000)

    def write_until(self, seconds: Fraction | None) -> None:
        """Write the cues that start before `seconds`, or all remaining cues."""
        while self._next is not None and (seconds is None or self._next.start_ms < seconds * 1000):
            self._write(self._next)
            self._next = next(self._cues, None)

    def _write(self, cue: Cue) -> None:
        text = "\n".join(_unmarked_lines(cue)).encode()
        if self._codec == "mov_text":
            # A text sample starts with its length (3GPP TS 26.245); the muxer fills the gaps between them.
            text = len(text).to_bytes(2, "big") + text
        elif self._codec == "subrip" and cue.at_top and text:
            text = _TOP.encode() + text
        packet = Packet(text)
        if self._codec == "webvtt" and cue.at_top:
            packet.set_sidedata(_top_settings())
        packet.stream = self._stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = cue.start_ms
        packet.duration = cue.stop_ms - cue.start_ms
        self._output.mux(packet)


def write_captions(path: Path, cues: Sequence[Cue]) -> None:
    """Write captions as SubRip (.srt) or WebVTT (.vtt), by the suffix of `path`.

    Raises:
        OutputError: `path` cannot be written.
    """
    check_output(path, suffixes=CAPTION_SUFFIXES)
    text = _web_vtt(cues) if path.suffix.lower() == ".vtt" else _sub_rip(cues)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _sub_rip(cues: Sequence[Cue]) -> str:
    blocks = []
    for number, cue in enumerate(cues, 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.stop_ms, ',')}"
        # Nothing can be escaped in this format; an arrow would be read as times.
        lines = (line.replace("-->", "->") for line in _unmarked_lines(cue))
        text = "\n".join(lines)
        blocks.append(f"{number}\n{times}\n{_TOP if cue.at_top and text else ''}{text}\n\n")
    return "".join(blocks)


def _web_vtt(cues: Sequence[Cue]) -> str:
    blocks = ["WEBVTT\n\n"]
    for cue in cues:
        settings = f" {_TOP_LINE}" if cue.at_top else ""
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.stop_ms, '.')}{settings}"
        lines = (line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in _lines(cue))
        blocks.append("\n".join([times, *lines, "", ""]))
    return "".join(blocks)


def _top_settings() -> PacketSideData:
    """Return the settings of a WebVTT cue at the top, as FFmpeg reads them: PyAV cannot make them."""
    file = f"WEBVTT\n\n00:00.000 --> 00:01.000 {_TOP_LINE}\n-\n".encode()
    with av.open(io.BytesIO(file), "r", format="webvtt") as container:
        return next(container.demux()).get_sidedata("webvtt_settings")


def _lines(cue: Cue) -> Iterator[str]:
    """Return lines without control characters, which players interpret; an empty line would end the cue."""
    return (line for text in cue.lines if (line := without_controls(text)))


def _unmarked_lines(cue: Cue) -> list[str]:
    """Return the lines for formats without escapes: brackets of mark-up become lookalike characters."""
    text = _TAG.sub("\u2039\\1\u203a", "\n".join(_lines(cue)))
    return _CODE.sub(r"(\1)", text).split("\n")


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"
