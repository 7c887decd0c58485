"""Audio input: float32 samples of a file, at its own rate or another, on the video's clock if it has video.

Handles sample formats and gaps in the time stamps. Leaves the content of the audio to `speech`.
"""

from __future__ import annotations

import io
import itertools
import math
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from newscaster.errors import MediaError
from newscaster.media.conform import Conformer
from newscaster.media.containers import AUDIO_SUFFIXES
from newscaster.media.downmix import Downmix
from newscaster.media.ogg_chain import FilePart, chain_links
from newscaster.media.rational import as_fraction
from newscaster.media.reader import (
    decode_audio,
    find_video,
    need_audio,
    open_container,
    open_media,
    reason,
)
from newscaster.media.resampling import resample
from newscaster.media.video import first_frame_seconds
from newscaster.system.files import atomic_write, check_output
from newscaster.types import AudioF32

# Time stamps are rounded to a container's clock (1 ms in MKV) and jitter; only more than this is a gap.
_GAP_SECONDS = 0.03
_CLOCK_RESTART_SECONDS = 1.0
_MAX_GAP_SECONDS = 3600.0
# All gaps together: an hour, plus this multiple of the audio so far. A file of a few kB can claim months.
_MAX_GAPS_SECONDS = 3600.0
_MAX_GAPS_RATIO = 9.0
_MAX_RATE_HZ = 768_000
_MAX_CHANNELS = 64
# Demuxers of streams without time stamps, which count samples at the first frame's rate.
_SAMPLE_COUNTERS = frozenset({"aac", "ac3", "dts", "eac3", "flac", "loas", "mp3", "truehd"})
# Codecs need a run-up after a seek (MP3's bit reservoir, AAC's overlap). Shorter seeks save no time.
_RUN_UP_SECONDS = 1.0
_SEEK_FROM_SECONDS = 5.0


