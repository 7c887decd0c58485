"""Audio augmentation for motion networks that must generalise to any speaker.

It varies pace and pitch, tone, reverberation, noise and level. It also shifts the windows of the speech
encoder, because the encoder's states depend on them.
"""

from __future__ import annotations

import numpy as np

from newscaster.models.motion.data import MotionClip, Mouth
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import MOTION_HZ, STEP_SAMPLES, FeatureSpec, extract
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayF32, ArrayFloat

_PACES = (0.87, 0.93, 1.0, 1.07, 1.15)
"""Factors of the audio's duration; pitch and formants fall as it grows."""
_TAPS = 9


def augment_audio(
    clip: MotionClip,
    speech: ArrayF32,
    features: FeatureSpec,
    encoder: SpeechEncoder | None,
    rng: np.random.Generator,
) -> MotionClip:
    """Return a clip whose audio ``speech`` (N,) at 16 kHz is augmented at random; features in half precision.

    If the pace changes, the mouth shapes are resampled to match.
    """
    mouth = augment(Mouth(clip.shapes, clip.present, speech), rng)
    late = int(rng.integers(0, max(1, round(features.windowing.hop_seconds * MOTION_HZ))))
    later = np.concatenate([np.zeros(late * STEP_SAMPLES, np.float32), mouth.speech])
    matrix = extract(later, features, encoder)[late:].astype(np.float16)
    return MotionClip(matrix[: len(mouth.shapes)], mouth.shapes, mouth.present)


def augment(mouth: Mouth, rng: np.random.Generator) -> Mouth:
    """Return a mouth whose audio is augmented at random, and whose shapes keep its pace."""
    pace = float(rng.choice(_PACES))
    audio = at_pace(mouth.speech, pace)
    audio = with_level(with_noise(with_room(with_tone(audio, rng), rng), rng), rng)
    shapes, present = mouth.shapes, mouth.present
    count = min(-(-len(audio) // STEP_SAMPLES), int((len(shapes) - 1) * pace) + 1)
    position = np.arange(count) / pace
    before = np.minimum(position.astype(int), len(shapes) - 1)
    after = np.minimum(before + 1, len(shapes) - 1)
    weight = (position - before).astype(np.float32)[:, None, None]
    moved = shapes[before] * (1 - weight) + shapes[after] * weight
    return Mouth(moved, present[before] & present[after], audio)


def at_pace(speech: ArrayF32, pace: float) -> ArrayF32:
    """Resample speech (N,) to (round(N * pace),), like a tape played at another speed."""
    count = round(len(speech) * pace)
    if count == len(speech):
        return speech
    spectrum = np.fft.rfft(speech)
    return np.asarray(np.fft.irfft(spectrum, count) * (count / len(speech)), np.float32)


def with_tone(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Apply a short random filter with probability 0.6, for other microphones and voices."""
    if rng.random() > 0.6:
        return speech
    taps = rng.normal(size=_TAPS) * rng.uniform(0, 0.3)
    taps[_TAPS // 2] += 1
    return np.asarray(np.convolve(speech, taps, "same"), np.float32)


def with_room(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Add the reverberation of a room, 50 to 300 ms long, with probability 0.4."""
    if rng.random() > 0.4:
        return speech
    count = int(SAMPLE_RATE * rng.uniform(0.05, 0.3))
    echo = rng.normal(size=count) * np.exp(-5 * np.arange(count) / count)
    echo *= rng.uniform(0.05, 0.5) / np.linalg.norm(echo)
    echo[0] = 1
    length = len(speech) + count
    reverberant = np.fft.irfft(np.fft.rfft(speech, length) * np.fft.rfft(echo, length), length)
    return np.asarray(reverberant[: len(speech)], np.float32)


def with_noise(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Add white or pink noise 8 to 35 dB below the speech, with probability 0.6."""
    if rng.random() > 0.6:
        return speech
    noise: ArrayFloat = rng.normal(size=len(speech))
    if rng.random() < 0.5:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(len(spectrum))), len(speech))
    level = np.linalg.norm(speech) * 10 ** (-rng.uniform(8, 35) / 20)
    return np.asarray(speech + noise * (level / max(float(np.linalg.norm(noise)), 1e-9)), np.float32)


def with_level(speech: ArrayF32, rng: np.random.Generator) -> ArrayF32:
    """Change the level by -12 to +6 dB."""
    return np.asarray(speech * 10 ** (rng.uniform(-12, 6) / 20), np.float32)
