"""The audio of a dubbed video: the new speech, the video's own, or both, in constant memory."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.types import AudioF32

RATE = 48_000
"""Of mixed audio, in Hz."""
_BLOCK_SECONDS = 30
_CROSSFADE_SECONDS = 0.02


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


def write_dub_audio(plan: AudioPlan, path: Path) -> None:
    """Write the audio as mono WAV of 16 bits and 48 kHz, of exactly the plan's length.

    Raises:
        MediaError: a file cannot be read.
        OutputError: there is no room.
    """
    total = round(plan.seconds * RATE)
    speech = _Track(media.read_audio_blocks(plan.speech, rate=RATE)) if plan.speech is not None else None
    first, stop = round(plan.start_seconds * RATE), round(min(plan.stop_seconds, plan.seconds) * RATE)
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            for start in range(0, total, _BLOCK_SECONDS * RATE):
                count = min(_BLOCK_SECONDS * RATE, total - start)
                mixed = _own(plan, start, count) * _own_gain(plan, start, count, first, stop)
                if speech is not None:
                    mixed += _speech(speech, start, count, first, stop)
                file.writeframes(np.round(np.clip(mixed, -1, 1) * 32767).astype("<i2").tobytes())
    except OSError as error:
        raise media.no_temporary_room(error) from error


class _Track:
    """Audio that is read in blocks of any size."""

    def __init__(self, blocks: Iterator[AudioF32]) -> None:
        self._blocks = blocks
        self._rest = np.zeros(0, np.float32)

    def read(self, count: int) -> AudioF32:
        """Return the next samples, with zeros after the end."""
        parts = [self._rest]
        while sum(map(len, parts)) < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return np.pad(joined[:count], (0, max(0, count - len(joined))))


def _speech(track: _Track, start: int, count: int, first: int, stop: int) -> AudioF32:
    """Return the speech of a block: it starts at sample `first`, and is cut at `stop`."""
    out = np.zeros(count, np.float32)
    begin, end = max(first, start), min(stop, start + count)
    if begin < end:
        out[begin - start : end - start] = track.read(end - begin)
    return out


def _own(plan: AudioPlan, start: int, count: int) -> AudioF32:
    if plan.own is None:
        return np.zeros(count, np.float32)
    found = media.read_audio(
        plan.own, rate=RATE, start_seconds=start / RATE, stop_seconds=(start + count) / RATE
    )[:count]
    return np.pad(found, (0, count - len(found)))


def _own_gain(plan: AudioPlan, start: int, count: int, first: int, stop: int) -> AudioF32:
    """Return the gain of the video's own audio, with short ramps at both ends of the speech."""
    ramp = _CROSSFADE_SECONDS * RATE
    times = np.arange(start, start + count, dtype=np.float32)
    inside = np.clip(np.minimum(times - (first - ramp), (stop + ramp) - times) / ramp, 0, 1)
    if plan.start_seconds <= 0:
        inside = np.where(times < first + ramp, 1.0, inside)
    return np.asarray(1 + (plan.own_gain - 1) * inside, np.float32)
