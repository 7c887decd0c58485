"""Media metadata: from the header, the first frame and the time stamps of packets.

Only the first frame is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.color import Orientation, pixel_aspect
from newscaster.media.extent import Gaps, video_extent
from newscaster.media.rational import as_fraction
from newscaster.media.reader import decode_stored_video, find_audio, find_video, open_media
from newscaster.texts import shown

_FALLBACK_FPS = Fraction(25)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The video stream of a file."""

    width: int
    """Pixels as shown: after rotation, with square pixels."""
    height: int
    """Pixels, likewise."""
    fps: Fraction
    """Frames per second; the average if the rate varies."""
    rotation: int
    """Clockwise degrees by which a player turns the stored frame: 0, 90, 180 or 270."""
    start_seconds: float
    """Time stamp of the first frame on the container's clock."""
    duration_seconds: float | None
    """Time with frames, without gaps, measured independently of the header; None if not measured."""
    gaps: Gaps = ()
    """Times without frames between others, see `newscaster.media.extent`."""
    nominal_fps: Fraction | None = None
    """Frame rate without gaps and dropped frames, which lower `fps`; None if there are none."""
    uneven: float = 0.0
    """Fraction of the frames that are shown for another time than at the constant rate; 0 if not measured."""

    @property
    def end_seconds(self) -> float | None:
        """End of the last frame, counted from the first frame; None if it was not measured."""
        if self.duration_seconds is None:
            return None
        return self.duration_seconds + sum(stop - start for start, stop in self.gaps)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The audio stream of a file."""

    rate: int
    """Samples per second."""
    channels: int
    start_seconds: float
    """Time stamp of the first sample on the container's clock."""
    duration_seconds: float | None
    """Duration of this stream in the header; None if it has none."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The streams and tags of a media file."""

    path: Path
    video: VideoInfo | None
    audio: AudioInfo | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The container's tags (title, comment, ...)."""


def probe(path: Path, *, header_only: bool = False) -> MediaInfo:
    """Read the metadata of a media file.

    Args:
        path: any media file.
        header_only: do not measure the duration of the video, which reads the whole file.

    Raises:
        MediaError: the file is missing, or not a media file, or its video cannot be decoded.
    """
    path = Path(path)
    with open_media(path) as container:
        metadata = {shown(key): shown(value) for key, value in container.metadata.items()}
        audio_stream = find_audio(container)
        audio = _audio_info(audio_stream) if audio_stream is not None else None
        video_stream = find_video(container)
        video = _video_info(container, video_stream, path) if video_stream is not None else None
    if video is not None and not header_only:
        extent = video_extent(path, first_seconds=video.start_seconds, frame_seconds=float(1 / video.fps))
        fps = None if extent.fps is None else Fraction(extent.fps).limit_denominator(1001)
        video = replace(
            video,
            duration_seconds=extent.seconds,
            gaps=extent.gaps,
            nominal_fps=fps,
            uneven=extent.uneven,
        )
    if video is None and audio is None:
        raise MediaError(f"'{path}' holds an image but neither video nor audio. Give another file")
    return MediaInfo(path=path, video=video, audio=audio, metadata=metadata)


def native_fps(stream: VideoStream) -> Fraction:
    """Return the frame rate of a stream.

    If the rate varies, this is the average over the file. If the average is within 0.5 % of the base rate of
    the time stamps, this is the base rate: the duration of the last frame is often odd.
    """
    average = as_fraction(stream.average_rate or stream.codec_context.framerate or stream.guessed_rate)
    if average is None or not 0 < average <= 1000:
        return _FALLBACK_FPS
    base = as_fraction(stream.base_rate)
    if base is not None and abs(base / average - 1) < Fraction(1, 200):
        return base
    return average.limit_denominator(1001)


def _video_info(container: InputContainer, stream: VideoStream, path: Path) -> VideoInfo:
    first = next(decode_stored_video(container, stream, path))
    orientation = Orientation.of(first)
    width, height = orientation.size(round(first.width * pixel_aspect(stream)), first.height)
    return VideoInfo(
        width=width,
        height=height,
        fps=native_fps(stream),
        rotation=orientation.rotation,
        start_seconds=first.time if first.pts is not None else 0.0,
        duration_seconds=None,
    )


def _audio_info(stream: AudioStream) -> AudioInfo:
    start = stream.start_time
    return AudioInfo(
        rate=stream.rate,
        channels=stream.channels,
        start_seconds=float(start * stream.time_base) if start is not None and stream.time_base else 0.0,
        duration_seconds=float(stream.duration * stream.time_base)
        if stream.duration and stream.time_base
        else None,
    )
