from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster.errors import InputError
from newscaster.speech.level import loud_peak
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from tiny_anchor import speech_like, write_tiny_anchor


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return newscaster.open(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"))


def test_the_built_in_anchor(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", lambda: anchor.path)
    assert newscaster.open().path == newscaster.open("builtin").path == anchor.path


def test_what_an_anchor_says_of_itself(anchor: Anchor) -> None:
    assert (anchor.name, anchor.fps, anchor.size) == ("Tiny", 25, (96, 80))
    assert repr(anchor) == "Anchor('Tiny': 96x80 at 25 fps, 0.4 s of target video)"


def test_given_mouths_are_rendered_as_spoken_ones(anchor: Anchor) -> None:
    speech = speech_like(1.0)
    stream = anchor.motion_stream()
    stream.expect_level(loud_peak(speech))
    stream.start_closed()
    shapes = np.concatenate([stream.push(speech), stream.flush()])
    shown = [image.rgb() for image in anchor.show(shapes, target_start=3)]
    assert len(shown) == 25
    np.testing.assert_array_equal(shown, list(anchor.render(speech, target_start=3)))
    with pytest.raises(InputError, match="target_start is 10"):
        anchor.show(shapes, target_start=10)


def test_the_same_person_on_another_target(anchor: Anchor, tmp_path: Path) -> None:
    other = newscaster.open(write_tiny_anchor(tmp_path / "other.anchor", frames=7, scale=20.0))
    moved = anchor.on_target(other.target)
    shapes = np.repeat(anchor.face.basis.mean[None], 4, axis=0)
    for made, wanted in zip(moved.show(shapes), other.show(shapes), strict=True):
        np.testing.assert_array_equal(made.rgb(), wanted.rgb())
    assert len(anchor.target) == 10
    assert (moved.name, moved.face) == (anchor.name, anchor.face)


def test_the_mouth_moves_with_the_audio(anchor: Anchor) -> None:
    loud, quiet = speech_like(2.0), speech_like(2.0, seed=3) * np.float32(0.1)
    assert np.abs(anchor.motion(loud) - anchor.motion(quiet)).max() > 0.2


def test_the_mouth_rests_in_noise(anchor: Anchor) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.01, 32_000).astype(np.float32)
    stream = anchor.motion_stream()
    shapes = np.concatenate([stream.push(hiss), stream.flush()])
    assert (shapes == anchor.face.basis.mean).all()
    free = anchor.motion_stream(articulation=Articulation(rests=False))
    assert (np.concatenate([free.push(hiss), free.flush()]) != anchor.face.basis.mean).any()
