"""Video out: pictures and a sound file into one H.264 and AAC file, in constant memory.

Frames decide the length of the picture, and the sound is kept in full. Encoding runs in a second thread,
beside the generator that makes the frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from newscaster.errors import MediaError, OutputError
from newscaster.media.audio import AudioSource, open_audio
from newscaster.media.background import in_background
from newscaster.media.captions import Subtitles, SubtitleTrack
from newscaster.media.color import ColourTags, FromRgb
from newscaster.media.container import reason
from newscaster.media.downmix import Downmix, Samples
from newscaster.media.frame import YuvFrame
from newscaster.system.files import atomic_write, check_output

Image = npt.NDArray[np.uint8]

_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_AAC_BITS_PER_CHANNEL = 96_000
_AAC_BITS_PER_SAMPLE = 6  # what the format allows a channel, at low rates
# Tags that every player looks for in an MP4; others need the QuickTime kind of tags.
MP4_TAGS = frozenset({"title", "artist", "album", "date", "comment", "genre", "copyright", "description"})
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}

# What "superfast" leaves out and "veryfast" has: blocks that later frames show again get more bits. With it
# a file is 5 % larger than of "veryfast", made in half the time; without, twice as large.
LOOK_AHEAD = {"mbtree": "1", "rc-lookahead": "10"}

KEY_SECONDS = Fraction(2)
"""Longest time between two key frames of a video: players seek to a key frame, and decode from there."""


def key_frames(fps: Fraction, seconds: Fraction) -> int:
    """How many frames lie between two key frames that are at most so many seconds apart."""
    return max(1, math.floor(fps * seconds))


class VideoTrack:
    """An H.264 stream of an open container, fed pictures of one size: RGB images, or decoded ones.

    Args:
        container: where to.
        fps: pictures per second.
        like: the first of them: it says the size, and a decoded one how its colours are to be read.
        options: of x264.
        key_seconds: longest time from one key frame to the next. Each is an IDR frame: no frame after it
            refers to one before it, so that decoding can start there.
    """

    def __init__(
        self,
        container: OutputContainer,
        *,
        fps: Fraction,
        like: Image | YuvFrame,
        options: Mapping[str, str],
        key_seconds: Fraction = KEY_SECONDS,
    ) -> None:
        if isinstance(like, YuvFrame):
            self._size, tags = like.size, like.tags
        else:
            self._size = width, height = like.shape[1], like.shape[0]
            tags = ColourTags.for_height(height)
        width, height = self._size
        self._from_rgb = FromRgb(tags)
        self._container = container
        self._time_base = 1 / fps
        self.count = 0  # frames written and frames dropped
        self._key_frames = key_frames(fps, key_seconds)
        self._key = 0  # number of the last key frame that was due
        self._skipped = False
        self._last: VideoFrame | None = None
        options = {"g": str(self._key_frames), "flags": "+cgop", **options}
        stream: VideoStream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context: Any = stream.codec_context
        context.time_base = self._time_base
        context.colorspace, context.color_primaries, context.color_trc = (
            tags.matrix,
            tags.primaries,
            tags.transfer,
        )
        context.color_range = 1
        self._stream = stream

    @property
    def seconds(self) -> Fraction:
        """How far the pictures written so far reach."""
        return self.count * self._time_base

    def write(self, image: Image | YuvFrame) -> None:
        """Encode an (H, W, 3) uint8 RGB image, or a decoded picture as it is."""
        self._last = self._decoded(image) if isinstance(image, YuvFrame) else self._converted(image)
        self._encode(self._last)

    def skip(self) -> None:
        """Drop a frame: the one before stays on screen, encoded again only if a key frame is due.

        The frame that was written last must not have been drawn into since.
        """
        self._skipped = True
        if self._is_key_due and self._last is not None:
            self._encode(self._last)
        else:
            self.count += 1

    def _encode(self, frame: VideoFrame) -> None:
        frame.pts, frame.time_base = self.count, self._time_base
        frame.pict_type = self._kind()
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    @property
    def _is_key_due(self) -> bool:
        return self.count - self._key >= self._key_frames

    def _kind(self) -> PictureType:
        """A key frame if one is due that x264 would make too late: it counts frames, not the skipped ones."""
        due = self._is_key_due
        if due:
            self._key = self.count
        return PictureType.I if due and self._skipped else PictureType.NONE

    def _converted(self, image: Image) -> VideoFrame:
        if image.dtype != np.uint8 or image.shape != (self._size[1], self._size[0], 3):
            raise ValueError(
                f"frame {self.count} is {image.dtype} of shape {image.shape}; needed is uint8 of shape "
                f"{(self._size[1], self._size[0], 3)}, as the first frame"
            )
        return self._from_rgb(image)

    def _decoded(self, image: YuvFrame) -> VideoFrame:
        if image.size != self._size:
            raise ValueError(
                f"frame {self.count} has {image.size[0]}x{image.size[1]} pixels; needed are "
                f"{self._size[0]}x{self._size[1]}, as in the first frame"
            )
        return image.frame  # its kind is set anew: a key frame of the stage need not be one here

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def add_audio(container: OutputContainer, *, rate: int, channels: int) -> AudioStream:
    """An AAC stream of 1, 2, 6 or 8 channels, at the nearest rate that AAC has."""
    rate = next((r for r in _AAC_RATES if r >= rate), _AAC_RATES[-1])
    stream: AudioStream = container.add_stream("aac", rate=rate, layout=_LAYOUTS[channels])
    stream.codec_context.bit_rate = channels * min(_AAC_BITS_PER_CHANNEL, _AAC_BITS_PER_SAMPLE * rate)
    return stream


class _AudioTrack:
    """An AAC stream of an open container, fed from a sound file as far as the pictures have come."""

    def __init__(self, container: OutputContainer, source: AudioSource, path: Path) -> None:
        self._container = container
        self._path = path
        self._blocks = source.blocks()
        self._rate = source.rate
        self._downmix = Downmix(source.channels, source.rate)
        self._is_mixed = source.channels not in _LAYOUTS
        channels = 1 if self._is_mixed else source.channels
        self._layout = _LAYOUTS[channels]
        self._written = 0
        self._stream = add_audio(container, rate=source.rate, channels=channels)

    def write_until(self, seconds: Fraction | None) -> None:
        """Encode sound up to `seconds`, or all that is left."""
        while seconds is None or self._written < seconds * self._rate:
            block = next(self._blocks, None)
            if block is None:
                return
            self._write(block)

    def _write(self, block: Samples) -> None:
        if not np.isfinite(block).all():
            raise MediaError(
                f"the sound of '{self._path}' holds samples that are not numbers (NaN or infinite) at "
                f"{self._written / self._rate:.2f} s. Export it again"
            )
        # Players that mix the channels themselves hear nothing of those that are out of phase.
        block = self._downmix.mix(block)[None] if self._is_mixed else self._downmix.align(block)
        block = np.clip(block, -1.0, 1.0)  # FFmpeg's AAC encoder never returns from samples of 1e10
        # Packed: PyAV reads past the end of the pointers to eight planes.
        packed = np.ascontiguousarray(block.T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


def write_video(
    path: Path,
    frames: Iterable[Image | YuvFrame],
    *,
    fps: Fraction,
    audio: Path | None,
    metadata: Mapping[str, str] | None = None,
    subtitles: Subtitles | None = None,
    crf: int = 18,
    preset: str = "superfast",
    finish: Callable[[Path], None] | None = None,
) -> int:
    """Write a video file: H.264 (4:2:0, limited range, BT.709 from 720 lines, BT.601 below) and AAC.

    There is a key frame every 2 s or more often, and the index is at the file's start.

    Args:
        path: MP4, MOV or MKV, by its ending. Written under another name beside it, then renamed.
        frames: all of one size, taken one by one: (H, W, 3) uint8 RGB images, whose odd sides grow by one
            pixel, or decoded pictures, which reach the encoder unchanged.
        fps: frames per second; frame `i` is shown at i/fps.
        audio: file whose sound is heard from time 0, from its first sample to its last, at its own rate and
            channels where AAC knows them; a channel of inverted polarity is inverted back; None writes no
            sound.
        metadata: tags of the container, such as title and comment.
        subtitles: captions to be switched on and off, as a track of their own.
        crf: x264's quality: lower is better and larger; 18 looks the same as the original.
        preset: x264's trade of speed for size.
        finish: called with the finished file while it still has another name, such as to sign it.

    Returns:
        How many frames were written.

    Raises:
        OutputError: `path` cannot be written.
        MediaError: the sound cannot be read, or there are no frames.
        Exception: whatever `frames` or `finish` raises; no half file is left then.
    """
    path = Path(path)
    check_output(path)
    fps = Fraction(fps)

    def encode(images: Iterator[Image | YuvFrame]) -> int:
        options = {"crf": str(crf), "preset": preset, **LOOK_AHEAD}
        return _encode(temporary, images, fps, audio, metadata or {}, subtitles, options)

    with atomic_write(path) as temporary:
        try:
            count = in_background(frames, encode)
        except av.FFmpegError as error:
            raise OutputError(
                f"cannot write '{path}' ({reason(error)}). Free some space or memory, or write elsewhere"
            ) from error
        if finish is not None:
            finish(temporary)
    return count


def _encode(
    path: Path,
    images: Iterator[Image | YuvFrame],
    fps: Fraction,
    audio: Path | None,
    metadata: Mapping[str, str],
    subtitles: Subtitles | None,
    options: Mapping[str, str],
) -> int:
    with ExitStack() as stack:
        source = stack.enter_context(open_audio(Path(audio))) if audio is not None else None
        first = next(images, None)
        if first is None:
            raise MediaError(
                "there are no frames to write: the speech is shorter than half a frame. Give longer speech"
            )
        flags = "faststart" if MP4_TAGS.issuperset(metadata) else "faststart+use_metadata_tags"
        format_name = _FORMATS[path.suffix.lower()]
        # The index before the pictures: players on the web seek without reading the file's end first.
        muxer_options = {"cues_to_front": "1"} if format_name == "matroska" else {"movflags": flags}
        container = stack.enter_context(
            av.open(f"file:{path}", mode="w", format=format_name, options=muxer_options)
        )
        container.metadata.update(metadata)
        video = VideoTrack(container, fps=fps, like=first, options=options)
        speech = (
            _AudioTrack(container, source, Path(audio)) if source is not None and audio is not None else None
        )
        words = SubtitleTrack(container, subtitles) if subtitles is not None else None
        video.write(first)
        for image in images:
            video.write(image)
            for track in (speech, words):
                if track is not None:
                    track.write_until(video.seconds)
        video.finish()
        if words is not None:
            words.write_until(None)
        if speech is not None:
            speech.write_until(None)
            speech.finish()
        return video.count
