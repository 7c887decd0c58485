"""The other tracks of a video, copied into the video that is made of it.

Copies audio tracks, subtitles, further video, cover images, attachments, chapters and tags, without decoding.
What a container cannot hold is dropped and noted; text subtitles are converted. Leaves the main video and
audio track to `writer`.

::

    file          |--|=====|=====|==...      t0: the first frame, which has time 0 in the result
                     t0
    result           |=====|=====|           packets before t0 and after the end are dropped
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition

from newscaster.media.captions import SUBTITLE_STYLE
from newscaster.media.containers import Container
from newscaster.media.extent import clock_restarts
from newscaster.media.reader import find_audio, find_video, open_media
from newscaster.media.subtitle_text import TEXT_CODECS, TextCodec, from_text, text_of
from newscaster.media.video import first_frame_seconds
from newscaster.texts import shown

Kind = Literal["audio", "subtitles", "video", "attachments", "chapters", "tags"]
KINDS: tuple[Kind, ...] = ("audio", "subtitles", "video", "attachments", "chapters", "tags")
"""What can be kept or dropped. "video" is further video tracks and cover images."""

_PREROLL_SECONDS = 0.1
"""MP4 keeps audio packets so long before the first frame: decoders need them; an edit list hides them."""
_KIND_OF: Mapping[str, Kind] = {"audio": "audio", "subtitle": "subtitles", "video": "video"}
_OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
"""Tags that describe the old file, not its content."""
_OF_THE_STREAM = ("bps", "duration", "number_of_", "_statistics", "encoder", "vendor_id")
"""Starts of the tags, in lower case, that describe an old stream."""
_MATROSKA = ("matroska", "webm")
_IMAGES = {"mjpeg": ("image/jpeg", ".jpg"), "png": ("image/png", ".png")}
_UNLISTED: Mapping[str, frozenset[str]] = {
    "matroska": frozenset({"dca", "pgssub", "dvdsub", "dvbsub"}),
    "mp4": frozenset({"dca", "dvdsub"}),
}
"""Decoders whose codecs a muxer takes, although FFmpeg's list has them under other names."""


@dataclass(frozen=True)
class _Plan:
    """One stream of the file and what becomes of it."""

    stream: Any
    subtitle_codec: TextCodec | None = None
    """The text codec it is converted to; None: it is copied."""


@dataclass(frozen=True)
class _Cover:
    """A cover image."""

    stream: Any
    data: bytes


