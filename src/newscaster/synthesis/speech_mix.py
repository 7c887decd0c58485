"""The sum of several speeches as one audio file, in constant memory, without clipping."""

from __future__ import annotations

import itertools
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.types import AudioF32

RATE = 48_000
"""Of the mix, in Hz."""
MAX_PEAK = 0.98
"""Of the mix, 1.0 = full scale. Quieter sums keep their level."""
_BLOCK_SAMPLES = RATE


def mix_speeches(speeches: Sequence[Path], path: Path) -> float:
    """Write the sum of speeches, each from its own start, as mono WAV of 16 bits and 48 kHz.

    If the sum exceeds full scale, all of it is attenuated by one gain: the levels of the speakers keep their
    ratio, and nothing is clipped. The files are read twice for that.

    Returns:
        The gain, 1 or less.

    Raises:
        MediaError: a file cannot be read.
        OutputError: there is no room.
    """
    peak = max((float(np.abs(block).max(initial=0.0)) for block in _sums(speeches)), default=0.0)
    gain = min(1.0, MAX_PEAK / peak) if peak > 0 else 1.0
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            for block in _sums(speeches):
                samples = np.clip(gain * block, -1, 1)  # only if a file has changed meanwhile
                file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    except OSError as error:
        raise media.no_temporary_room(error) from error
    return gain


def _sums(speeches: Sequence[Path]) -> Iterator[AudioF32]:
    """Yield blocks of the sum; a speech that has ended adds nothing."""
    sources = [media.read_audio_blocks(path, rate=RATE, block_samples=_BLOCK_SAMPLES) for path in speeches]
    for blocks in itertools.zip_longest(*sources, fillvalue=np.zeros(0, np.float32)):
        total = np.zeros(max(map(len, blocks)), np.float32)
        for block in blocks:
            total[: len(block)] += block
        yield total
