"""Detection of the speaker among several people in a file: the one whose mouth moves with the audio.

Compares the opening of each person's mouth with the one predicted from the audio (see `predicted_opening`),
at the lag that fits one of them best. The mouth of a photo does not move, and that of a silent person moves
little. The mouth of a face on a screen does not move with this audio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from newscaster.face.geometry import eye_distance
from newscaster.face.mouth_basis import is_moving
from newscaster.face.topology import OPENING_PAIRS
from newscaster.prepare.clips import Footage, Segment, sampled_segments, segments_without_gaps
from newscaster.prepare.following import follow_person
from newscaster.prepare.lag import SpokenSegment, correlations
from newscaster.prepare.people import People, Person
from newscaster.prepare.predicted_opening import predicted_openings
from newscaster.speech.activity import MIN_SPEECH_SECONDS, speech_activity
from newscaster.types import ArrayF32, ArrayF64

_WHOLE_SECONDS = 15.0
"""A file up to this long is tracked throughout; a longer one in `_WINDOWS` windows of `_WINDOW_SECONDS`."""
_WINDOWS = 5
_WINDOW_SECONDS = 3.0
_FPS = Fraction(25)
_REACH_SECONDS = 1.0
_NEAR_STEPS = 5
"""In steps of 20 ms: people differ by this much in when their mouths open."""
_MIN_FRAMES = 25


def weigh_persons(
    footage: Footage, persons: Sequence[Person], *, read_speech: Callable[[Segment, int], ArrayF32]
) -> tuple[Person, ...]:
    """Measure :attr:`Person.speaking` of the persons of a file, if there are several.

    ``read_speech`` reads the audio of a segment's frames, (N,) at 16 kHz.
    """
    if len(persons) < 2:
        return tuple(persons)
    windows = _windows(footage)
    speeches = [read_speech(segment, segment.expected_frames) for segment in windows]
    has_speech = sum(float(speech_activity(s).sum()) / 25 for s in speeches) >= MIN_SPEECH_SECONDS
    openings = [
        [
            raw_openings(
                follow_person(segment.frames(), People(tuple(persons), number), fps=float(_FPS)).landmarks
            )
            for segment in windows
        ]
        for number in range(len(persons))
    ]
    if has_speech:
        scores = follow_audio(openings, [predicted_openings(speech) for speech in speeches], fps=float(_FPS))
    else:
        scores = [1.0 if any(is_moving(opening) for opening in own) else 0.0 for own in openings]
    return tuple(replace(person, speaking=score) for person, score in zip(persons, scores, strict=True))


def follow_audio(
    openings: Sequence[Sequence[ArrayF64]], predicted: Sequence[ArrayF64], *, fps: float
) -> list[float]:
    """Return the correlation of each person's mouth with the audio, 0 to 1.

    All are compared at one lag of at most a second, which is that of the audio.

    Args:
        openings: opening of each person in each window, (F,); NaN in frames without the face, which are
            ignored.
        predicted: opening predicted from the audio of each window, (T,) at 25 Hz.
        fps: frames per second.
    """
    curves = np.stack([_curve(own, predicted, fps=fps) for own in openings])
    lag = int(curves.max(axis=0).argmax())
    near = curves[:, max(0, lag - _NEAR_STEPS) : lag + _NEAR_STEPS + 1]
    return [float(np.clip(value, 0.0, 1.0)) for value in near.max(axis=1)]


def _curve(openings: Sequence[ArrayF64], predicted: Sequence[ArrayF64], *, fps: float) -> ArrayF64:
    """Return the correlation at every lag; 0 if the face is visible for less than a second."""
    frames = sum(int(np.isfinite(opening).sum()) for opening in openings)
    segments = [
        SpokenSegment(opening, fps, audio, np.zeros(len(audio), np.bool_))
        for opening, audio in zip(openings, predicted, strict=True)
    ]
    return correlations(segments if frames >= _MIN_FRAMES else [], reach_seconds=_REACH_SECONDS)


def _windows(footage: Footage) -> list[Segment]:
    if footage.seconds <= _WHOLE_SECONDS:
        return segments_without_gaps(footage, _FPS)
    return sampled_segments(
        footage, _FPS, seconds=_WINDOW_SECONDS, places=np.linspace(0.03, 0.97, _WINDOWS).tolist()
    )


def raw_openings(landmarks: ArrayF32) -> ArrayF64:
    """Return the distance of the inner lips in IOD, (F,), of landmarks (F, 478, 3); NaN stays NaN."""
    gaps = [
        np.hypot(*(landmarks[:, upper, :2] - landmarks[:, lower, :2]).T) for upper, lower in OPENING_PAIRS
    ]
    return np.asarray(np.mean(gaps, axis=0) / np.maximum(eye_distance(landmarks), 1e-6), np.float64)


def loudness_db(speech: ArrayF32, *, rate: int, step_seconds: float, steps: int) -> ArrayF64:
    """Return the level in dBFS around the times k * step_seconds, (steps,), over 40 ms.

    Digital silence is -70 dBFS; in quiet audio, 40 dB below its maximum.
    """
    energy = np.concatenate([[0.0], np.cumsum(speech.astype(np.float64) ** 2)])
    middle = np.arange(steps) * step_seconds * rate
    first = np.clip(np.round(middle - 0.02 * rate).astype(int), 0, len(speech))
    last = np.clip(np.round(middle + 0.02 * rate).astype(int), 0, len(speech))
    mean = (energy[last] - energy[first]) / np.maximum(last - first, 1)
    floor = 1e-4 * np.clip(mean.max(initial=0.0), 1e-8, 1e-3)
    return np.asarray(10 * np.log10(mean + floor))
