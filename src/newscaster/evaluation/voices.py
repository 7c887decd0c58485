"""Metrics of a mouth under any voice: rest in silence, closure on b, p and m, and timing.

Works on openings (T,) at the motion rate and on audio alone. No video is needed, and real and predicted
mouths are measured alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.evaluation.motion import best_lag
from newscaster.speech.features import MOTION_HZ, STEP_SAMPLES
from newscaster.types import ArrayBool, ArrayF32, ArrayFloat

MIN_SILENCE_STEPS = 8
"""Silences below 300 ms are not counted: they belong to the speech around them."""
BREATH_STEPS = 13
"""Half a second before speech: people draw breath, with open lips."""
_CLOSED_PERCENT = 20
_NEAR_STEPS = 2
_GRID_UNITS_PER_SECOND = 25000


@dataclass(frozen=True)
class Word:
    """A word with its start and end."""

    text: str
    begin_seconds: float
    end_seconds: float

    @property
    def closure_seconds(self) -> float | None:
        """Time at which the lips must meet: the onset of b and p, the end of the letter m; otherwise None.

        For sentences of the GRID corpus, in which letters are words. The m of "em" is its last 120 ms.
        """
        if self.text == "m":
            return self.end_seconds - 0.06
        return self.begin_seconds if self.text[0] in "bp" else None


def read_alignment(path: Path) -> list[Word]:
    """Parse a GRID alignment, lines of start, end (1/25000 s) and word, without `sil` and `sp`."""
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [
        Word(word, int(begin) / _GRID_UNITS_PER_SECOND, int(end) / _GRID_UNITS_PER_SECOND)
        for begin, end, word in rows
        if word not in ("sil", "sp")
    ]


def spoken_steps(words: Sequence[Word], steps: int) -> ArrayBool:
    """Return whether a word is spoken in each motion step, (steps,)."""
    times = (np.arange(steps) + 0.5) / MOTION_HZ
    within = [(word.begin_seconds <= times) & (times < word.end_seconds) for word in words]
    return np.any(within, axis=0) if within else np.zeros(steps, np.bool_)


def long_silences(speaking: ArrayBool) -> ArrayBool:
    """Return a mask (T,) of the silences that last 300 ms or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], speaking, [True]]).astype(np.int8)))
    silent = np.zeros(len(speaking), np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= MIN_SILENCE_STEPS:
            silent[start:end] = True
    return silent


def breaths(speaking: ArrayBool) -> ArrayBool:
    """Return a mask (T,) of the half second of silence before speech."""
    ahead = np.concatenate([speaking, np.zeros(BREATH_STEPS, np.bool_)])
    soon = np.lib.stride_tricks.sliding_window_view(ahead, BREATH_STEPS + 1).any(axis=1)
    return np.asarray(soon & ~speaking)


def silence_ratio(
    openings: Sequence[ArrayFloat], speaking: Sequence[ArrayBool], *, breathing: bool = False
) -> float:
    """Return the 95th percentile of the opening in silences of 300 ms or more, over that in speech.

    Args:
        openings: (T,) of each clip.
        speaking: (T,) of each clip, whether a word is spoken.
        breathing: whether the half second before speech counts as silence, too.
    """
    silences = [long_silences(s) & ~(breaths(s) & (not breathing)) for s in speaking]
    quiet = np.concatenate([o[mask] for o, mask in zip(openings, silences, strict=True)])
    loud = np.concatenate([o[s] for o, s in zip(openings, speaking, strict=True)])
    return float(np.percentile(quiet, 95) / np.percentile(loud, 95))


def closed_below(seen: Sequence[ArrayFloat], speaking: Sequence[ArrayBool]) -> float:
    """Return the opening below which lips count as closed: the real mouth's 20th percentile in speech.

    Silence is excluded. Lips are closed there for so long that a percentile of all steps would be the jitter
    of the landmarks, and lips pressed together for a b would count as open.
    """
    in_speech = [opening[mask] for opening, mask in zip(seen, speaking, strict=True)]
    return float(np.percentile(np.concatenate(in_speech), _CLOSED_PERCENT))


def closure_fraction(openings: Sequence[ArrayFloat], words: Sequence[Sequence[Word]], below: float) -> float:
    """Return the fraction of b, p and m with closed lips: opening under ``below`` within two steps."""
    closed = []
    for opening, of_clip in zip(openings, words, strict=True):
        for word in of_clip:
            if (seconds := word.closure_seconds) is not None:
                step = round(seconds * MOTION_HZ)
                near = opening[max(0, step - _NEAR_STEPS) : step + _NEAR_STEPS + 1]
                closed.append(bool(len(near)) and float(near.min()) < below)
    return float(np.mean(closed))


def opening_lag_ms(made: Sequence[ArrayFloat], seen: Sequence[ArrayFloat]) -> float:
    """Return the delay of the predicted mouth behind the real one, over all clips together, in ms.

    Args:
        made: openings (T,) at the motion rate.
        seen: the same of the real mouths; NaN in steps without a face.
    """
    return _lag_ms(made, seen)


def envelope_lag_ms(openings: Sequence[ArrayFloat], audios: Sequence[ArrayF32]) -> float:
    """Return the delay of the mouth behind the audio's level, over all clips together, in ms.

    The level is in dB, clamped to 40 dB below its maximum. Compare the value with that of real footage:
    mouths open before they are loud. It needs minutes of speech; with a few seconds, it may be tenths of a
    second off.
    """
    return _lag_ms(openings, [_level(audio) for audio in audios])


def _level(samples: ArrayF32) -> ArrayFloat:
    steps = len(samples) // STEP_SAMPLES
    audio = samples[: steps * STEP_SAMPLES].reshape(steps, STEP_SAMPLES).astype(np.float64)
    level = 10 * np.log10((audio**2).mean(axis=1) + 1e-10)
    return np.asarray(np.maximum(level, level.max() - 40))


def _lag_ms(late: Sequence[ArrayFloat], early: Sequence[ArrayFloat]) -> float:
    return best_lag(late, early).lag * 1000 / MOTION_HZ
