"""Reconstructed footage: rendered frames, unchanged frames, and the content of the videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from newscaster.evaluation.held_out import HeldOut
from newscaster.evaluation.reconstruction import Condition, Remade, remake, spoken_shapes
from newscaster.face.crop import cut_crop
from newscaster.face.topology import MOUTH
from newscaster.media import probe, read_frames
from newscaster.speech.level import loud_peak
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from talkers import clip_of

ABSENT = (0, 7, 8, 29)


@pytest.fixture(scope="module")
def held(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    return HeldOut.of(clip_of(tmp_path_factory.mktemp("clip"), frames=30, absent=ABSENT), anchor)


@pytest.fixture(scope="module")
def made(held: HeldOut, anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> dict[Condition, Remade]:
    folder = tmp_path_factory.mktemp("made")
    return {remade.condition: remade for remade in remake(held, anchor, folder, folder)}


def crops(held: HeldOut, path: Path) -> np.ndarray:
    frames = list(read_frames(path))
    assert len(frames) == held.frames
    return np.stack([cut_crop(f, held.transforms[i], 128) for i, f in enumerate(frames)]).astype(int)


def test_four_conditions_of_three_videos(held: HeldOut, made: dict[Condition, Remade]) -> None:
    assert list(made) == ["real", "rendered", "mouth", "sound"]
    for condition in ("real", "mouth", "sound"):
        assert made[condition].path.name == f"clip.{condition}.mp4"
        found = probe(made[condition].path)
        assert found.audio is not None
        assert ("Synthetic video" in found.metadata.get("comment", "")) == (condition != "real")
    assert not made["real"].rendered.any()
    for condition in ("rendered", "mouth", "sound"):
        np.testing.assert_array_equal(made[condition].rendered, held.present)


def test_the_mask_is_rendered_in_frames_that_show_a_face(
    held: HeldOut, made: dict[Condition, Remade], anchor: Anchor
) -> None:
    real, mouth = (crops(held, made[condition].path) for condition in ("real", "mouth"))
    soft = anchor.face.mask.soft
    changed = np.abs(real - mouth).mean(axis=-1)
    for i in range(held.frames):
        inside = changed[i][soft > 200].mean()
        assert inside < 4 if i in ABSENT else inside > 20, i
    inset = np.s_[:, 8:-8, 8:-8]
    assert changed[inset][:, anchor.face.mask.soft[8:-8, 8:-8] == 0].mean() < 4


def test_crops_are_stored_before_encoding(
    held: HeldOut, made: dict[Condition, Remade], anchor: Anchor
) -> None:
    kept = np.fromfile(made["rendered"].path, np.uint8).reshape(held.frames, 128, 128, 3)
    start, stop = 9, 29
    images = list(anchor.on_target(held.target(anchor)).show(held.shapes[start:stop], target_start=start))
    for i, image in enumerate(images, start):
        np.testing.assert_array_equal(kept[i], cut_crop(image.rgb(), held.transforms[i], 128))
    off = kept - crops(held, made["mouth"].path)
    assert 0 < np.abs(off).mean() < 4


def test_mouths_are_where_they_were_rendered(held: HeldOut, made: dict[Condition, Remade]) -> None:
    seen = held.transforms.apply(held.clip.landmarks[:, list(MOUTH), :2].astype(np.float64))
    np.testing.assert_allclose(made["mouth"].mouths, seen, atol=1e-3)
    spoken = made["sound"].mouths
    assert np.isnan(spoken[list(ABSENT)]).all()
    assert np.abs(spoken - seen)[held.present].mean() > 0.5


def test_the_audio_moves_the_mouth_as_articulated(held: HeldOut, anchor: Anchor) -> None:
    resting, breathing = (spoken_shapes(held, anchor, Articulation(rests=rests)) for rests in (True, False))
    assert resting.shape == breathing.shape == (30, 57, 2)
    stream = anchor.motion_stream(articulation=Articulation(rests=False))
    stream.expect_level(loud_peak(held.clip.speech))
    whole = np.concatenate([stream.push(held.clip.speech), stream.flush(total_frames=30)])
    np.testing.assert_array_equal(breathing, whole)
    assert np.abs(resting - breathing).max() > 0


def test_without_audio_there_is_no_such_condition(anchor: Anchor, tmp_path: Path) -> None:
    mute = HeldOut.of(clip_of(tmp_path, frames=26, audio=False), anchor)
    made = remake(mute, anchor, tmp_path, tmp_path)
    assert [remade.condition for remade in made] == ["real", "rendered", "mouth"]
    assert probe(made[0].path).audio is None