class AudioSource:
    """The audio of an open file, decoded block by block at its own rate. Every reader here uses it.

    Args:
        container: open.
        path: of the file, or its name in messages.
        piped: whether the input is a pipe, which cannot be read again.
    """

    def __init__(self, container: InputContainer, path: Path, *, piped: bool = False) -> None:
        self._container = container
        self._path = path
        self._stream: AudioStream = need_audio(container, path)
        self._has_seeked = False
        self._links = [] if piped else _links(container, path)
        self._frames = self._decode(container)
        self._first = next(self._frames)
        self._conformer = Conformer(self._first)
        self.rate: int = self._conformer.rate
        self.channels: int = self._conformer.channels
        if self.rate > _MAX_RATE_HZ or self.channels > _MAX_CHANNELS:
            raise MediaError(
                f"the audio of '{path}' has {self.channels} channels at {self.rate:,} Hz; accepted are "
                f"{_MAX_CHANNELS} channels and {_MAX_RATE_HZ:,} Hz at most. Convert it, for example with: "
                "ffmpeg -i INPUT -ac 2 -ar 48000 OUTPUT.wav"
            )
        self.first_seconds: float = self._first.time or 0.0
        """Time stamp of the first sample of `blocks` on the container's clock."""

    def _decode(self, container: InputContainer) -> Iterator[AudioFrame]:
        """Yield the frames of the file, or of all links of a chained one; later links have no time stamps."""
        if not self._links:
            yield from decode_audio(container, self._stream, self._path)
            return
        for index, (start, stop) in enumerate(self._links):
            with FilePart(self._path.open("rb"), start, stop) as part, self._open_link(part, index) as link:
                for frame in decode_audio(link, need_audio(link, self._path), self._path):
                    if index:
                        frame.pts = None
                    yield frame

    def _open_link(self, part: FilePart, index: int) -> InputContainer:
        try:
            return open_container(part, format="ogg")
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"'{self._path}' is damaged: recording {index + 1} of the {len(self._links)} in it cannot be "
                f"read ({reason(error)}). Copy or record it again"
            ) from error

    def seek(self, seconds: float) -> None:
        """Start `blocks` a little before `seconds` on the container's clock, and set `first_seconds`."""
        time_base = as_fraction(self._stream.time_base)
        if self._links or time_base is None or seconds - self.first_seconds < _SEEK_FROM_SECONDS:
            return
        self._has_seeked = True
        self._container.seek(math.floor((seconds - _RUN_UP_SECONDS) / time_base), stream=self._stream)
        frames = decode_audio(self._container, self._stream, self._path, after_seek=True)
        # The first block after a seek lacks its predecessor's half of the overlap.
        first = next(itertools.islice(frames, 1, None), None)
        if first is None or first.time is None or first.time > seconds:
            self._container.seek(self._stream.start_time or 0, stream=self._stream)
            frames = decode_audio(self._container, self._stream, self._path, after_seek=True)
            first = next(frames)
        self._frames, self._first = frames, first
        self.first_seconds = first.time or 0.0

    def blocks(self) -> Iterator[AudioF32]:
        """Yield (C, n) float32 blocks, contiguous in time from `first_seconds`.

        A gap in the time stamps becomes zeros; samples that overlap earlier ones are cut. If the clock
        restarts, time continues without a jump. Audio that changes its rate or channels is converted to
        those of the first frame::

            stamps    |aaaa|bbbb|      |cccc|      |aaaa|bbbb|
                                                      |cccc|
            yielded   |aaaa|bbbb|000000|cccc|      |aaaa|bbbb|cc|
        """
        position = 0  # samples yielded
        gaps = 0  # those of them that fill gaps
        origin = self.first_seconds
        for frame in itertools.chain([self._first], self._frames):
            due = origin + position / self.rate
            self._conformer.watch(frame)
            stamp = due if frame.time is None or self._is_out_of_step(frame.time < due) else frame.time
            ahead = stamp - due
            if ahead < -_CLOCK_RESTART_SECONDS or ahead > _MAX_GAP_SECONDS:
                origin = stamp - position / self.rate
            elif ahead > _GAP_SECONDS:
                gap = round(ahead * self.rate)
                gaps += gap
                self._check_gaps(gaps, position + gap)
                for _ in range(gap // self.rate):
                    yield np.zeros((self.channels, self.rate), np.float32)
                yield np.zeros((self.channels, gap % self.rate), np.float32)
                position += gap
            overlap = round(-ahead * self.rate) if -_CLOCK_RESTART_SECONDS <= ahead < -_GAP_SECONDS else 0
            for block in self._conformer.convert(frame):
                cut = min(overlap, block.shape[1])
                overlap -= cut
                position += block.shape[1] - cut
                if block.shape[1] > cut:
                    yield block[:, cut:]
        for block in self._conformer.flush():
            position += block.shape[1]
            yield block
        self._check_complete(position)

    def _check_gaps(self, gaps: int, position: int) -> None:
        """Raise MediaError if the file is almost all gaps."""
        audio_seconds = (position - gaps) / self.rate
        if gaps / self.rate > _MAX_GAPS_SECONDS + _MAX_GAPS_RATIO * audio_seconds:
            raise MediaError(
                f"'{self._path}' is damaged: its time stamps leave gaps of {gaps / self.rate:,.0f} s in all, "
                f"and it has {audio_seconds:.1f} s of audio so far. Copy or record it again, or write "
                "new time stamps, for example with: ffmpeg -i INPUT -af asetpts=N/SR/TB OUTPUT.wav"
            )

    def _is_out_of_step(self, is_behind: bool) -> bool:
        """Return whether the demuxer counts samples, and restarted or counts at a rate that has changed."""
        counted = self._container.format.name in _SAMPLE_COUNTERS
        return counted and (is_behind or self._conformer.rate_changed)

    def mono_blocks(self) -> Iterator[AudioF32]:
        """Yield (n,) float32: the channels as :class:`Downmix` mixes them, otherwise as `blocks`."""
        downmix = Downmix(self.channels, self.rate)
        for block in self.blocks():
            yield block[0] if self.channels == 1 else downmix.mix(block)

    def _check_complete(self, samples: int) -> None:
        """Raise MediaError if a FLAC file lacks samples.

        Its header states their number. FLAC needs no index, so FFmpeg reads a truncated file without error.
        """
        stream = self._stream
        if (
            self._container.format.name != "flac"
            or self._has_seeked
            or not stream.duration
            or not stream.time_base
        ):
            return
        promised = round(stream.duration * stream.time_base * self.rate)
        if samples < promised:
            raise MediaError(
                f"'{self._path}' is cut short or damaged: {samples:,} of the {promised:,} samples that its "
                f"header promises can be decoded. Copy or record it again"
            )


def _links(container: InputContainer, path: Path) -> list[tuple[int, int]]:
    """Return the links of chained Ogg audio; none if the file is anything else."""
    if container.format.name != "ogg" or find_video(container) is not None:
        return []
    links = chain_links(path)
    return links if len(links) > 1 else []


@contextmanager
def open_audio(path: Path) -> Iterator[AudioSource]:
    """Open the audio of `path`; close it when the block ends."""
    with open_media(path) as container:
        yield AudioSource(container, path)


def read_audio(
    path: Path, *, rate: int = 16_000, start_seconds: float = 0.0, stop_seconds: float | None = None
) -> AudioF32:
    """Return the audio of a file, on the video's clock.

    ::

        video       t0|----frame 0----|----frame 1----| ...
        audio            |--------------- ...              (late: zeros come first)
        returned      |000--------------- ...              sample 0 is the audio at t0 + start_seconds

    Args:
        path: any file with audio. If it has video, sample 0 belongs to the first frame; otherwise it is
            the first sample of the audio.
        rate: samples per second to return.
        start_seconds: start, 0 or more.
        stop_seconds: end; None is the end of the audio. The audio may end sooner.

    Returns:
        (N,) float32 mono, 1.0 = full scale; samples of the file that are not finite stay so.

    Raises:
        MediaError: the file is missing, has no audio, or breaks off.
    """
    path = Path(path)
    if start_seconds < 0 or (stop_seconds is not None and stop_seconds < start_seconds):
        raise ValueError(
            f"{start_seconds} s to {stop_seconds} s: 0 <= start_seconds <= stop_seconds is needed"
        )
    with open_media(path) as container:
        need_audio(container, path)
        has_video = find_video(container) is not None
    video_start = first_frame_seconds(path) if has_video else None
    with open_audio(path) as source:
        origin = source.first_seconds if video_start is None else video_start
        start = round(start_seconds * rate)
        stop = None if stop_seconds is None else round(stop_seconds * rate)
        # Resampling starts on a multiple of `grid` samples, a whole number of source samples too, with room
        # for the filter to settle: a part read alone equals that part of the whole.
        grid = rate // math.gcd(rate, source.rate)
        room = math.ceil(rate / 20 / grid) * grid
        run_up = max(0, start // grid * grid - room)
        seek_seconds = origin + run_up / rate
        source.seek(seek_seconds)
        skip = round((seek_seconds - source.first_seconds) * source.rate)
        count = None if stop is None else math.ceil((stop - run_up + room) / rate * source.rate)
        native = _window(source.mono_blocks(), skip, count)
        blocks = list(resample(native, source.rate, rate))
    samples: AudioF32 = np.concatenate([np.zeros(0, np.float32), *blocks])
    return samples[start - run_up : None if stop is None else stop - run_up].copy()


def read_audio_blocks(path: Path, *, rate: int = 16_000, block_samples: int = 16_000) -> Iterator[AudioF32]:
    """Yield the audio alone, from its first sample, in constant memory.

    Yields:
        (block_samples,) float32 mono, 1.0 = full scale; the last may be shorter.

    Raises:
        MediaError: the file is missing, has no audio, or breaks off.
    """
    with open_audio(Path(path)) as source:
        held: list[AudioF32] = []
        count = 0
        for block in resample(source.mono_blocks(), source.rate, rate):
            held.append(block)
            count += len(block)
            if count >= block_samples:
                joined = np.concatenate(held)
                whole = count // block_samples * block_samples
                for start in range(0, whole, block_samples):
                    yield joined[start : start + block_samples]
                held, count = [joined[whole:]], count - whole
        if count:
            yield np.concatenate(held)


def decode_wav(data: bytes) -> tuple[AudioF32, int]:
    """Decode a WAV file in memory: (N,) float32 mono, 1.0 = full scale, and its rate in Hz.

    The header may state more samples than exist: programs that write to a pipe do not know the length.

    Raises:
        MediaError: it is no WAV file, or holds no audio.
    """
    name = Path("the WAV data")
    try:
        container = open_container(io.BytesIO(data), format="wav")
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{name} cannot be read ({reason(error)}). Give a WAV file") from error
    with container:
        source = AudioSource(container, name)
        samples: AudioF32 = np.concatenate([np.zeros(0, np.float32), *source.mono_blocks()])
    return samples, source.rate


def copy_as_wav(source: Path, path: Path) -> None:
    """Write the audio of `source` as 16-bit WAV, at its own rate and with its own channels.

    A channel of inverted polarity is inverted back.

    Raises:
        MediaError: `source` is missing, has no audio, or breaks off.
        OutputError: `path` cannot be written.
    """
    check_output(path, suffixes=AUDIO_SUFFIXES)
    with (
        open_audio(Path(source)) as audio,
        atomic_write(path) as temporary,
        wave.open(str(temporary), "wb") as file,
    ):
        file.setnchannels(audio.channels)
        file.setsampwidth(2)
        file.setframerate(audio.rate)
        downmix = Downmix(audio.channels, audio.rate)
        for block in map(downmix.align, audio.blocks()):
            pcm = np.clip(np.round(block.T * 32768.0), -32768, 32767)
            file.writeframes(pcm.astype("<i2").tobytes())


def _window(blocks: Iterator[AudioF32], skip: int, count: int | None) -> Iterator[AudioF32]:
    """Drop the first `skip` samples (if negative, prepend zeros), and end after `count` samples."""
    if skip < 0:
        blocks = itertools.chain([np.zeros(-skip, np.float32)], blocks)
        skip = 0
    left = math.inf if count is None else count
    for block in blocks:
        cut = block[skip:]
        skip -= len(block) - len(cut)
        if len(cut) >= left:
            yield cut[: int(left)]
            return
        left -= len(cut)
        if len(cut):
            yield cut
