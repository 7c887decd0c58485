from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from making_mouths import hidden_mask, talking_clip
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.models.reference import network as module
from newscaster.models.reference.data import ReferenceFrames
from newscaster.models.reference.network import CELLS, ReferenceConfig, ReferenceNetwork
from newscaster.models.renderer.contract import check_contract

SMALL = ReferenceConfig(channels=(8, 12), detail_gain=1.0)


def network(side: int) -> ReferenceNetwork:
    torch.manual_seed(0)
    return ReferenceNetwork(SMALL, hidden_mask(side)).eval()


@pytest.mark.parametrize("side", [128, 256])
def test_it_keeps_the_contract(side: int) -> None:
    made = network(side)
    torch.nn.init.normal_(made.unet.leave.weight, std=0.1)
    check_contract(made)


def test_crops_are_sampled_as_grid_sample_does() -> None:
    rng = np.random.default_rng(0)
    crops = torch.from_numpy(rng.integers(0, 256, (3, 128, 128, 3), dtype=np.uint8))
    flow = torch.from_numpy(rng.normal(0, 0.05, (3, 2, 40, 56)).astype(np.float32))
    flow = functional.avg_pool2d(flow, 5, stride=1, padding=2)
    shift = functional.interpolate(flow, scale_factor=2.0, mode="bilinear", align_corners=False)
    rows, columns = torch.arange(20, 100) + 0.5, torch.arange(8, 120) + 0.5
    home = torch.stack([columns[None].expand(80, -1), rows[:, None].expand(-1, 112)]) / 128
    places = (2 * (home + shift) - 1).permute(0, 2, 3, 1)
    expected = functional.grid_sample(
        crops.permute(0, 3, 1, 2).float() / 255, places, padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(module._warp(crops, flow, torch.tensor([4, 10])), expected, atol=2e-3, rtol=0)


def test_an_untrained_network_copies() -> None:
    """References that show the very mouth come back as they are: nothing is painted."""
    side, clip = 128, talking_clip(8, side=128)
    made = network(side)
    frames = ReferenceFrames([clip], made.hidden.numpy(), sources=[clip])
    for number in range(len(frames)):
        batch = frames.batch(np.array([number]))
        arrays = (batch.crops, batch.landmark_maps, batch.flow, batch.distance, batch.small, batch.large)
        with torch.no_grad():
            rendered = made(*map(torch.from_numpy, arrays)).numpy()[0]
        error = np.abs(rendered.astype(int) - clip.crops[number])[made.hidden.numpy()]
        assert error.mean() < 2.5


def test_the_mouth_of_the_map_is_copied_from_where_it_is_open() -> None:
    """With one open and one closed reference alike near, the landmarks move the pixels."""
    side = 128
    clip = talking_clip(40, side=side, seed=1)
    made = network(side)
    frames = ReferenceFrames([clip], made.hidden.numpy())
    openings = clip.points[:, 20:40, 1].max(axis=1) - clip.points[:, 20:40, 1].min(axis=1)
    dark = []
    for number in (int(openings.argmin()), int(openings.argmax())):
        batch = frames.batch(np.array([number]))
        arrays = (batch.crops, batch.landmark_maps, batch.flow, batch.distance, batch.small, batch.large)
        with torch.no_grad():
            rendered = made(*map(torch.from_numpy, arrays)).numpy()[0]
        inner = draw_landmark_map(clip.points[number], side=side, map_side=side)[0] > 200
        dark.append(int((rendered.max(axis=2) < 110).sum()))
        if inner.sum() > 50:
            assert rendered[inner].mean() < 60, "the open mouth is dark"
    assert dark[1] > 3 * max(dark[0], 1)


def test_sharpness_sets_the_gain() -> None:
    made = network(128)
    made.calibrate({"sharpness": 0.5, "grain": 1.5})
    assert float(made.unet.detail_gain) == pytest.approx((0.95 / 0.5) ** 0.5)
    assert made.grain == 1.5
    blurred = network(128)
    blurred.calibrate({"sharpness": 0.01})
    assert blurred.unet.detail_gain == 1.5, "noise is not amplified without end"
    same = network(128)
    same.calibrate({})
    assert same.unet.detail_gain == 1.0


def test_a_side_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="side of the crop is 96"):
        ReferenceNetwork(SMALL, hidden_mask(96))
    assert ReferenceConfig.from_json(SMALL.to_json()) == SMALL
    assert replace(SMALL, references=3) != SMALL
    assert network(128).map_side == CELLS
