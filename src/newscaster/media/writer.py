"""Video output: video, audio, subtitles and copied tracks in one container: a file, a stream or a buffer.

`Writer` writes all video. It handles encoders and time stamps, and opens and finishes the container. Leaves
the properties of containers to `containers`, those of encoders to `encoders`, files to `video_file`, and live
video to `stream` and `sink`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from newscaster.media.alpha import AlphaConverter
from newscaster.media.captions import Subtitles, SubtitleTrack
from newscaster.media.color import ColourTags, FromRgb, Orientation
from newscaster.media.containers import Container
from newscaster.media.encoders import Codec, VideoEncoding
from newscaster.media.frame import YuvFrame
from newscaster.media.kept_tracks import KeptTracks
from newscaster.types import AudioF32, ImageU8

_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""FFmpeg's names, by the number of channels."""
_RATES = {"aac": _AAC_RATES, "libopus": (48000,)}
"""Sampling rates in Hz by codec; others take any."""
_AAC_BITS_PER_CHANNEL = 96_000
_AAC_BITS_PER_SAMPLE = 6  # maximum of the format per channel, at low rates

FILE_CRF = 18
"""x264's quality for files: visually lossless."""
# "superfast" lacks the macroblock tree of "veryfast", which gives more bits to blocks that later frames refer
# to. With it, a file is 5 % larger than with "veryfast", in half the time; without it, twice as large.
FILE_X264 = {"preset": "superfast", "mbtree": "1", "rc-lookahead": "10"}
"""Options of x264 for files."""
LIVE_X264 = {"preset": "superfast", "tune": "zerolatency", "threads": "1"}
"""Options of x264 for live video: no frame waits for a later one."""
KEY_SECONDS = Fraction(2)
"""Maximum time between two key frames: players seek to a key frame, and decode from there."""


def key_interval(fps: Fraction, container: Container) -> int:
    """Return the maximum number of frames from one key frame to the next."""
    return max(1, math.floor(fps * (container.segment_seconds or KEY_SECONDS)))


