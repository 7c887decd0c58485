from __future__ import annotations

import numpy as np
import pytest
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.face.hidden_box import Box
from newscaster.face.references import CELLS
from newscaster.models.reference.data import LightVariation, ReferenceBatch, ReferenceFrames

HIDDEN = hidden_mask(128)
CLIPS = [talking_clip(30, side=128, seed=seed) for seed in range(2)]


def test_a_frame_is_not_its_own_reference() -> None:
    clip = talking_clip(30, side=128)
    clip.crops[:, 0, 0, 0] = np.arange(30)  # the frame's number, in a corner that nothing else uses
    batch = ReferenceFrames([clip], HIDDEN).batch(np.arange(30))
    assert (np.abs(batch.large[:, 0, 0, 0].astype(int) - np.arange(30)) >= 10).all()
    alike = ReferenceFrames([clip], HIDDEN, sources=[clip]).batch(np.arange(30))
    assert (alike.large[:, 0, 0, 0] == np.arange(30)).mean() > 0.9, "sources may hold the very frame"


def test_references_come_from_their_sources() -> None:
    frames = ReferenceFrames(CLIPS[:1], HIDDEN, sources=CLIPS[1:])
    batch = frames.batch(frames.spread(5))
    for crop in batch.large:
        assert any((crop == source).all() for source in CLIPS[1].crops)
    assert batch.small.shape == (5, 4, CELLS, CELLS, 3)
    assert batch.landmark_maps.shape == (5, 4, CELLS, CELLS)
    assert (batch.distance[:, 0] == 0).all()


def test_a_seed_makes_a_batch() -> None:
    frames = ReferenceFrames(CLIPS, HIDDEN, variation=LightVariation())

    def drawn(seed: int) -> ReferenceBatch:
        return frames.random(4, np.random.default_rng(seed))

    first, again, other = drawn(1), drawn(1), drawn(2)
    for name in ("crops", "flow", "light", "large"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert not (first.light == other.light).all()
    assert (first.light[:, 0] == first.light[:, 1]).all(), "a pair has one light"


def test_light_changes_frames_and_references_together() -> None:
    frames = ReferenceFrames(CLIPS, HIDDEN)
    batch = frames.batch(np.array([3]))
    batch.light[:] = [[[0.5] * 3], [[0.1] * 3], [[0.5] * 3], [[0.1] * 3]]
    box = Box(8, 56, 16, 48)
    target, hidden, sight = batch.on(torch.device("cpu"), box)
    inside = np.s_[16:112, 32:96]
    expected = batch.crops[0][inside].astype(np.float32) / 255 * 0.5 + 0.1
    np.testing.assert_allclose(target[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(sight.large[0].numpy() / 255, batch.large[0] / 255 * 0.5 + 0.1, atol=1e-4)
    assert (hidden[0, 0].numpy() == HIDDEN[inside]).all()
    wholly = sight.hidden[0, 0] == 1
    assert wholly.any()
    assert (sight.context[0][:, wholly] == 0).all()
    assert sight.corner.tolist() == [16, 8]


def test_batches_of_several_people_are_joined() -> None:
    frames = [ReferenceFrames([clip], HIDDEN) for clip in CLIPS]
    parts = [part.batch(np.array([0, 1])) for part in frames]
    joined = ReferenceBatch.joined(parts)
    assert len(joined.crops) == 4
    assert joined.light.shape == (4, 4, 3)
    assert (joined.crops[2:] == parts[1].crops).all()


def test_few_frames_are_enough() -> None:
    short = talking_clip(3, side=128)
    batch = ReferenceFrames([short], HIDDEN).random(4, np.random.default_rng(0))
    assert batch.small.shape[:2] == (4, 4), "without others, near frames are references, too"
    with pytest.raises(ValueError, match="need at least one array"):
        ReferenceFrames([], HIDDEN)
