"""Who of several people in a file speaks: whose mouth moves with the audio.

The opening of each person's mouth is compared with the loudness of the audio, both without what changes more
slowly than syllables. A photo's mouth does not move, a listener's little, that of a face on a screen not with
this audio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from newscaster.face.geometry import eye_distance
from newscaster.face.mouth import is_moving
from newscaster.face.topology import OPENING_PAIRS
from newscaster.prepare.clips import Footage, Segment, sampled_segments, segments_without_gaps
from newscaster.prepare.following import follow_person
from newscaster.prepare.people import People, Person
from newscaster.speech.activity import LEAST_SPEECH_SECONDS, speech_activity
from newscaster.take import SPEECH_RATE

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_WHOLE_SECONDS = 15.0
"""A file up to this long is followed through; in a longer one, `_WINDOWS` of `_WINDOW_SECONDS`."""
_WINDOWS = 5
_WINDOW_SECONDS = 3.0
_FPS = Fraction(25)
_TREND_SECONDS = 0.8
_MAX_LAG_FRAMES = 8
_LOUD_RANGE_DB = 35.0
_MIN_FRAMES = 25


def weigh_persons(
    footage: Footage, persons: Sequence[Person], *, read_speech: Callable[[Segment, int], Floats]
) -> tuple[Person, ...]:
    """The persons of a file with :attr:`Person.speaking` measured, if there are several.

    ``read_speech`` reads the audio under a segment's frames, (N,) at 16 kHz.
    """
    if len(persons) < 2:
        return tuple(persons)
    windows = _windows(footage)
    speeches = [read_speech(segment, segment.expected_frames) for segment in windows]
    has_speech = sum(float(speech_activity(s).sum()) / 25 for s in speeches) >= LEAST_SPEECH_SECONDS
    weighed = []
    for index, person in enumerate(persons):
        people = People(tuple(persons), index)
        openings = [
            raw_openings(follow_person(segment.frames(), people, fps=float(_FPS)).landmarks)
            for segment in windows
        ]
        if has_speech:
            speaking = max(0.0, correlation(openings, speeches, fps=float(_FPS)))
        else:
            speaking = 1.0 if any(is_moving(opening) for opening in openings) else 0.0
        weighed.append(replace(person, speaking=speaking))
    return tuple(weighed)


def _windows(footage: Footage) -> list[Segment]:
    if footage.seconds <= _WHOLE_SECONDS:
        return segments_without_gaps(footage, _FPS)
    return sampled_segments(
        footage, _FPS, seconds=_WINDOW_SECONDS, places=np.linspace(0.03, 0.97, _WINDOWS).tolist()
    )


def raw_openings(landmarks: Floats) -> Array:
    """Distance of the inner lips in outer-eye distances, (F,), of landmarks (F, 478, 3); NaN stays NaN."""
    gaps = [
        np.hypot(*(landmarks[:, upper, :2] - landmarks[:, lower, :2]).T) for upper, lower in OPENING_PAIRS
    ]
    return np.asarray(np.mean(gaps, axis=0) / np.maximum(eye_distance(landmarks), 1e-6), np.float64)


def loudness_db(speech: Floats, *, rate: int, step_seconds: float, steps: int) -> Array:
    """Level in dBFS around the times k * step_seconds, (steps,), over 40 ms.

    Digital silence is -70 dBFS, in quiet audio 40 dB below its loudest.
    """
    energy = np.concatenate([[0.0], np.cumsum(speech.astype(np.float64) ** 2)])
    middle = np.arange(steps) * step_seconds * rate
    first = np.clip(np.round(middle - 0.02 * rate).astype(int), 0, len(speech))
    last = np.clip(np.round(middle + 0.02 * rate).astype(int), 0, len(speech))
    mean = (energy[last] - energy[first]) / np.maximum(last - first, 1)
    floor = 1e-4 * np.clip(mean.max(initial=0.0), 1e-8, 1e-3)
    return np.asarray(10 * np.log10(mean + floor))


def correlation(openings: Sequence[Array], speeches: Sequence[Floats], *, fps: float) -> float:
    """The greatest correlation of opening and loudness over lags of up to 0.3 s, all windows together.

    Args:
        openings: of each window, (F,); NaN in frames without the face, which do not count.
        speeches: of each window, (N,) at 16 kHz.
        fps: frames per second.

    Returns:
        -1 to 1; 0 if a face is seen for less than a second.
    """
    products = np.zeros((2 * _MAX_LAG_FRAMES + 1, 3))
    frames = 0
    for opening, speech in zip(openings, speeches, strict=True):
        seen = np.isfinite(opening)
        frames += int(seen.sum())
        if not len(speech) or seen.sum() < 2:
            continue
        filled = np.interp(np.arange(len(opening)), np.flatnonzero(seen), opening[seen])
        level = loudness_db(speech, rate=SPEECH_RATE, step_seconds=1 / fps, steps=len(opening))
        level = np.maximum(level, level.max() - _LOUD_RANGE_DB)
        a, b = _without_trend(filled, fps), _without_trend(level, fps)
        for i, lag in enumerate(range(-_MAX_LAG_FRAMES, _MAX_LAG_FRAMES + 1)):
            later = np.roll(b, -lag)
            valid = seen & (np.arange(len(b)) + lag >= 0) & (np.arange(len(b)) + lag < len(b))
            x, y = a[valid], later[valid]
            products[i] += (x @ y, x @ x, y @ y)
    if frames < _MIN_FRAMES:
        return 0.0
    return float((products[:, 0] / np.sqrt(np.maximum(products[:, 1] * products[:, 2], 1e-12))).max())


def _without_trend(values: Array, fps: float) -> Array:
    width = round(_TREND_SECONDS * fps) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(values - np.convolve(padded, np.ones(width) / width, mode="valid"))
