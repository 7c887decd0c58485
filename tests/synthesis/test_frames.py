from __future__ import annotations

import numpy as np
import pytest

import newscaster
from newscaster.errors import SpeechError
from newscaster.synthesis.frames import PlacedMouths, count_frames, place_mouths, speech_mouths
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.speech_input import open_speech
from tiny_anchor import speech_like, write_tiny_anchor


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedAnchor:
    path = write_tiny_anchor(
        tmp_path_factory.mktemp("anchor") / "tiny.anchor",
        blend_weight=np.linspace(0, 1, 10, dtype=np.float32),
    )
    return newscaster.open(path)._loaded


def joined(parts: list[PlacedMouths], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


@pytest.mark.parametrize("frames", [1, 64, 65, 150])
def test_mouths_go_on_the_next_frames_of_an_order(loaded: LoadedAnchor, frames: int) -> None:
    """An order that is not the target's own, such as that of a clip whose lips are rewritten."""
    shapes = np.random.default_rng(0).standard_normal((frames, 57, 2))
    indices = np.random.default_rng(1).integers(0, 10, frames + 3)
    order = iter(indices.tolist())
    parts = list(place_mouths(shapes, loaded.target, order))
    assert max(len(part.indices) for part in parts) <= 64
    np.testing.assert_array_equal(joined(parts, "indices"), indices[:frames])
    np.testing.assert_array_equal(joined(parts, "shapes"), shapes)
    np.testing.assert_allclose(joined(parts, "points"), loaded.target.place(shapes, indices[:frames]))
    np.testing.assert_array_equal(joined(parts, "weights"), loaded.target.blend_weights(indices[:frames]))
    assert next(order) == indices[frames]


def test_a_speech_has_a_mouth_for_each_of_its_frames(loaded: LoadedAnchor) -> None:
    with open_speech(speech_like(1.3), audible=False) as speech:
        parts = list(speech_mouths(loaded, speech, loaded.motion_stream(), loaded.order(2)))
        assert len(joined(parts, "points")) == count_frames(loaded, speech.samples, speech.rate) == 32
    with pytest.raises(SpeechError, match=r"6\.2 ms long, and one frame takes 40\.0 ms"):
        count_frames(loaded, 100, 16_000)
