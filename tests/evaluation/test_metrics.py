"""Comparison of a reconstructed clip with the clip: in blocks, and pooled over all frames."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faces import talking
from newscaster.errors import MediaError
from newscaster.evaluation import image_metrics, metrics
from newscaster.evaluation.held_out import HeldOut
from newscaster.evaluation.metrics import Compared, compare, figures, landmark_distances
from newscaster.evaluation.reconstruction import Remade, remake
from newscaster.face.crop import cut_crop
from newscaster.face.geometry import eye_distance
from newscaster.media import read_frames
from newscaster.synthesis.anchor import Anchor
from talkers import clip_of

ABSENT = (0, 20, 39)
FRAMES = 40


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The perceptual distance has tests of its own."""
    monkeypatch.setattr(
        image_metrics, "perceptual_distances", lambda made, real, mask: np.full(len(made), 0.25)
    )


@pytest.fixture(scope="module")
def held(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    return HeldOut.of(clip_of(tmp_path_factory.mktemp("clip"), frames=FRAMES, absent=ABSENT), anchor)


@pytest.fixture(scope="module")
def made(held: HeldOut, anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> list[Remade]:
    folder = tmp_path_factory.mktemp("made")
    return remake(held, anchor, folder, folder)


def compared(held: HeldOut, made: list[Remade], anchor: Anchor, *, moved_px: float = 3.0) -> list[Compared]:
    """With landmarks to the right of the real ones in all videos, and one face that was not found."""
    landmarks = talking(FRAMES)
    landmarks[:, :, 0] += moved_px
    landmarks[5] = np.nan
    return compare(held, made, {m.path: landmarks for m in made if m.condition != "rendered"}, anchor)


@pytest.mark.slow
def test_every_metric_is_that_of_the_crops(held: HeldOut, made: list[Remade], anchor: Anchor) -> None:
    found = compared(held, made, anchor)
    mask, there = anchor.face.mask.hidden, held.present
    steady = there & np.roll(there, 1) & np.roll(there, -1)

    def cut(path: Path) -> np.ndarray:
        return np.stack([cut_crop(f, held.transforms[i], 128) for i, f in enumerate(read_frames(path))])

    real = np.stack([cut_crop(f, held.transforms[i], 128) for i, f in enumerate(held.images())])
    for one, remade in zip(found, made, strict=True):
        if remade.condition == "rendered":
            crops = np.fromfile(remade.path, np.uint8).reshape(FRAMES, 128, 128, 3)
        else:
            crops = cut(remade.path)
        assert (one.clip, one.condition) == ("clip", remade.condition)
        lips = image_metrics.lip_masks(
            remade.mouths, side=128, pixels_per_unit=anchor.info.crop.pixels_per_unit
        )
        own = image_metrics.lip_masks(
            made[0].mouths, side=128, pixels_per_unit=anchor.info.crop.pixels_per_unit
        )
        for values, expected, where in (
            (one.error, image_metrics.squared_errors(crops, real, mask), there),
            (one.similarity, image_metrics.structural_similarities(crops, real, mask), there),
            (one.distance, np.full(FRAMES, 0.25), there),
            (one.detail, image_metrics.detail(crops, lips), there),
            (one.real_detail, image_metrics.detail(real, own), there),
            (one.flicker, image_metrics.flicker(crops, mask), steady),
            (one.real_flicker, image_metrics.flicker(real, mask), steady),
        ):
            np.testing.assert_allclose(values[where], expected[where], rtol=1e-5)
            assert np.isnan(values[~where]).all()


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 7, 39])
def test_blocks_of_any_size_give_the_same(
    held: HeldOut, made: list[Remade], anchor: Anchor, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(metrics, "_AT_ONCE", 1000)
    whole = compared(held, made, anchor)
    monkeypatch.setattr(metrics, "_AT_ONCE", at_once)
    for one, other in zip(whole, compared(held, made, anchor), strict=True):
        for field in fields(Compared):
            if field.name not in ("clip", "condition"):
                np.testing.assert_allclose(
                    getattr(other, field.name), getattr(one, field.name), rtol=1e-5, err_msg=field.name
                )


@pytest.mark.slow
def test_the_real_video_is_nearest(held: HeldOut, made: list[Remade], anchor: Anchor) -> None:
    real, rendered, mouth, _ = (figures([c], fps=Fraction(25)) for c in compared(held, made, anchor))
    assert real.psnr > 30
    assert real.psnr > mouth.psnr + 6
    assert real.ssim > mouth.ssim
    assert abs(rendered.psnr - mouth.psnr) < 2
    assert real.sharpness == pytest.approx(1, abs=0.15)


def test_landmarks_are_those_found_in_the_video(held: HeldOut, made: list[Remade], anchor: Anchor) -> None:
    found = {c.condition: c for c in compared(held, made, anchor)}
    eyes = eye_distance(talking(FRAMES))
    there = held.present.copy()
    there[5] = False
    np.testing.assert_allclose(found["mouth"].landmarks[there], 3 / eyes[there], rtol=1e-4)
    assert np.isnan(found["mouth"].landmarks[~there]).all()
    assert np.isnan(found["rendered"].landmarks).all()
    row = figures([found["mouth"]], fps=Fraction(25))
    assert (row.frames, row.passed_through, row.lost) == (FRAMES, len(ABSENT), 1)
    assert row.landmarks == pytest.approx(float((3 / eyes[there]).mean()), rel=1e-4)
    assert row.correlation == pytest.approx(1)
    assert row.lag_ms == pytest.approx(0, abs=4)
    assert figures([found["rendered"]], fps=Fraction(25)).lost is None
    assert figures([found["real"]], fps=Fraction(25)).passed_through is None


def test_a_video_in_which_no_face_is_found(held: HeldOut, made: list[Remade], anchor: Anchor) -> None:
    row = figures(compare(held, made[:1], {}, anchor), fps=Fraction(25))
    assert row.lost == FRAMES - len(ABSENT)
    shown = row.to_json()
    assert shown["landmarks"] is shown["correlation"] is shown["lag_ms"] is None
    assert shown["psnr"] == row.psnr > 0


def test_a_video_that_is_too_short_is_refused(
    held: HeldOut, made: list[Remade], anchor: Anchor, tmp_path: Path
) -> None:
    short = tmp_path / "short.regions"
    short.write_bytes(made[1].path.read_bytes()[: 128 * 128 * 3 * 12])
    with pytest.raises(MediaError, match="fewer than 40 frames"):
        compare(held, [replace(made[1], path=short)], {}, anchor)


def course(value: float, *, frames: int = 30, condition: str = "mouth") -> Compared:
    full = np.full(frames, value)
    seen = np.ones(frames, bool)
    opening = np.sin(np.arange(frames) / 3)
    return Compared(
        *("clip", condition, seen, seen),  # type: ignore[arg-type]
        *(full, full / 200, full / 300, 2 * full, full, 3 * full, full, full / 100, opening, opening),
    )


def test_figures_are_of_all_frames_together() -> None:
    row = figures([course(10.0), course(40.0, frames=60)], fps=Fraction(30))
    mean = (30 * 10 + 60 * 40) / 90
    assert (row.clips, row.frames, row.passed_through, row.lost) == (2, 90, 0, 0)
    assert row.psnr == pytest.approx(10 * np.log10(255**2 / mean))
    assert row.ssim == pytest.approx(mean / 200)
    assert row.perceptual == pytest.approx(mean / 300)
    assert (row.sharpness, row.flicker) == pytest.approx((2, 3))
    assert row.landmarks == pytest.approx(mean / 100)


def test_the_lag_is_in_milliseconds() -> None:
    late = course(1.0, frames=60)
    late = replace(late, opening=np.sin((np.arange(60) - 2) / 3))
    assert figures([late], fps=Fraction(50)).lag_ms == pytest.approx(40, abs=4)
    assert figures([late], fps=Fraction(25)).lag_ms == pytest.approx(80, abs=8)


def test_the_distance_of_landmarks_is_of_lips_only() -> None:
    real = talking(3)
    made = real.copy()
    made[0, 152, :2] += 50  # the chin
    made[1, 61, :2] += np.array([3, 4])  # one corner of the mouth
    expected = [0, 5 / 40 / eye_distance(real)[1], 0]
    assert landmark_distances(made, real) == pytest.approx(expected, rel=1e-4)
