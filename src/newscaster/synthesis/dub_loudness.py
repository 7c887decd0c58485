"""The gain of new speech in a part of a video, which makes it as loud as the speech that it replaces.

Loudness is that of speech alone, so that neither music nor pauses count: of blocks of 400 ms, half of which
voice activity finds to be speech, gated as in ITU-R BS.1770.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from newscaster import media
from newscaster.media.loudness import BLOCK_STEPS, STEPS_PER_SECOND
from newscaster.speech.features import STEP_SAMPLES
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voice_activity import SpeechDetector, is_without_speech
from newscaster.synthesis.dub_audio import AudioPlan, placed_speech
from newscaster.synthesis.dub_options import SpeechGain
from newscaster.types import ArrayBool, ArrayF64, AudioF32

MAX_GAIN_DB = 12.0
"""Bound of the gain in both directions. More would raise the noise of a recording, or hide a mistake."""
_DETECTOR_STEP_SECONDS = STEP_SAMPLES / SAMPLE_RATE


def speech_gain(plan: AudioPlan) -> SpeechGain:
    """Return the gain of the speech of a plan.

    The reference is the speech in the part of the video that is replaced; without any there, that in all of
    the video. Without any, or if the new speech has none, the gain is 0 dB.

    Raises:
        MediaError: a file cannot be read.
    """
    if plan.speech is None or plan.own is None:
        return SpeechGain(decibels=0.0, text="the speech keeps its level: the video has no audio")
    seconds = min(plan.stop_seconds, plan.seconds) - plan.start_seconds
    new = _speech_loudness(_until(placed_speech(plan, plan.speech), seconds, plan.rate), plan)
    if new is None:
        return SpeechGain(
            decibels=0.0, text="the speech keeps its level: no speech was detected in it to measure"
        )
    where, own = _reference(plan, seconds)
    if own is None:
        return SpeechGain(
            decibels=0.0,
            speech_lufs=round(new, 1),
            text="the speech keeps its level: no speech was detected in the video's audio",
        )
    gain = max(-MAX_GAIN_DB, min(MAX_GAIN_DB, own - new))
    return SpeechGain(
        decibels=round(gain, 2),
        speech_lufs=round(new, 1),
        reference_lufs=round(own, 1),
        text=_text(gain, new, own, where),
    )


def _reference(plan: AudioPlan, seconds: float) -> tuple[str, float | None]:
    """Return which speech of the video is the reference, in words, and its loudness; None: there is none."""
    assert plan.own is not None
    sources = {"that it replaces": (plan.start_seconds, seconds), "in the rest of the video": (0.0, math.inf)}
    for where, (start, length) in sources.items():
        blocks = media.read_channels(
            plan.own, rate=plan.rate, channels=plan.channels, start_seconds=plan.own_from_seconds + start
        )
        own = _speech_loudness(_until(blocks, length, plan.rate), plan)
        if own is not None:
            return where, own
    return "", None


def _text(gain: float, new: float, own: float, where: str) -> str:
    if gain != own - new:
        return (
            f"the speech has {new:.1f} LUFS and the speech {where} {own:.1f} LUFS; its gain is limited to "
            f"{gain:+g} dB. Check that it is the right file"
        )
    reference = f"as loud as the speech {where} ({own:.1f} LUFS)"
    if abs(gain) < 0.05:
        return f"the speech is {reference}"
    return f"the speech is made {abs(gain):.1f} dB {'louder' if gain > 0 else 'quieter'}, {reference}"


def _until(blocks: Iterator[AudioF32], seconds: float, rate: int) -> Iterator[AudioF32]:
    """Yield the first seconds of audio (C, n)."""
    left = math.inf if math.isinf(seconds) else round(seconds * rate)
    for block in blocks:
        if block.shape[1] >= left:
            yield block[:, : int(left)]
            return
        left -= block.shape[1]
        yield block


def _speech_loudness(blocks: Iterable[AudioF32], plan: AudioPlan) -> float | None:
    """Return the loudness of the speech in audio (C, n), in LUFS; None if there is none."""
    meter = media.LoudnessMeter(plan.rate, plan.channels)
    resampler, detector = media.Resampler(plan.rate, SAMPLE_RATE), SpeechDetector()
    found: list[ArrayBool] = []
    samples = 0
    for block in blocks:
        block = np.nan_to_num(block, posinf=0.0, neginf=0.0)
        meter.push(block)
        samples += block.shape[1]
        found.append(detector.push(resampler.push(block.mean(axis=0, dtype=np.float32))))
    found += [detector.push(resampler.flush()), detector.flush()]
    is_speech = np.concatenate(found)
    if is_without_speech(float(is_speech.sum()) * _DETECTOR_STEP_SECONDS, samples / plan.rate):
        return None
    powers = meter.powers()
    loudness = media.gated_loudness(powers, _speech_blocks(is_speech, powers))
    return None if math.isinf(loudness) else loudness


def _speech_blocks(is_speech: ArrayBool, powers: ArrayF64) -> ArrayBool:
    """Return which blocks of 400 ms are speech for at least half of their time."""
    count = max(0, len(powers) - BLOCK_STEPS + 1)
    ends = np.concatenate([[0.0], np.cumsum(is_speech) * _DETECTOR_STEP_SECONDS])
    times = np.arange(len(ends)) * _DETECTOR_STEP_SECONDS
    starts = np.arange(count) / STEPS_PER_SECOND
    length = BLOCK_STEPS / STEPS_PER_SECOND
    spoken = np.interp(starts + length, times, ends) - np.interp(starts, times, ends)
    return np.asarray(spoken >= length / 2 - 1e-9)