@dataclass
class KeptTracks:
    """The tracks of an open file that go into another one. Made by :func:`open_kept_tracks`."""

    notes: tuple[str, ...]
    """What is dropped or converted, a line each."""
    tags: Mapping[str, str]
    """Of the file, such as title and creation_time."""
    video_tags: Mapping[str, str]
    """Of its main video track, such as language and timecode."""
    audio_tags: Mapping[str, str]
    """Of its main audio track."""
    has_main_audio: bool
    """Whether the main audio track is among them."""
    video_codec: str
    """FFmpeg's name of the main video's codec, such as "hevc"."""
    _source: InputContainer = field(repr=False)
    _plans: Sequence[_Plan] = field(repr=False)
    _covers: Sequence[_Cover] = field(repr=False)
    _attachments: Sequence[Any] = field(repr=False)
    _chapters: Sequence[Any] = field(repr=False)
    _start: Fraction = field(repr=False)
    _seconds: Fraction = field(repr=False)
    _output: OutputContainer | None = field(default=None, repr=False)
    _streams: dict[int, tuple[Any, _Plan]] = field(default_factory=dict, repr=False)
    _packets: Iterator[Packet[Any]] = field(default=iter(()), repr=False)
    _next: Packet[Any] | None = field(default=None, repr=False)
    _pending: list[Packet[Any]] = field(default_factory=list, repr=False)
    _preroll: Fraction = field(default=Fraction(0), repr=False)

    def add_to(self, output: OutputContainer, container: Container) -> None:
        """Add the streams, attachments and chapters to a container that is not started yet."""
        self._output = output
        self._preroll = Fraction(0) if container.muxer in _MATROSKA else Fraction(_PREROLL_SECONDS)
        for plan in self._plans:
            if plan.subtitle_codec is None:
                stream: Any = output.add_stream_from_template(plan.stream)
                if container.muxer not in _MATROSKA:
                    stream.codec_context.codec_tag = "\0\0\0\0"  # codes of another container do not fit
            else:
                stream = output.add_stream(plan.subtitle_codec)
                stream.codec_context.subtitle_header = SUBTITLE_STYLE
                stream.time_base = Fraction(1, 1000)
            stream.metadata.update(container.track_tags(stream_tags(plan.stream)))
            stream.disposition = plan.stream.disposition
            self._streams[plan.stream.index] = stream, plan
        for number, cover in enumerate(self._covers, 1):
            self._add_cover(output, container, cover, number)
        for attachment in self._attachments:
            kind = attachment.mimetype or "application/octet-stream"
            output.add_attachment(attachment.name or "attachment", kind, bytes(attachment.data))
        if self._chapters:
            output.set_chapters(list(self._chapters))
        streams = [plan.stream for plan in self._plans]
        self._packets = self._source.demux(streams) if streams else iter(())
        self._advance()

    def _add_cover(self, output: OutputContainer, container: Container, cover: _Cover, number: int) -> None:
        """Add a cover image: an attachment in Matroska, a track of one packet elsewhere."""
        if container.muxer == "matroska":
            mimetype, suffix = _IMAGES[cover.stream.codec_context.name]
            name = cover.stream.metadata.get(
                "filename", ("cover" if number == 1 else f"cover{number}") + suffix
            )
            output.add_attachment(name, mimetype, cover.data)
            return
        stream: Any = output.add_stream_from_template(cover.stream)
        stream.disposition = Disposition.attached_pic
        packet = Packet(cover.data)
        packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
        packet.time_base = Fraction(1, 1000)
        self._pending.append(packet)

    def write_until(self, seconds: Fraction | None) -> None:
        """Write the packets that start before `seconds`, in the result's time, or all remaining ones."""
        if self._pending:
            assert self._output is not None
            self._output.mux(self._pending)
            self._pending = []
        while self._next is not None:
            packet = self._next
            if seconds is not None and self._time(packet.dts, packet) >= seconds:
                return
            self._write(packet)
            self._advance()

    def _advance(self) -> None:
        self._next = next(
            (p for p in self._packets if p.size and p.dts is not None and p.pts is not None), None
        )

    def _time(self, stamp: int | None, packet: Packet[Any]) -> Fraction:
        assert stamp is not None, packet
        assert packet.time_base is not None, packet
        return stamp * packet.time_base - self._start

    def _write(self, packet: Packet[Any]) -> None:
        assert self._output is not None
        assert packet.time_base is not None, packet
        stream, plan = self._streams[packet.stream.index]
        start, length = self._time(packet.pts, packet), (packet.duration or 0) * packet.time_base
        is_subtitle = plan.stream.type == "subtitle"
        first = -length if is_subtitle else -self._preroll
        if start >= self._seconds or start < first or (is_subtitle and start + length <= 0):
            return
        if is_subtitle:
            self._write_subtitle(packet, stream, plan, max(start, Fraction(0)), start + length)
            return
        offset = round(self._start / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - offset
        packet.dts = None if packet.dts is None else packet.dts - offset
        packet.stream = stream
        self._output.mux(packet)

    def _write_subtitle(
        self, packet: Packet[Any], stream: Any, plan: _Plan, start: Fraction, stop: Fraction
    ) -> None:
        """Write a cue, cut at both ends of the result."""
        assert self._output is not None
        if plan.subtitle_codec is not None:
            text = text_of(bytes(packet), plan.stream.codec_context.name)
            if not text:
                return
            packet = Packet(from_text(text, plan.subtitle_codec))
        base = packet.time_base if plan.subtitle_codec is None else Fraction(1, 1000)
        packet.stream = stream
        packet.time_base = base
        packet.pts = packet.dts = round(start / base)
        packet.duration = max(0, round((min(stop, self._seconds) - start) / base))
        self._output.mux(packet)


@contextmanager
def open_kept_tracks(
    path: Path,
    container: Container,
    *,
    seconds: Fraction,
    drop: Sequence[Kind] = (),
    main_audio: bool = False,
) -> Iterator[KeptTracks]:
    """Open the tracks of a video that a result of `seconds` can keep; close the file when the block ends.

    Args:
        path: a file with video, whose first frame has time 0 in the result.
        container: of the result.
        seconds: length of the result.
        drop: what is not kept, and not noted.
        main_audio: copy the main audio track, too, if the container can hold it.

    Raises:
        MediaError: the file is missing, or not a media file.
    """
    start = Fraction(first_frame_seconds(path)).limit_denominator(1_000_000)
    with open_media(path) as source:
        video, audio = find_video(source), find_audio(source)
        others = [stream for stream in source.streams if stream is not video and stream is not audio]
        plans, covers, attachments, notes = _plan(others, container, drop)
        if main_audio and audio is not None and _can_hold(container, audio.codec_context.name):
            plans.insert(0, _Plan(audio))
        if plans and source.format.name == "mpegts" and clock_restarts(path):
            plans = []
            notes.append(
                "other tracks are dropped: the clock of the file restarts, so that they cannot be placed"
            )
        chapters = [] if "chapters" in drop else _chapters(source, start, seconds)
        keeps_tags = "tags" not in drop
        video_tags = stream_tags(video) if keeps_tags and video is not None else {}
        timecode = next((s.metadata["timecode"] for s in others if "timecode" in s.metadata), None)
        if timecode is not None and keeps_tags:
            video_tags = {**video_tags, "timecode": timecode}
        yield KeptTracks(
            notes=tuple(notes),
            tags=_without(source.metadata, _OF_THE_FILE) if keeps_tags else {},
            video_tags=video_tags,
            audio_tags=stream_tags(audio) if keeps_tags and audio is not None else {},
            has_main_audio=any(plan.stream is audio for plan in plans),
            video_codec="" if video is None else video.codec_context.name,
            _source=source,
            _plans=plans,
            _covers=_read_covers(path, covers),
            _attachments=attachments,
            _chapters=chapters,
            _start=start,
            _seconds=seconds,
        )


def stream_tags(stream: Any) -> dict[str, str]:
    """Return the tags of a stream that describe its content, such as language and title."""
    return {
        key: value for key, value in stream.metadata.items() if not key.lower().startswith(_OF_THE_STREAM)
    }


def _plan(
    streams: Sequence[Any], container: Container, drop: Sequence[Kind]
) -> tuple[list[_Plan], list[Any], list[Any], list[str]]:
    """Return the streams to copy or convert, those of covers, the attachments, and notes."""
    plans: list[_Plan] = []
    covers, attachments, notes = [], [], []
    for stream in streams:
        kind = "attachments" if stream.type == "attachment" else _KIND_OF.get(stream.type)
        if kind in drop or (kind is None and _is_made_again(stream)):
            continue
        codec = None if kind in (None, "attachments") else getattr(stream.codec_context, "name", None)
        if kind == "attachments" and container.muxer == "matroska":
            attachments.append(stream)
        elif stream.disposition & Disposition.attached_pic and codec in _IMAGES and _holds_covers(container):
            covers.append(stream)
        elif codec is not None and _can_hold(container, codec):
            plans.append(_Plan(stream))
        elif kind == "subtitles" and codec in TEXT_CODECS and (text := container.subtitle_codec):
            plans.append(_Plan(stream, text))
            notes.append(f"{_described(stream)} becomes plain text, without its styles")
        else:
            what = f" ({codec})" if codec else ""
            notes.append(f"{_described(stream)}{what} is dropped: {container.suffix} cannot hold it")
    return plans, covers, attachments, notes


def _is_made_again(stream: Any) -> bool:
    """Return whether a data stream is one that muxers make of chapters or of a time code."""
    handler = stream.metadata.get("handler_name", "")
    return "timecode" in stream.metadata or handler in ("SubtitleHandler", "Apple Text Media Handler")


def _described(stream: Any) -> str:
    name = {"audio": "audio track", "subtitle": "subtitle track", "video": "video track"}.get(stream.type)
    language = stream.metadata.get("language")
    title = stream.metadata.get("title") or getattr(stream, "name", None)
    details = shown(", ".join(filter(None, [language, title and f"'{title}'"])))
    return f"{name or f'{stream.type} track'} {stream.index}" + (f" ({details})" if details else "")


def _holds_covers(container: Container) -> bool:
    return container.muxer != "webm"


def _can_hold(container: Container, codec: str) -> bool:
    return codec in _codecs_of(container.muxer) or codec in _UNLISTED.get(container.muxer, ())


@cache
def _codecs_of(muxer: str) -> frozenset[str]:
    """Return the codecs that FFmpeg's muxer takes."""
    with av.open(io.BytesIO(), mode="w", format=muxer) as output:
        return frozenset(output.supported_codecs)


def _read_covers(path: Path, covers: Sequence[Any]) -> list[_Cover]:
    out = []
    for cover in covers:
        with open_media(path) as source:
            packets = source.demux(source.streams[cover.index])
            packet = next((packet for packet in packets if packet.size), None)
            out += [] if packet is None else [_Cover(cover, bytes(packet))]
    return out


def _chapters(source: InputContainer, start: Fraction, seconds: Fraction) -> list[Any]:
    """Return the chapters in the result's time, cut at its ends."""
    out = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        first = max(Fraction(0), chapter["start"] * base - start)
        last = min(seconds, chapter["end"] * base - start)
        if first < last:
            unit = Fraction(1, 1000)
            times = {"start": round(first / unit), "end": round(last / unit), "time_base": unit}
            out.append({**chapter, **times})
    return out


def _without(tags: Mapping[str, str], dropped: frozenset[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.lower() not in dropped}
