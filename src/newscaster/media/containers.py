"""The containers that video is written to, one row each: all that depends on a container asks this table.

Knows suffixes, FFmpeg's names and options, subtitles, tags, and where a C2PA manifest goes. Leaves encoding
to `writer`. Which containers are safe to read is in `reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Container:
    """One way to store or send H.264 and AAC."""

    muxer: str
    """FFmpeg's name of it."""
    suffix: str | None = None
    """Of its files, in lower case with the dot; None: files with it are not written."""
    schemes: tuple[str, ...] = ()
    """Of addresses that it is sent to, such as "rtmp"."""
    media_type: str | None = None
    """For HTTP and C2PA, such as "video/mp4"; None if neither meets it."""
    file_options: Mapping[str, str] | None = None
    """FFmpeg's options for a file that gets its name when it is finished; None: there is no such file."""
    live_options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for live video. A file can be played as far as it has been written."""
    segment_seconds: Fraction | None = None
    """Of live video: maximum length of a file beside the playlist, which starts with its only key frame."""
    subtitle_codec: Literal["mov_text", "subrip"] | None = None
    """FFmpeg's name for a track of subtitles."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """Its codes of languages, by those of ISO 639-2/T that differ."""
    common_tags: frozenset[str] | None = None
    """Tags that every player finds; any other needs FFmpeg's `use_metadata_tags`. None: all are alike."""
    service_tags: Mapping[str, str] = field(default_factory=dict)
    """Names under which it stores other tags, which are cut to a length that fits."""
    manifest: Literal["embedded", "beside"] | None = None
    """Where a C2PA manifest goes: into a box of the file (ISO BMFF), or into a file of its own."""

    def muxer_options(self, tags: Mapping[str, str]) -> dict[str, str]:
        """FFmpeg's options for a finished file with these tags."""
        options = dict(self.file_options or {})
        if self.common_tags is not None and not self.common_tags.issuperset(tags):
            options["movflags"] += "+use_metadata_tags"
        return options

    def stored_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Tags, and those that it stores under another name under that, too."""
        renamed = {name: tags[tag] for name, tag in self.service_tags.items() if tag in tags}
        return {**tags, **{name: text[:_MAX_SERVICE_CHARACTERS] for name, text in renamed.items()}}


_MAX_SERVICE_CHARACTERS = 200
"""A transport stream describes itself in 255 bytes."""
_HLS_SEGMENTS = 12
"""Segments in the playlist; as many older ones are kept, for players that have read an older playlist."""
_SERVICE_TAGS = {"service_name": "title", "service_provider": "comment"}
# QuickTime's own codes of languages, where FFmpeg spells them otherwise than ISO 639-2/T.
_ISO_CODES = ["deu", "ell", "gle", "isl", "nld", "sqi", "swe", "zho"]
_QUICKTIME_CODES = ["ger", "gre", "iri", "ice", "dut", "alb", "sve", "chi"]

MP4 = Container(
    muxer="mp4",
    suffix=".mp4",
    media_type="video/mp4",
    file_options={"movflags": "faststart"},  # index first: web players seek without reading the file's end
    live_options={"movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags"},
    subtitle_codec="mov_text",
    common_tags=frozenset(
        {"title", "artist", "album", "date", "comment", "genre", "copyright", "description"}
    ),
    manifest="embedded",
)
CONTAINERS: tuple[Container, ...] = (
    MP4,
    replace(MP4, suffix=".m4v", media_type="video/x-m4v"),
    replace(
        MP4,
        muxer="mov",
        suffix=".mov",
        media_type="video/quicktime",
        languages=dict(zip(_ISO_CODES, _QUICKTIME_CODES, strict=True)),
    ),
    Container(
        muxer="matroska",
        suffix=".mkv",
        media_type="video/x-matroska",
        file_options={"cues_to_front": "1"},
        subtitle_codec="subrip",
        manifest="beside",
    ),
    Container(
        muxer="hls",
        suffix=".m3u8",
        live_options={
            "hls_list_size": str(_HLS_SEGMENTS),
            "hls_delete_threshold": str(_HLS_SEGMENTS + 1),
            "hls_flags": "delete_segments+independent_segments",
        },
        segment_seconds=Fraction(1),
        service_tags=_SERVICE_TAGS,
    ),
    Container(
        muxer="mpegts",
        suffix=".ts",
        schemes=("udp", "tcp", "srt", "pipe"),
        service_tags=_SERVICE_TAGS,
    ),
    Container(
        muxer="flv",
        suffix=".flv",
        schemes=("rtmp", "rtmps"),
        live_options={"flvflags": "no_duration_filesize"},
    ),
    Container(muxer="rtsp", schemes=("rtsp",)),
    Container(muxer="rtp_mpegts", schemes=("rtp",), service_tags=_SERVICE_TAGS),
)
"""In the order in which messages list them."""
AUDIO_SUFFIXES = (".wav",)
"""Of audio files that can be written."""
_READ_ONLY_SUFFIXES = (".3gp", ".avi", ".m2ts", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".webm", ".wmv")


def container_of(path: Path) -> Container | None:
    """The container that a file's suffix names; None if there is none."""
    suffix = path.suffix.lower()
    return next((row for row in CONTAINERS if row.suffix == suffix), None)


def container_of_scheme(scheme: str) -> Container | None:
    """The container for addresses that begin with a scheme, such as "rtmp"; None if there is none."""
    return next((row for row in CONTAINERS if scheme in row.schemes), None)


def container_of_muxer(name: str) -> Container:
    """The first container with this muxer of FFmpeg's; one without options if none has it."""
    return next((row for row in CONTAINERS if row.muxer == name), Container(muxer=name))


def file_suffixes() -> tuple[str, ...]:
    """Of video files that get their name when they are finished."""
    return _suffixes(lambda row: row.file_options is not None)


def live_suffixes() -> tuple[str, ...]:
    """Of files that live video is written to."""
    return _suffixes(lambda row: True)


def live_schemes() -> tuple[str, ...]:
    """Of addresses that live video is sent to."""
    return tuple(scheme for row in CONTAINERS for scheme in row.schemes)


def signed_suffixes() -> tuple[str, ...]:
    """Of video files that C2PA can sign."""
    return _suffixes(lambda row: row.manifest is not None)


def footage_suffixes() -> tuple[str, ...]:
    """Of video files that are read as footage if a folder is given; a file that is named may have any."""
    return tuple(sorted((*_READ_ONLY_SUFFIXES, *_suffixes(lambda row: row.segment_seconds is None))))


def listed(suffixes: Sequence[str]) -> str:
    """Suffixes in a sentence: ".mp4, .mov or .mkv"."""
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))


def _suffixes(is_wanted: Callable[[Container], bool]) -> tuple[str, ...]:
    return tuple(row.suffix for row in CONTAINERS if row.suffix is not None and is_wanted(row))
