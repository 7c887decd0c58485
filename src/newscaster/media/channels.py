"""All channels of a file's audio, at another rate, on the video's clock, in constant memory.

`audio` reads the mean of the channels, for analysis; this reads them for playback.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from newscaster.media.audio import open_audio
from newscaster.media.downmix import Downmix
from newscaster.media.reader import find_video, open_media
from newscaster.media.video import first_frame_seconds
from newscaster.media.writer import AAC_LAYOUTS
from newscaster.types import AudioF32


def read_channels(path: Path, *, rate: int, channels: int, start_seconds: float = 0.0) -> Iterator[AudioF32]:
    """Yield the channels of a file, from a time on.

    A channel of inverted polarity is inverted back. A file with another number of channels is mixed to mono,
    in every channel.

    Args:
        path: any file with audio. If it has video, time 0 is its first frame.
        rate: samples per second to yield.
        channels: a key of `AAC_LAYOUTS`.
        start_seconds: 0 or more.

    Yields:
        (channels, n) float32, 1.0 = full scale, from the first sample on; zeros before late audio.

    Raises:
        MediaError: the file is missing, has no audio, or breaks off.
    """
    path = Path(path)
    with open_media(path) as container:
        has_video = find_video(container) is not None
    video_start = first_frame_seconds(path) if has_video else None
    with open_audio(path) as source:
        origin = source.first_seconds if video_start is None else video_start
        source.seek(origin + start_seconds)
        skip = round((origin + start_seconds - source.first_seconds) * source.rate)
        downmix = Downmix(source.channels, source.rate)

        def aligned() -> Iterator[AudioF32]:
            for block in source.blocks():
                if source.channels == channels:
                    yield downmix.align(block)
                else:
                    yield np.repeat(downmix.mix(block)[None], channels, axis=0)

        yield from _resample(_skip(aligned(), skip, channels), source.rate, rate, channels)


def _skip(blocks: Iterator[AudioF32], count: int, channels: int) -> Iterator[AudioF32]:
    """Drop `count` samples; if negative, yield so many zeros first."""
    while count < 0:
        zeros = min(-count, 1 << 16)
        yield np.zeros((channels, zeros), np.float32)
        count += zeros
    for block in blocks:
        kept = block[:, count:]
        count = max(0, count - block.shape[1])
        if kept.shape[1]:
            yield kept


def _resample(blocks: Iterator[AudioF32], source_rate: int, rate: int, channels: int) -> Iterator[AudioF32]:
    if source_rate == rate:
        yield from blocks
        return
    layout = AAC_LAYOUTS[channels]
    resampler = AudioResampler(format="flt", layout=layout, rate=rate)
    for block in blocks:
        packed = np.ascontiguousarray(block.T, np.float32).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.time_base = source_rate, Fraction(1, source_rate)
        yield from _unpacked(resampler, frame, channels)
    yield from _unpacked(resampler, None, channels)


def _unpacked(resampler: AudioResampler, frame: AudioFrame | None, channels: int) -> Iterator[AudioF32]:
    for out in resampler.resample(frame):
        yield np.asarray(out.to_ndarray(), np.float32).reshape(-1, channels).T


def listening_rate(rate: int) -> int:
    """Return the rate to mix at, in Hz: that of the audio, unless speech would lose by it or AAC lacks it.

    >>> listening_rate(44_100), listening_rate(8_000), listening_rate(192_000)
    (44100, 48000, 48000)
    """
    return rate if rate in (44_100, 48_000, 88_200, 96_000) else 48_000
