"""Measures of a mouth under any voice: does it rest in silence, meet on b, p and m, move in time.

Works on openings (T,) at the motion rate and on sound alone, so that voices without a video can be measured,
and real mouths beside made ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.evaluation.motion import best_lag
from newscaster.speech.features import MOTION_HZ, STEP_SAMPLES

Opening = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MIN_SILENCE_STEPS = 8
"""Shorter silences than 300 ms are not counted: they belong to the speech around them."""
_CLOSED_PERCENT = 20
_NEAR_STEPS = 2
_GRID_UNITS_PER_SECOND = 25000


@dataclass(frozen=True)
class Word:
    """A word and when it is heard."""

    text: str
    begin_seconds: float
    end_seconds: float

    @property
    def closure_seconds(self) -> float | None:
        """When its lips must meet: the onset of b and p, the end of the letter m; None for other words.

        For sentences of the GRID corpus, where letters are words. The m of "em" is its last 120 ms.
        """
        if self.text == "m":
            return self.end_seconds - 0.06
        return self.begin_seconds if self.text[0] in "bp" else None


def read_alignment(path: Path) -> list[Word]:
    """Words of a GRID alignment, lines of begin, end (1/25000 s) and word, without `sil` and `sp`."""
    rows = (line.split() for line in path.read_text().splitlines() if line.strip())
    return [
        Word(word, int(begin) / _GRID_UNITS_PER_SECOND, int(end) / _GRID_UNITS_PER_SECOND)
        for begin, end, word in rows
        if word not in ("sil", "sp")
    ]


def spoken_steps(words: Sequence[Word], steps: int) -> Mask:
    """Whether a word is heard in each motion step, (steps,)."""
    times = (np.arange(steps) + 0.5) / MOTION_HZ
    within = [(word.begin_seconds <= times) & (times < word.end_seconds) for word in words]
    return np.any(within, axis=0) if within else np.zeros(steps, np.bool_)


def long_silences(speaking: Mask) -> Mask:
    """The steps of silences that last 300 ms or more, (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], speaking, [True]]).astype(np.int8)))
    silent = np.zeros(len(speaking), np.bool_)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= MIN_SILENCE_STEPS:
            silent[begin:end] = True
    return silent


def silence_ratio(openings: Sequence[Opening], speaking: Sequence[Mask]) -> float:
    """95th percentile of the opening in silences of 300 ms and more, over that in speech."""
    quiet = np.concatenate([o[long_silences(s)] for o, s in zip(openings, speaking, strict=True)])
    loud = np.concatenate([o[s] for o, s in zip(openings, speaking, strict=True)])
    return float(np.percentile(quiet, 95) / np.percentile(loud, 95))


def closed_below(seen: Sequence[Opening], speaking: Sequence[Mask]) -> float:
    """The opening under which lips count as met: the real mouth's 20th percentile while words are heard.

    Silence is left out: there lips lie on each other for so long that a percentile of all would be the jitter
    of landmarks, and lips that are pressed together for a b are counted as open.
    """
    said = [opening[mask] for opening, mask in zip(seen, speaking, strict=True)]
    return float(np.percentile(np.concatenate(said), _CLOSED_PERCENT))


def closure_fraction(openings: Sequence[Opening], words: Sequence[Sequence[Word]], below: float) -> float:
    """The share of b, p and m on which the lips meet: opening under ``below`` within two steps of them."""
    met = []
    for opening, said in zip(openings, words, strict=True):
        for word in said:
            if (seconds := word.closure_seconds) is not None:
                step = round(seconds * MOTION_HZ)
                near = opening[max(0, step - _NEAR_STEPS) : step + _NEAR_STEPS + 1]
                met.append(bool(len(near)) and float(near.min()) < below)
    return float(np.mean(met))


def opening_lag_ms(made: Sequence[Opening], seen: Sequence[Opening]) -> float:
    """How much later than the real mouth the made one opens, over all clips together, in ms.

    Args:
        made: openings (T,) at the motion rate.
        seen: the same of the real mouths; NaN where no face was found.
    """
    return _lag_ms(made, seen)


def envelope_lag_ms(openings: Sequence[Opening], audios: Sequence[npt.NDArray[np.float32]]) -> float:
    """How much later than the sound's level the mouth opens, over all clips together, in ms.

    The level is in dB, at least the loudest less 40. Compare the figure with that of real footage: mouths
    open before they are loud. It needs minutes of speech; a few seconds may be tenths of a second off.
    """
    return _lag_ms(openings, [_level(audio) for audio in audios])


def _level(samples: npt.NDArray[np.float32]) -> Opening:
    steps = len(samples) // STEP_SAMPLES
    audio = samples[: steps * STEP_SAMPLES].reshape(steps, STEP_SAMPLES).astype(np.float64)
    level = 10 * np.log10((audio**2).mean(axis=1) + 1e-10)
    return np.asarray(np.maximum(level, level.max() - 40))


def _lag_ms(late: Sequence[Opening], early: Sequence[Opening]) -> float:
    return best_lag(late, early).lag * 1000 / MOTION_HZ
