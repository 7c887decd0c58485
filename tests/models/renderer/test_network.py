from __future__ import annotations

import numpy as np
import pytest
import torch

from making_mouths import SIDE, TINY, hidden_mask
from newscaster.models.renderer.network import Renderer, RendererConfig, box_of


def with_random_output(network: Renderer) -> Renderer:
    """The same network with weights that do something: fresh ones render the fill."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def inputs(network: Renderer, *, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    crop = rng.integers(0, 256, (batch, network.side, network.side, 3), np.uint8)
    landmark_map = rng.integers(0, 256, (batch, 4, network.map_side, network.map_side), np.uint8)
    return torch.from_numpy(crop), torch.from_numpy(landmark_map)


def test_hidden_pixels_do_not_influence_the_output() -> None:
    hidden = hidden_mask()
    network = with_random_output(Renderer(TINY, hidden))
    crop, landmark_map = inputs(network)
    other = crop.clone()
    other[:, torch.from_numpy(hidden)] = torch.randint(0, 256, (2, int(hidden.sum()), 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(network(crop, landmark_map), network(other, landmark_map))
        assert not torch.equal(network(crop, landmark_map), network(crop, 255 - landmark_map))


def test_visible_pixels_influence_the_output_and_come_back_as_they_were() -> None:
    hidden = hidden_mask()
    network = with_random_output(Renderer(TINY, hidden))
    crop, landmark_map = inputs(network)
    with torch.no_grad():
        rendered = network(crop, landmark_map)
        darker = network(crop // 2, landmark_map)
    assert rendered.dtype == torch.uint8
    assert rendered.shape == crop.shape
    visible = torch.from_numpy(~hidden)
    assert torch.equal(rendered[:, visible], crop[:, visible])
    assert not torch.equal(rendered[:, ~visible], darker[:, ~visible])


def test_training_does_not_see_hidden_pixels_either() -> None:
    hidden = hidden_mask()
    network = with_random_output(Renderer(TINY, hidden))
    crop, landmark_map = inputs(network)
    context = network.cut(crop).requires_grad_()
    network.predict(context, network.cut_map(landmark_map)).sum().backward()
    assert context.grad is not None
    covered = network.covered.expand_as(context)
    assert not context.grad[covered].any()
    assert context.grad[~covered].any()


@pytest.mark.parametrize("side", [128, 256, 512, 768])
def test_every_side_renders_at_its_own_size(side: int) -> None:
    config = RendererConfig(channels=(4, 4, 4), encoder_blocks=(0, 0, 1), decoder_blocks=(0, 0))
    network = with_random_output(Renderer(config, hidden_mask(side)))
    crop, landmark_map = inputs(network, batch=1)
    assert landmark_map.shape[-1] == min(side // 2, 128)
    with torch.no_grad():
        assert network(crop, landmark_map).shape == (1, side, side, 3)


def test_the_box_holds_the_mask_and_fits_the_grid() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        hidden = np.zeros((64, 64), bool)
        top, left = rng.integers(0, 60, 2)
        hidden[top : rng.integers(top + 1, 65), left : rng.integers(left + 1, 65)] = True
        box = box_of(hidden, size_multiple=8, place_multiple=4)
        assert hidden[box.top : box.bottom, box.left : box.right].sum() == hidden.sum()
        assert 0 <= box.top < box.bottom <= 64
        assert 0 <= box.left < box.right <= 64
        assert (box.bottom - box.top) % 8 == (box.right - box.left) % 8 == 0
        assert box.top % 4 == box.left % 4 == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="levels takes"):
        RendererConfig(channels=(8, 16), encoder_blocks=(1,), decoder_blocks=(1,))
    with pytest.raises(ValueError, match="hides no pixel"):
        Renderer(TINY, np.zeros((SIDE, SIDE), bool))
    with pytest.raises(ValueError, match="expected a divisor"):
        RendererConfig(map_side=48).map_side_for(128)


def test_a_config_comes_back_from_json() -> None:
    assert RendererConfig.from_json(TINY.to_json()) == TINY
