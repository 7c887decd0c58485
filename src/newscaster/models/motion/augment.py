"""The same words, heard otherwise: what a motion network that should follow anybody is trained on besides.

Knows how voices and rooms differ: pace and pitch, tone, echoes, noise, level. Windows of the speech encoder
are cut elsewhere too, since its states depend on them.
"""

from __future__ import annotations

import numpy as np

from newscaster.models.motion.data import MotionClip
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, STEP_SAMPLES, FeatureSpec, extract
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayF32, ArrayFloat

_PACES = (0.87, 0.93, 1.0, 1.07, 1.15)
"""Lengths of the sound, times what it was; pitch and formants go down as it gets longer."""
_TAPS = 9


def augment_audio(
    clip: MotionClip,
    speech: ArrayF32,
    features: FeatureSpec,
    encoder: SpeechEncoder | None,
    rng: np.random.Generator,
) -> MotionClip:
    """A clip with its sound ``speech`` (N,) at 16 kHz changed at random, features in half precision.

    The mouth keeps time where the pace changes.
    """
    pace = float(rng.choice(_PACES))
    audio = with_level(with_noise(with_room(with_tone(at_pace(speech, pace), rng), rng), rng), rng)
    late = int(rng.integers(0, MOTION_HZ))
    later = np.concatenate([np.zeros(late * STEP_SAMPLES, np.float32), audio])
    heard = extract(later, features, encoder)[late:].astype(np.float16)
    place = np.arange(min(len(heard), int((len(clip.shapes) - 1) * pace) + 1)) / pace
    before = np.minimum(place.astype(int), len(clip.shapes) - 1)
    after = np.minimum(before + 1, len(clip.shapes) - 1)
    part = (place - before).astype(np.float32)[:, None, None]
    shapes = clip.shapes[before] * (1 - part) + clip.shapes[after] * part
    return MotionClip(heard[: len(place)], shapes, clip.present[before] & clip.present[after])


def at_pace(speech: ArrayF32, pace: float) -> ArrayF32:
    """Speech (N,) as if recorded on tape and played at another speed: (round(N * pace),)."""
    count = round(len(speech) * pace)
    if count == len(speech):
        return speech
    spectrum = np.fft.rfft(speech)
    return np.asarray(np.fft.irfft(spectrum, count) * (count / len(speech)), np.float32)


def with_tone(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Through a short random filter, 6 times in 10: other microphones, other mouths."""
    if rng.random() > 0.6:
        return speech
    taps = rng.normal(size=_TAPS) * rng.uniform(0, 0.3)
    taps[_TAPS // 2] += 1
    return np.asarray(np.convolve(speech, taps, "same"), np.float32)


def with_room(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """In a room that echoes for 50 to 300 ms, 4 times in 10."""
    if rng.random() > 0.4:
        return speech
    count = int(SAMPLE_RATE * rng.uniform(0.05, 0.3))
    echo = rng.normal(size=count) * np.exp(-5 * np.arange(count) / count)
    echo *= rng.uniform(0.05, 0.5) / np.linalg.norm(echo)
    echo[0] = 1
    length = len(speech) + count
    heard = np.fft.irfft(np.fft.rfft(speech, length) * np.fft.rfft(echo, length), length)
    return np.asarray(heard[: len(speech)], np.float32)


def with_noise(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """In white or pink noise 8 to 35 dB below the speech, 6 times in 10."""
    if rng.random() > 0.6:
        return speech
    noise: ArrayFloat = rng.normal(size=len(speech))
    if rng.random() < 0.5:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum))), len(speech))
    level = np.linalg.norm(speech) * 10 ** (-rng.uniform(8, 35) / 20)
    return np.asarray(speech + noise * (level / max(float(np.linalg.norm(noise)), 1e-9)), np.float32)


def with_level(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Between 12 dB softer and 6 dB louder."""
    return np.asarray(speech * 10 ** (rng.uniform(-12, 6) / 20), np.float32)
