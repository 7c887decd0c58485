"""The audio of a dubbed video: the new speech, the video's own, or both, in constant memory.

A mix keeps the channels of the video. Speech of as many channels keeps them; other speech is mono, in the
centre of 5.1 and 7.1, and in both channels of stereo.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.types import AudioF32

RATE = 48_000
"""Default rate of mixed audio, in Hz."""
MAX_TRUE_PEAK = 10 ** (-1 / 20)
"""Of speech that is made louder: -1 dBTP, as EBU R 128 allows."""
_BLOCK_SECONDS = 5
_CROSSFADE_SECONDS = 0.02
_CENTRE = 2
"""Index of the centre in FFmpeg's order: front left, front right, centre, low frequency, ..."""


@dataclass(frozen=True, kw_only=True)
class AudioPlan:
    """What is played when.

    The speech is played from `start_seconds` to `stop_seconds`. There the video's own audio has the gain
    `own_gain`, and elsewhere 1.
    """

    speech: Path | None
    own: Path | None
    """The video, if its audio is played anywhere."""
    seconds: float
    """Length of the result."""
    start_seconds: float = 0.0
    stop_seconds: float = float("inf")
    own_gain: float = 0.0
    speech_gain: float = 1.0
    """Of the speech; if it is above 1, true peaks are limited to `MAX_TRUE_PEAK`."""
    own_from_seconds: float = 0.0
    """Time in the video at which the result starts."""
    rate: int = RATE
    """Of the result, in Hz."""
    channels: int = 1
    """Of the result: 1, 2, 6 or 8."""


def like(path: Path) -> tuple[int, int]:
    """Return the rate in Hz and the number of channels for a result that is mixed with the audio of a file.

    AAC has mono, stereo, 5.1 and 7.1. Other audio becomes mono.
    """
    info = media.probe(path, header_only=True).audio
    if info is None:
        return RATE, 1
    return media.listening_rate(info.rate), info.channels if info.channels in media.AAC_LAYOUTS else 1


def write_dub_audio(plan: AudioPlan, path: Path) -> None:
    """Write the audio as WAV of 16 bits, of exactly the plan's length.

    Raises:
        MediaError: a file cannot be read.
        OutputError: there is no room.
    """
    total = round(plan.seconds * plan.rate)
    speech = None if plan.speech is None else _Track(_levelled_speech(plan, plan.speech), plan.channels)
    own = None if plan.own is None else _Track(_own_channels(plan, plan.own), plan.channels)
    first = round(plan.start_seconds * plan.rate)
    stop = round(min(plan.stop_seconds, plan.seconds) * plan.rate)
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(plan.channels)
            file.setsampwidth(2)
            file.setframerate(plan.rate)
            for start in range(0, total, _BLOCK_SECONDS * plan.rate):
                count = min(_BLOCK_SECONDS * plan.rate, total - start)
                mixed = np.zeros((plan.channels, count), np.float32)
                if own is not None:
                    mixed += own.read(count) * _own_gain(plan, start, count, first, stop)
                if speech is not None:
                    mixed += _speech(speech, start, count, first, stop)
                samples = np.round(np.clip(mixed.T, -1, 1) * 32767)
                file.writeframes(samples.astype("<i2").tobytes())
    except OSError as error:
        raise media.no_temporary_room(error) from error


def _levelled_speech(plan: AudioPlan, speech: Path) -> Iterator[AudioF32]:
    """Yield the speech (C, n) with its gain."""
    gain = np.float32(plan.speech_gain)
    blocks = (block * gain for block in placed_speech(plan, speech))
    if plan.speech_gain <= 1:
        return blocks
    return media.limited(blocks, ceiling=MAX_TRUE_PEAK, rate=plan.rate, channels=plan.channels)


def placed_speech(plan: AudioPlan, speech: Path) -> Iterator[AudioF32]:
    """Yield the speech (C, n) in its channels of the result."""
    info = media.probe(speech, header_only=True).audio
    if info is not None and info.channels == plan.channels:
        yield from media.read_channels(speech, rate=plan.rate, channels=plan.channels)
        return
    gains = np.zeros((plan.channels, 1), np.float32)
    gains[_CENTRE if plan.channels > _CENTRE else slice(None)] = 1
    for block in media.read_channels(speech, rate=plan.rate, channels=1):
        yield gains * block


def _own_channels(plan: AudioPlan, own: Path) -> Iterator[AudioF32]:
    return media.read_channels(
        own, rate=plan.rate, channels=plan.channels, start_seconds=plan.own_from_seconds
    )


class _Track:
    """Audio that is read in blocks of any size."""

    def __init__(self, blocks: Iterator[AudioF32], channels: int) -> None:
        self._blocks = blocks
        self._rest = np.zeros((channels, 0), np.float32)

    def read(self, count: int) -> AudioF32:
        """Return the next samples (C, count), with zeros after the end."""
        parts, held = [self._rest], self._rest.shape[1]
        while held < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            held += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._rest = joined[:, count:]
        return np.pad(joined[:, :count], ((0, 0), (0, max(0, count - held))))


def _speech(track: _Track, start: int, count: int, first: int, stop: int) -> AudioF32:
    """Return the speech of a block: it starts at sample `first`, and is cut at `stop`."""
    begin, end = max(first, start), min(stop, start + count)
    if begin >= end:
        return np.zeros(1, np.float32)
    return np.pad(track.read(end - begin), ((0, 0), (begin - start, start + count - end)))


def _own_gain(plan: AudioPlan, start: int, count: int, first: int, stop: int) -> AudioF32:
    """Return the gain of the video's own audio, with short ramps at both ends of the speech."""
    ramp = _CROSSFADE_SECONDS * plan.rate
    times = np.arange(start, start + count, dtype=np.float32)
    inside = np.clip(np.minimum(times - (first - ramp), (stop + ramp) - times) / ramp, 0, 1)
    if plan.start_seconds <= 0:
        inside = np.where(times < first + ramp, 1.0, inside)
    return np.asarray(1 + (plan.own_gain - 1) * inside, np.float32)
