"""Video encoders: which one keeps a frame's layout, and its options.

H.264 is the default, since everything plays it. HEVC is for video of 10 bits that was HEVC: few devices
decode H.264 of 10 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from newscaster.media.containers import Container, VideoCodec
from newscaster.media.frame import YuvFrame
from newscaster.media.pixel_layout import PLAIN, PixelLayout
from newscaster.types import ImageU8

Codec = Literal["h264", "hevc"]
CODECS: tuple[Codec, ...] = ("h264", "hevc")
"""Names as of ffprobe."""

_LIBRARIES: Mapping[Codec, str] = {"h264": "libx264", "hevc": "libx265"}
# At "superfast", x265 takes three to five times as long as x264.
_X265_PRESET = "superfast"
# AVMasteringDisplayMetadata: x and y of red, green, blue and white, least and most light, all of them
# fractions of two integers, and two flags.
_MASTERING = struct.Struct("=22i")
_CHROMATICITY, _LUMINANCE = 50_000, 10_000  # units of both, as in SMPTE ST 2086


@dataclass(frozen=True, kw_only=True)
class VideoEncoding:
    """How frames are encoded.

    Args:
        codec: the compression format, in containers of H.264 and HEVC.
        options: of x264; other encoders get similar ones.
        row: the codec of the container's row.
    """

    codec: Codec = "h264"
    options: Mapping[str, str] = field(default_factory=dict)
    row: VideoCodec = field(default_factory=VideoCodec)

    @staticmethod
    def of(
        container: Container, first: ImageU8 | YuvFrame, *, codec: Codec, options: Mapping[str, str]
    ) -> VideoEncoding:
        """Return the encoding of frames like the first one in a container.

        Raises:
            ValueError: it has alpha, which the container cannot carry.
        """
        row = container.codec
        if isinstance(first, YuvFrame) and first.alpha is not None:
            if container.alpha_codec is None:
                raise ValueError(f"{container.muxer} cannot carry alpha")
            row = container.alpha_codec
        return VideoEncoding(codec=codec, options=options, row=row)

    @property
    def is_usual(self) -> bool:
        """Whether it is H.264 or HEVC, which keep a frame's layout."""
        return self.row.encoder == "libx264"

    @property
    def library(self) -> str:
        """FFmpeg's name of the encoder."""
        return _LIBRARIES[self.codec] if self.is_usual else self.row.encoder

    @property
    def converts(self) -> bool:
        """Whether frames are converted to the pixel format of the encoder."""
        return self.row.pixels != "yuv420p"

    def pixels(self, like: VideoFrame | None) -> str:
        """Return FFmpeg's name of the pixel format for frames like this one; None: RGB images."""
        return like.format.name if self.is_usual and like is not None else self.row.pixels

    def encoder_options(self, key_frames: int, like: VideoFrame | None) -> dict[str, str]:
        """Return the encoder's options.

        Args:
            key_frames: maximum number of frames from one key frame to the next.
            like: the first frame, whose HDR metadata is written; None: it has none.
        """
        if not self.is_usual:
            return {"g": str(key_frames), **self._similar_options()}
        light = {} if like is None else hdr_parameters(like)
        if self.codec == "h264":
            names = {"master-display": "mastering-display", "max-cll": "cll"}
            more = ":".join(f"{names[key]}={value}" for key, value in light.items())
            usual = {"g": str(key_frames), "flags": "+cgop", **self.options}
            return {**usual, "x264-params": more} if more else usual
        usual = {"preset": _X265_PRESET, **{k: v for k, v in self.options.items() if k == "crf"}}
        parameters = {"log-level": "error", "keyint": str(key_frames), "open-gop": "0", **light}
        usual["x265-params"] = ":".join(f"{key}={value}" for key, value in parameters.items())
        return usual

    def _similar_options(self) -> dict[str, str]:
        """Return the options of an encoder that is neither x264 nor x265."""
        row, is_live = self.row, self.options.get("tune") == "zerolatency"
        options = dict(row.live_options if is_live else row.file_options)
        if row.crf_offset is not None and "crf" in self.options:
            options["crf"] = str(int(self.options["crf"]) + row.crf_offset)
        return options

    def tag(self, container: Container) -> str | None:
        """Return the code by which players of a container find the decoder; None: FFmpeg's own choice."""
        return "hvc1" if self.library == "libx265" and container.muxer in ("mp4", "mov") else None


def layout_note(codec: Codec, layout: PixelLayout) -> str | None:
    """Return a note if many players cannot show a layout in a codec; None if all can."""
    if layout == PLAIN or (codec == "hevc" and layout.name == "yuv420p10le"):
        return None
    name = {"h264": "H.264", "hevc": "HEVC"}[codec]
    return (
        f"the video keeps {layout}: browsers and many devices cannot play that in {name}. For them, convert: "
        "ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p -c:a copy OUTPUT.mp4"
    )


def hdr_parameters(frame: VideoFrame) -> dict[str, str]:
    """Return mastering display (SMPTE ST 2086) and content light level of a frame, as x265 takes them."""
    side_data: Any = frame.side_data
    out = {}
    light = side_data.get(SideDataType.CONTENT_LIGHT_LEVEL)
    if light is not None and len(data := bytes(light)) >= 8:
        most, average = struct.unpack_from("=2I", data)
        out["max-cll"] = f"{most},{average}"
    display = side_data.get(SideDataType.MASTERING_DISPLAY_METADATA)
    if display is not None and len(data := bytes(display)) >= _MASTERING.size:
        text = mastering_text(data)
        out |= {} if text is None else {"master-display": text}
    return out


def mastering_text(data: bytes) -> str | None:
    """Return FFmpeg's AVMasteringDisplayMetadata as x265 takes it; None if a part of it is missing."""
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    if not (has_primaries and has_luminance):
        return None
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    fractions = [top / bottom if bottom else 0.0 for top, bottom in pairs]
    red, green, blue, white = (
        tuple(round(value * _CHROMATICITY) for value in fractions[2 * i : 2 * i + 2]) for i in range(4)
    )
    least, most = (round(value * _LUMINANCE) for value in fractions[8:10])
    points = "".join(f"{name}({x},{y})" for name, (x, y) in zip("GBR", (green, blue, red), strict=True))
    return f"{points}WP({white[0]},{white[1]})L({most},{least})"
