"""Audio that goes with the mouth in parts of the footage only, on made-up courses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from making_sync import FPS, talk
from newscaster.prepare.audio_fit import unfit_frames
from newscaster.prepare.lag import Lag, SpokenSegment, estimate_lag
from newscaster.prepare.sync import Part, audio_syncs, sync_measure


def lag_of(*segments: SpokenSegment) -> Lag:
    lag = estimate_lag(segments)
    assert lag is not None
    return lag


def joined(*segments: SpokenSegment) -> SpokenSegment:
    return SpokenSegment(
        np.concatenate([s.opening for s in segments]),
        FPS,
        np.concatenate([s.predicted for s in segments]),
        np.concatenate([s.speaking for s in segments]),
    )


def muted(segment: SpokenSegment) -> SpokenSegment:
    return replace(segment, predicted=np.full_like(segment.predicted, 0.02))


def resting(segment: SpokenSegment) -> SpokenSegment:
    noise = np.random.default_rng(1).normal(0.01, 0.001, len(segment.opening))
    return replace(segment, opening=noise)


OWN, LATER = talk(30), talk(12, seed=1)
WRONG = {
    "another's": talk(12, seed=1, audio_seed=60),
    "late by a cut": talk(12, 0.4, seed=1),
    "muted": muted(LATER),
    "someone else speaks": resting(LATER),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("first", [False, True])
def test_a_part_with_other_audio_is_found(wrong: str, first: bool) -> None:
    segment = joined(WRONG[wrong], OWN) if first else joined(OWN, WRONG[wrong])
    (flags,) = unfit_frames([segment], lag_of(segment))
    seconds = np.flatnonzero(flags) / FPS
    start, stop = (0, 12) if first else (30, 42)
    inside = (seconds > start - 3.5) & (seconds < stop + 3.5)
    assert inside.all()
    assert ((seconds > start) & (seconds < stop)).sum() / FPS > 10


@pytest.mark.parametrize("lag_seconds", [0.0, -0.3, 2.0])
def test_audio_that_goes_with_the_mouth_fits_throughout(lag_seconds: float) -> None:
    own = talk(60, lag_seconds)
    (flags,) = unfit_frames([own], lag_of(own))
    # Beyond either end of the audio, there is silence.
    assert flags.sum() / FPS <= (4 if lag_seconds > 1 else 0)


def test_a_rest_without_audio_fits() -> None:
    segment = joined(OWN, muted(resting(LATER)))
    (flags,) = unfit_frames([segment], lag_of(segment))
    assert not flags.any()


def test_frames_and_audio_that_are_too_short_are_passed_over() -> None:
    empty = replace(OWN, opening=np.zeros(0), predicted=np.zeros(0), speaking=np.zeros(0, np.bool_))
    unseen = replace(OWN, opening=np.full(900, np.nan))
    found = unfit_frames([OWN, empty, unseen], lag_of(OWN))
    assert [len(flags) for flags in found] == [900, 0, 900]
    assert not found[0].any()


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_of_which_a_part_does_not_fit_is_not_good(wrong: str) -> None:
    (sync,) = audio_syncs({Path("a.mp4"): [joined(OWN, WRONG[wrong])]})
    assert sync.state == "partly"
    assert sync.unfit_seconds == pytest.approx(12, abs=3)
    measure = sync_measure([sync], has_speech=True)
    assert measure.verdict == "poor"
    assert "s do not match the mouth" in measure.text
    assert "'a.mp4' " in measure.advice


def test_short_files_with_other_audio_among_good_ones_are_named() -> None:
    files = {Path(f"{i}.mp4"): [talk(6, seed=i)] for i in range(6)}
    files[Path("x.mp4")] = [talk(6, seed=8, audio_seed=70)]
    files[Path("y.mp4")] = [talk(6, seed=9, audio_seed=80)]
    (sync,) = audio_syncs(files)
    assert sync.state == "partly"
    # In some seconds, other audio may agree by chance.
    assert "x.mp4" in {part.path.name for part in sync.unfit} <= {"x.mp4", "y.mp4"}


def test_parts_are_named_the_longest_first() -> None:
    parts = tuple(Part(Path("a.mp4"), float(i), i + 1.0 + 0.1 * i) for i in range(0, 15, 3))
    (sync,) = audio_syncs({Path("a.mp4"): [OWN]})
    assert replace(sync, unfit=parts).named_parts.endswith("'a.mp4' 12.0 to 14.2 s and 2 more")
