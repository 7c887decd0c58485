"""WAV files of 16 bits."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from newscaster.media.containers import AUDIO_SUFFIXES
from newscaster.system.files import atomic_write, check_output
from newscaster.types import ArrayF32


def write_wav(path: Path, samples: ArrayF32, rate: int) -> None:
    """Write (N,) mono samples, 1.0 = full scale, as 16-bit WAV; louder ones are clipped.

    Raises:
        OutputError: `path` cannot be written.
    """
    check_output(path, suffixes=AUDIO_SUFFIXES)
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    with atomic_write(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
