from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from baselines.retrieval import (
    Retrieval,
    RetrievalConfig,
    build_index,
    shape_weights,
    weighted_median,
)

from making_mouths import SIDE, hidden_mask, mouth, talking_clip
from newscaster.errors import InputError
from newscaster.models.renderer.data import RenderingClip, RenderingData


@pytest.fixture(scope="module")
def data() -> RenderingData:
    return RenderingData.of([talking_clip(20, seed=seed) for seed in range(4)], hidden_mask())


@pytest.fixture(scope="module")
def index(data: RenderingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    assert build_index(data, folder) == 60
    return folder


def blackened(crops: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    given = crops.copy()
    given[:, hidden] = 0
    return given


def test_a_mouth_that_was_seen_gives_the_very_frame(data: RenderingData, index: Path) -> None:
    live_renderer = Retrieval(index, RetrievalConfig(candidates=1))
    clip = data.clips[2]
    given = blackened(clip.crops, data.hidden)
    assert np.array_equal(live_renderer.render_frames(given, clip.points), clip.crops)


def test_mouths_of_clips_that_were_not_seen_are_near(data: RenderingData, index: Path) -> None:
    clip = data.held_out[0]
    rendered = Retrieval(index, RetrievalConfig(candidates=5)).render_frames(
        blackened(clip.crops, data.hidden), clip.points
    )
    off = rendered[:, data.hidden].astype(float) - clip.crops[:, data.hidden]
    assert 10 * np.log10(255**2 / (off**2).mean()) > 28
    assert np.array_equal(rendered[:, ~data.hidden], clip.crops[:, ~data.hidden])
    closed = np.stack([mouth(0.0)] * len(clip))
    others = Retrieval(index).render_frames(blackened(clip.crops, data.hidden), closed)
    assert not np.array_equal(others, rendered)


def test_colours_are_matched_around_the_mask(data: RenderingData, index: Path) -> None:
    live_renderer = Retrieval(index, RetrievalConfig(candidates=1))
    clip = data.clips[0]
    light = np.linspace(-20, 20, SIDE)[None, None, :, None] + 10
    lit = np.clip(clip.crops + light, 0, 255).round().astype(np.uint8)
    rendered = live_renderer.render_frames(blackened(lit, data.hidden), clip.points)
    plain = np.abs(clip.crops[:, data.hidden].astype(float) - lit[:, data.hidden]).mean()
    assert np.abs(rendered[:, data.hidden].astype(float) - lit[:, data.hidden]).mean() < 0.1 * plain


def test_candidates_come_from_frames_that_look_alike_around_the_mask(tmp_path: Path) -> None:
    clip = talking_clip(20, seed=1)
    dark = RenderingClip(clip.crops // 2, clip.points)
    data = RenderingData.of([clip, dark], hidden_mask(), held_out=[talking_clip(2, seed=9)])
    build_index(data, tmp_path)
    live_renderer = Retrieval(tmp_path, RetrievalConfig(candidates=4, sitting=20))
    for crop, numbers in ((clip.crops[5], range(20)), (dark.crops[5], range(20, 40))):
        found, weights = live_renderer.candidates(crop, clip.points[5])
        assert len(found) == 4
        assert set(found) <= set(numbers)
        assert found[weights.argmax()] % 20 == 5


def test_hidden_pixels_are_not_looked_at(data: RenderingData, index: Path) -> None:
    clip, live_renderer = data.held_out[0], Retrieval(index)
    rendered = live_renderer.render_frames(blackened(clip.crops, data.hidden), clip.points)
    assert np.array_equal(live_renderer.render_frames(clip.crops, clip.points), rendered)


def test_the_weighted_median_is_that_of_sorting() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 30):
        values = rng.integers(0, 256, (count, 40, 3), np.uint8)
        weights = rng.uniform(0.01, 1, count).astype(np.float32)
        order = np.argsort(values, axis=0, kind="stable")
        below = np.cumsum(weights[order], axis=0)
        rank = (below >= 0.5 * weights.sum() - 1e-5).argmax(axis=0)
        wanted = np.take_along_axis(np.take_along_axis(values, order, axis=0), rank[None], axis=0)[0]
        assert np.array_equal(weighted_median(values, weights), wanted)


def test_candidates_hold_the_share_of_all_weight() -> None:
    rng = np.random.default_rng(1)
    squared = np.sort(rng.uniform(2, 50, 400).astype(np.float32))
    for count in (3, 20, 100):
        weights = shape_weights(squared, squared[:count], fraction=0.9).astype(float)
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        assert (np.diff(weights) <= 0).all()
        # The width that the weights were made with, from the first and the last of them.
        width = (squared[count - 1] - squared[0]) / np.log(weights[0] / weights[-1])
        every = np.exp(-(squared - squared[0]) / width)
        assert every[:count].sum() / every.sum() == pytest.approx(0.9, abs=0.01)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Build it first"):
        Retrieval(tmp_path)
