"""Metrics of re-enacted clips, on clips whose errors are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faces import talking
from newscaster.errors import FootageError
from newscaster.evaluation.reenactment import (
    RenderedClip,
    SpokenClip,
    motion_errors,
    opening_correlation,
    opening_std,
    psnr,
)
from newscaster.evaluation.reenactment import spoken as speak_clip
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.formats.dataset import Clip, ClipRecord


def shapes(frames: int = 60) -> np.ndarray:
    landmarks = talking(frames)
    return mouth_shapes(landmarks, Head.fit(landmarks))


def spoken(offset: np.ndarray | float, missing: slice = slice(0)) -> SpokenClip:
    seen = shapes()
    present = np.ones(len(seen), bool)
    present[missing] = False
    predicted = seen + offset
    seen[~present] = np.nan
    return SpokenClip(predicted, seen, present)


def test_a_clip_without_audio_is_refused() -> None:
    record = ClipRecord("/footage/mute.mp4", 1, 2, 0, None, Fraction(25), (320, 240), None, 0, 1)
    mute = Clip(Path("mute"), record)
    mute.__dict__["speech"] = np.zeros(0, np.float32)
    with pytest.raises(FootageError, match=r"mute\.mp4' has no audio"):
        speak_clip(None, mute)  # type: ignore[arg-type]


def test_a_constant_error_has_no_velocity() -> None:
    found = motion_errors([spoken(0.01)])
    assert found.mse == pytest.approx(1e-4)
    assert found.mae == pytest.approx(0.01)
    assert found.int_mse == pytest.approx(0, abs=1e-20)
    assert opening_correlation([spoken(0.01)]) == pytest.approx(1)


def test_independent_errors_have_twice_the_velocity_error() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, size=(60, 57, 2))
    found = motion_errors([spoken(noise)])
    assert found.int_mse == pytest.approx(2 * found.mse, rel=0.1)


def test_a_mouth_that_keeps_the_mean_has_the_still_error() -> None:
    seen = shapes()
    mean = np.broadcast_to(seen.mean(axis=0), seen.shape)
    found = motion_errors([SpokenClip(mean, seen, np.ones(len(seen), bool))])
    assert found.mse == pytest.approx(found.still_mse, rel=1e-6)


def test_frames_without_a_face_do_not_count() -> None:
    whole, part = motion_errors([spoken(0.01)]), motion_errors([spoken(0.01, slice(10, 30))])
    assert part.mse == pytest.approx(whole.mse)


def test_standard_deviation_of_the_opening() -> None:
    clip = spoken(0.0)
    assert opening_std([clip]) == pytest.approx(opening(clip.predicted).std())


def test_psnr_counts_hidden_pixels_only() -> None:
    real = np.full((3, 8, 8, 3), 100, np.uint8)
    made = real.copy()
    hidden = np.zeros((8, 8), bool)
    hidden[2:5, 2:5] = True
    made[:, ~hidden] = 0
    made[:, hidden] += 5
    assert psnr([RenderedClip(real, made)], hidden) == pytest.approx(20 * np.log10(255 / 5))
