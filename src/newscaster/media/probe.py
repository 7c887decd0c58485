"""What a media file holds, read from its header and its first frame. Fast: nothing else is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.container import decode_video, find_audio, find_video, open_media
from newscaster.media.pixels import Orientation, pixel_aspect

_MICROSECONDS = 1_000_000
_FALLBACK_FPS = Fraction(25)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The video stream of a file."""

    width: int
    """Pixels, after rotation and made square: as the picture is shown."""
    height: int
    """Pixels, likewise."""
    fps: Fraction
    """Frames per second; the average where the rate varies."""
    rotation: int
    """Degrees that a player turns the stored picture clockwise: 0, 90, 180 or 270."""
    start_seconds: float
    """Time stamp of the first frame on the container's clock."""
    duration_seconds: float | None
    """As the header says; None where it does not."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The sound stream of a file."""

    rate: int
    """Samples per second."""
    channels: int
    start_seconds: float
    """Time stamp of the first sample on the container's clock."""
    duration_seconds: float | None
    """As the header says; None where it does not."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a media file holds."""

    path: Path
    video: VideoInfo | None
    audio: AudioInfo | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The container's tags (title, comment, ...)."""


def probe(path: Path) -> MediaInfo:
    """Read what `path` holds.

    Raises:
        MediaError: the file is missing, or not a media file, or its video cannot be decoded.
    """
    path = Path(path)
    with open_media(path) as container:
        metadata = dict(container.metadata)
        audio_stream = find_audio(container)
        audio = _audio_info(container, audio_stream) if audio_stream is not None else None
        video_stream = find_video(container)
        video = _video_info(container, video_stream, path) if video_stream is not None else None
    if video is None and audio is None:
        raise MediaError(f"'{path}' holds a picture but neither video nor sound. Give another file")
    return MediaInfo(path=path, video=video, audio=audio, metadata=metadata)


def native_fps(stream: VideoStream) -> Fraction:
    """The stream's frame rate.

    The average over the file is what counts where the rate varies. Where it is off by a hair from the rate
    that the time stamps are multiples of (the last frame's duration is often odd), that rate is meant.
    """
    average = stream.average_rate or stream.codec_context.framerate or stream.guessed_rate
    if not average or not 0 < average <= 1000:
        return _FALLBACK_FPS
    base = stream.base_rate
    if base and abs(base / average - 1) < Fraction(1, 200):
        return Fraction(base)
    return Fraction(average).limit_denominator(1001)


def _video_info(container: InputContainer, stream: VideoStream, path: Path) -> VideoInfo:
    first = next(decode_video(container, stream, path))
    orientation = Orientation.of(first)
    width, height = orientation.size(round(first.width * pixel_aspect(stream)), first.height)
    return VideoInfo(
        width=width,
        height=height,
        fps=native_fps(stream),
        rotation=orientation.rotation,
        start_seconds=first.time if first.pts is not None else 0.0,
        duration_seconds=_duration(container, stream),
    )


def _audio_info(container: InputContainer, stream: AudioStream) -> AudioInfo:
    start = stream.start_time
    return AudioInfo(
        rate=stream.rate,
        channels=stream.channels,
        start_seconds=float(start * stream.time_base) if start is not None and stream.time_base else 0.0,
        duration_seconds=_duration(container, stream),
    )


def _duration(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / _MICROSECONDS if container.duration is not None else None