class VideoTrack:
    """A video stream of an open container. It takes frames of one size: RGB images, or decoded frames.

    Args:
        output: the container.
        container: its format.
        fps: frames per second.
        like: the first frame: it sets the size; a decoded one also layout, range, colours and rotation.
        encoding: codec and options.
        key_frames: maximum number of frames from one key frame to the next. Each is an IDR frame: no frame
            after it refers to one before it, so that decoding can start there.
    """

    def __init__(
        self,
        output: OutputContainer,
        *,
        container: Container,
        fps: Fraction,
        like: ImageU8 | YuvFrame,
        encoding: VideoEncoding,
        key_frames: int,
    ) -> None:
        stored = like.frame if isinstance(like, YuvFrame) else None
        if isinstance(like, YuvFrame):
            self._size, tags = like.size, like.tags
        else:
            self._size = like.shape[1], like.shape[0]
            tags = ColourTags.for_height(like.shape[0])
        self._from_rgb = FromRgb(tags)
        self._output = output
        self._time_base = 1 / fps
        self.count = 0  # frames written and frames dropped
        self._key_frames = key_frames
        self._key = 0  # number of the last key frame that was due
        self._skipped = False
        self._last: VideoFrame | None = None
        options = encoding.encoder_options(key_frames, stored)
        stream: Any = output.add_stream(encoding.library, rate=fps, options=options)
        if stored is None:
            stream.width, stream.height = (side + side % 2 for side in self._size)
        else:
            stream.width, stream.height = stored.width, stored.height
        stream.pix_fmt = encoding.pixels(stored)
        self._convert_alpha = AlphaConverter(stream.pix_fmt) if encoding.converts else None
        if isinstance(like, YuvFrame) and like.orientation != Orientation():
            stream.set_display_matrix(like.orientation.matrix)
        context: Any = stream.codec_context
        if (tag := encoding.tag(container)) is not None:
            context.codec_tag = tag
        context.time_base = self._time_base
        full = isinstance(like, YuvFrame) and like.is_full_range
        context.colorspace, context.color_range = tags.matrix, ColorRange.JPEG if full else ColorRange.MPEG
        context.color_primaries, context.color_trc = tags.primaries, tags.transfer
        self._stream: VideoStream = stream

    @property
    def seconds(self) -> Fraction:
        """Duration of the frames written so far."""
        return self.count * self._time_base

    def write(self, image: ImageU8 | YuvFrame) -> None:
        """Encode an (H, W, 3) uint8 RGB image, or a decoded frame as it is."""
        if self._convert_alpha is None:
            self._last = self._frame_of(image) if isinstance(image, YuvFrame) else self._convert(image)
        else:
            if not isinstance(image, YuvFrame):
                image = YuvFrame(self._convert(image), self._size)
            self._frame_of(image)
            self._last = self._convert_alpha(image)
        self._encode(self._last)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags of the stream, before the first frame."""
        self._stream.metadata.update(tags)

    def skip(self) -> None:
        """Drop a frame: the previous one stays on screen, and is encoded again only if a key frame is due.

        The previous frame must not have been modified since.
        """
        self._skipped = True
        if self._is_key_due and self._last is not None:
            self._encode(self._last)
        else:
            self.count += 1

    def _encode(self, frame: VideoFrame) -> None:
        frame.pts, frame.time_base = self.count, self._time_base
        frame.pict_type = self._kind()
        self._output.mux(self._stream.encode(frame))
        self.count += 1

    @property
    def _is_key_due(self) -> bool:
        return self.count - self._key >= self._key_frames

    def _kind(self) -> PictureType:
        """Return the frame type: a key frame if x264, which does not count skipped frames, would be late."""
        due = self._is_key_due
        if due:
            self._key = self.count
        return PictureType.I if due and self._skipped else PictureType.NONE

    def _convert(self, image: ImageU8) -> VideoFrame:
        if image.dtype != np.uint8 or image.shape != (self._size[1], self._size[0], 3):
            raise ValueError(
                f"frame {self.count} is {image.dtype} of shape {image.shape}; expected uint8 of shape "
                f"{(self._size[1], self._size[0], 3)}, like the first frame"
            )
        return self._from_rgb(image)

    def _frame_of(self, image: YuvFrame) -> VideoFrame:
        if image.size != self._size:
            raise ValueError(
                f"frame {self.count} has {image.size[0]}x{image.size[1]} pixels; expected "
                f"{self._size[0]}x{self._size[1]}, like the first frame"
            )
        return image.frame  # its frame type is reset: a key frame of the target need not be one here

    def finish(self) -> None:
        """Flush the encoder."""
        self._output.mux(self._stream.encode(None))


class AudioTrack:
    """An audio stream of an open container, at its rate or the next higher one that the codec supports.

    Args:
        output: the container.
        codec: FFmpeg's name of the codec.
        rate: of the samples, in Hz.
        channels: 1, 2, 6 or 8.
    """

    def __init__(self, output: OutputContainer, *, rate: int, channels: int, codec: str = "aac") -> None:
        self._output, self._rate, self._layout = output, rate, AAC_LAYOUTS[channels]
        self._written = 0
        rates = _RATES.get(codec, (rate,))
        coded_rate = next((r for r in rates if r >= rate), rates[-1])
        stream: Any = output.add_stream(codec, rate=coded_rate, layout=self._layout)
        self._stream: AudioStream = stream
        self._stream.codec_context.bit_rate = channels * min(
            _AAC_BITS_PER_CHANNEL, _AAC_BITS_PER_SAMPLE * coded_rate
        )

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags of the stream, before the first samples."""
        self._stream.metadata.update(tags)

    @property
    def seconds(self) -> Fraction:
        """Duration of the samples written so far."""
        return Fraction(self._written, self._rate)

    def write(self, samples: AudioF32) -> None:
        """Encode (channels, n) float32 in [-1, 1]."""
        # Packed: PyAV reads past the end of the pointers to eight planes.
        packed = np.ascontiguousarray(samples.T, np.float32).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += samples.shape[1]
        self._output.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush the encoder."""
        self._output.mux(self._stream.encode(None))


class Writer:
    """An open container with video, and optionally audio and subtitles.

    A context manager: at the end of the block, it flushes the encoders unless an error was raised, and closes
    the container.

    Args:
        target: an address that FFmpeg opens, or a file object.
        first: the first frame: see `VideoTrack`.
        container: its format.
        fps: frames per second.
        x264: options of the video encoder if it is x264.
        codec: compression format of the video.
        options: FFmpeg's options for the container.
        tags: such as title and comment.
        audio: sampling rate in Hz, and number of channels: 1, 2, 6 or 8.
        subtitles: a track that viewers can switch off.
        kept: tracks to copy.
        audio_tags: of the audio track, such as language.
        io_open: opens further files that FFmpeg requests, such as segments.

    Raises:
        ValueError: the container does not support these codecs, or alpha.
        av.FFmpegError, OSError: it cannot be opened or written to; all methods raise these.
    """

    def __init__(
        self,
        target: Any,
        first: ImageU8 | YuvFrame,
        *,
        container: Container,
        fps: Fraction,
        x264: Mapping[str, str],
        codec: Codec = "h264",
        options: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        audio: tuple[int, int] | None = None,
        subtitles: Subtitles | None = None,
        kept: KeptTracks | None = None,
        audio_tags: Mapping[str, str] | None = None,
        io_open: Any = None,
    ) -> None:
        self._output = output = av.open(
            target, mode="w", format=container.muxer, options=dict(options or {}), io_open=io_open
        )
        try:
            output.metadata.update(container.stored_tags(tags or {}))
            key_frames = key_interval(fps, container)
            encoding = VideoEncoding.of(container, first, codec=codec, options=x264)
            self._video = VideoTrack(
                output, container=container, fps=fps, like=first, encoding=encoding, key_frames=key_frames
            )
            self._audio = None
            if audio is not None and encoding.row.audio is not None:
                rate, channels = audio
                self._audio = AudioTrack(output, rate=rate, channels=channels, codec=encoding.row.audio)
            self._subtitles = None if subtitles is None else SubtitleTrack(output, subtitles, container)
            self._kept = kept
            if kept is not None:
                self._video.tag(container.track_tags(kept.video_tags))
                kept.add_to(output, container)
            if self._audio is not None:
                self._audio.tag(container.track_tags(audio_tags or {}))
            output.start_encoding()
        except BaseException:
            with suppress(av.FFmpegError, OSError):
                output.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._output.close()

    def _finish(self) -> None:
        self._video.finish()
        if self._subtitles is not None:
            self._subtitles.write_until(None)
        if self._kept is not None:
            self._kept.write_until(None)
        if self._audio is not None:
            self._audio.finish()

    @property
    def count(self) -> int:
        """Number of frames written, dropped ones included."""
        return self._video.count

    @property
    def seconds(self) -> Fraction:
        """Duration of the frames written so far."""
        return self._video.seconds

    def write(self, frame: ImageU8 | YuvFrame | None, audio: AudioF32 | None = None) -> None:
        """Write a frame and its audio.

        Args:
            frame: see `VideoTrack.write`; None drops it: see `VideoTrack.skip`.
            audio: (n,) float32 in [-1, 1]; None: `write_audio` writes it, or there is none.
        """
        if frame is None:
            self._video.skip()
        else:
            self._video.write(frame)
        if self._audio is not None and audio is not None:
            self._audio.write(audio[None])
        if self._subtitles is not None:
            self._subtitles.write_until(self.seconds)
        if self._kept is not None:
            self._kept.write_until(self.seconds)

    def write_audio(self, blocks: Iterator[AudioF32], *, until: Fraction | None = None) -> None:
        """Write (channels, n) blocks up to `until`, in seconds, or all of them."""
        while self._audio is not None and (until is None or self._audio.seconds < until):
            block = next(blocks, None)
            if block is None:
                return
            self._audio.write(block)
