"""The table of containers that video is written to. All code that depends on a container reads it here.

A row has suffixes, FFmpeg's names and options, subtitles, tags, and the place of the C2PA manifest. Encoding
is in `writer`, and the containers that are safe to read in `reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class VideoCodec:
    """A video codec, and the codec of the audio beside it."""

    encoder: str = "libx264"
    """FFmpeg's name of it."""
    pixels: str = "yuv420p"
    """FFmpeg's name of its pixel format."""
    file_options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for files. Those of x264 are in `writer`."""
    live_options: Mapping[str, str] = field(default_factory=dict)
    """The same for live video."""
    crf_offset: int | None = None
    """Added to x264's quality for one of about the same fidelity; None: it has no such option."""
    audio: Literal["aac", "libopus", "pcm_s16le"] | None = "aac"
    """FFmpeg's name of the audio codec; None: images carry no audio."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """One way to store or send video and audio: H.264 and AAC, unless its codec is another."""

    muxer: str
    """FFmpeg's name of the format."""
    suffix: str | None = None
    """Of its files, in lower case with the dot; None: not written to files."""
    schemes: tuple[str, ...] = ()
    """Schemes of its addresses, such as "rtmp"."""
    media_type: str | None = None
    """For HTTP and C2PA, such as "video/mp4"; None if neither needs it."""
    file_options: Mapping[str, str] | None = None
    """FFmpeg's options for a file that is renamed into place when finished; None: live only."""
    live_options: Mapping[str, str] = field(default_factory=dict)
    """FFmpeg's options for live video. A file is playable up to the last write."""
    codec: VideoCodec = field(default_factory=VideoCodec)
    """Of opaque frames."""
    alpha_codec: VideoCodec | None = None
    """Of frames with alpha; None: it cannot carry alpha."""
    is_sequence: bool = False
    """Whether each frame is a file of its own: the name has a pattern such as %05d."""
    segment_seconds: Fraction | None = None
    """Maximum length of a live segment beside the playlist. A segment starts with its only key frame."""
    subtitle_codec: Literal["mov_text", "subrip", "webvtt"] | None = None
    """FFmpeg's codec of subtitle tracks."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """Its language codes that differ from ISO 639-2/T, by the ISO code."""
    common_tags: frozenset[str] | None = None
    """Tags that every player finds; others need FFmpeg's `use_metadata_tags`. None: no difference."""
    service_tags: Mapping[str, str] = field(default_factory=dict)
    """Names of its own tags, and the tags that they copy, cut to a length that fits."""
    manifest: Literal["embedded", "beside"] | None = None
    """Place of the C2PA manifest: in a box of the file (ISO BMFF), or in a separate file."""

    @property
    def keeps_layout(self) -> bool:
        """Whether its codecs take frames of any depth and subsampling: H.264 and HEVC do."""
        return self.codec.encoder == "libx264"

    def muxer_options(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return FFmpeg's options for a finished file with these tags."""
        options = dict(self.file_options or {})
        if self.common_tags is not None and not self.common_tags.issuperset(tags):
            options["movflags"] += "+use_metadata_tags"
        return options

    def stored_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return the tags, plus the copies under the container's own names."""
        renamed = {name: tags[tag] for name, tag in self.service_tags.items() if tag in tags}
        return {**tags, **{name: text[:_MAX_SERVICE_CHARACTERS] for name, text in renamed.items()}}

    def track_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of a track, its language in the container's own code."""
        language = tags.get("language")
        return {**tags} if language is None else {**tags, "language": self.languages.get(language, language)}


_MAX_SERVICE_CHARACTERS = 200
"""The service descriptor of a transport stream has 255 bytes."""
_HLS_SEGMENTS = 12
"""Segments in the playlist; as many older ones stay on disk, for players with an older playlist."""
_SERVICE_TAGS = {"service_name": "title", "service_provider": "comment"}
# QuickTime's own language codes, as FFmpeg spells those that differ from ISO 639-2/T.
_ISO_CODES = ["deu", "ell", "gle", "isl", "nld", "sqi", "swe", "zho"]
_QUICKTIME_CODES = ["ger", "gre", "iri", "ice", "dut", "alb", "sve", "chi"]

_VP9_FILE = {"deadline": "good", "cpu-used": "5", "row-mt": "1", "b": "0"}
_VP9_LIVE = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0", "b": "0"}
VP9 = VideoCodec(
    encoder="libvpx-vp9",
    file_options=_VP9_FILE,
    live_options=_VP9_LIVE,
    crf_offset=8,
    audio="libopus",
)
VP9_ALPHA = replace(
    VP9,
    pixels="yuva420p",
    # A hidden reference frame would have no alpha.
    file_options={**_VP9_FILE, "auto-alt-ref": "0"},
    live_options={**_VP9_LIVE, "auto-alt-ref": "0"},
)
PRORES_4444 = VideoCodec(
    encoder="prores_ks",
    pixels="yuva444p10le",
    file_options={"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
    audio="pcm_s16le",
)
PNG = VideoCodec(encoder="png", pixels="rgb24", file_options={"compression_level": "3"}, audio=None)
PNG_ALPHA = replace(PNG, pixels="rgba")

MP4 = Container(
    muxer="mp4",
    suffix=".mp4",
    media_type="video/mp4",
    file_options={"movflags": "faststart"},  # index first: web players can seek at once
    live_options={"movflags": "frag_keyframe+delay_moov+default_base_moof+use_metadata_tags"},
    subtitle_codec="mov_text",
    common_tags=frozenset(
        {
            *(
                "title",
                "artist",
                "album",
                "album_artist",
                "composer",
                "date",
                "comment",
                "genre",
                "copyright",
            ),
            *("description", "synopsis", "show", "network", "episode_id", "grouping", "lyrics"),
            "creation_time",  # in the header, where all players look for it
        }
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
        alpha_codec=PRORES_4444,
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
        muxer="webm",
        suffix=".webm",
        media_type="video/webm",
        file_options={"cues_to_front": "1"},
        codec=VP9,
        alpha_codec=VP9_ALPHA,
        subtitle_codec="webvtt",
        manifest="beside",
    ),
    Container(
        muxer="image2",
        suffix=".png",
        media_type="image/png",
        file_options={},
        codec=PNG,
        alpha_codec=PNG_ALPHA,
        is_sequence=True,
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
"""Suffixes of audio files that can be written."""
_READ_ONLY_SUFFIXES = (".3gp", ".avi", ".m2ts", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".wmv")


def container_of(path: Path) -> Container | None:
    """Return the container of a file, by its suffix; None if there is none."""
    suffix = path.suffix.lower()
    return next((row for row in CONTAINERS if row.suffix == suffix), None)


def container_of_scheme(scheme: str) -> Container | None:
    """Return the container for addresses with a scheme, such as "rtmp"; None if there is none."""
    return next((row for row in CONTAINERS if scheme in row.schemes), None)


def container_of_muxer(name: str) -> Container:
    """Return the first container with this FFmpeg muxer; one without options if none has it."""
    return next((row for row in CONTAINERS if row.muxer == name), Container(muxer=name))


def file_suffixes() -> tuple[str, ...]:
    """Return the suffixes of video files that are renamed into place when finished."""
    return _suffixes(lambda row: row.file_options is not None)


def live_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files that can take live video."""
    return _suffixes(lambda row: not row.is_sequence)


def subtitle_suffixes() -> tuple[str, ...]:
    """Return the suffixes of video files with a place for a subtitle track."""
    return _suffixes(lambda row: row.subtitle_codec is not None)


def alpha_suffixes(*, live: bool = False) -> tuple[str, ...]:
    """Return the suffixes of files that can carry alpha."""
    return _suffixes(lambda row: row.alpha_codec is not None and not (live and row.is_sequence))


def live_schemes() -> tuple[str, ...]:
    """Return the schemes of addresses that can take live video."""
    return tuple(scheme for row in CONTAINERS for scheme in row.schemes)


def signed_suffixes() -> tuple[str, ...]:
    """Return the suffixes of video files that C2PA can sign."""
    return _suffixes(lambda row: row.manifest is not None)


def footage_suffixes() -> tuple[str, ...]:
    """Return the suffixes of video files that a folder of footage is searched for.

    A file that is named directly may have any suffix.
    """
    written = _suffixes(lambda row: row.segment_seconds is None and not row.is_sequence)
    return tuple(sorted((*_READ_ONLY_SUFFIXES, *written)))


def listed(suffixes: Sequence[str]) -> str:
    """Join suffixes for a sentence: ".mp4, .mov or .mkv"."""
    return " or ".join(filter(None, (", ".join(suffixes[:-1]), suffixes[-1])))


def _suffixes(condition: Callable[[Container], bool]) -> tuple[str, ...]:
    return tuple(row.suffix for row in CONTAINERS if row.suffix is not None and condition(row))
