from __future__ import annotations

import numpy as np
import pytest
import torch

from making_mouths import TINY, hidden_mask, talking_clip
from newscaster.training.networks.linear_face import LinearFace, LinearShape
from newscaster.training.networks.renderer import Renderer
from newscaster.training.rendering import export_renderer, load_renderer, train_renderer
from newscaster.training.rendering_data import STILL, RenderingData
from newscaster.training.rendering_loop import RenderingTraining

SHAPE = LinearShape(map_components=8, context_components=8, products=3, rank=6)


def face(*, shape: LinearShape = SHAPE) -> LinearFace:
    covered = torch.zeros(1, 1, 32, 48, dtype=torch.bool)
    covered[..., 8:24, 8:40] = True
    return LinearFace(shape, covered, channels=4, map_size=(16, 24), cell=2)


def frames(linear: LinearFace, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps and surroundings that vary in few ways, and pictures that follow from them."""
    generator = torch.Generator().manual_seed(0)
    ways = torch.rand(3, 4, 16, 24, generator=generator)
    light = torch.rand(2, 3, 32, 48, generator=generator)
    mouth, sun = torch.randn(count, 3, generator=generator), torch.randn(count, 2, generator=generator)
    maps = torch.einsum("nk,kchw->nchw", mouth, ways)
    surroundings = torch.einsum("nk,kchw->nchw", sun, light)
    effect = torch.randn(5, 3 * 16 * 24, generator=generator)
    return maps, surroundings, torch.cat([mouth, sun], dim=1) @ effect


def test_what_follows_linearly_is_found() -> None:
    linear = face()
    maps, surroundings, wanted = frames(linear, 600)
    linear.fit(*linear.pooled(maps, surroundings), wanted)
    made = linear(maps[-20:], surroundings[-20:])
    assert made.shape == (20, 3, 32, 48)
    error = (linear.coarse(made) - linear.coarse(made).mean()).std()
    coarse = torch.nn.functional.interpolate(
        wanted[-20:].view(-1, 3, 16, 24), scale_factor=2.0, mode="bilinear"
    )
    assert (made - coarse).abs().mean() < 0.05 * coarse.abs().mean()
    assert error > 0


@pytest.mark.parametrize("count", [4, 30])
def test_with_few_frames_or_without_a_connection_it_does_nothing(count: int) -> None:
    linear = face()
    maps, surroundings, _ = frames(linear, count)
    noise = torch.randn(count, 3 * 16 * 24, generator=torch.Generator().manual_seed(5))
    linear.fit(*linear.pooled(maps, surroundings), noise)
    assert not linear(maps, surroundings).any()


def test_hidden_cells_of_the_surroundings_do_not_count() -> None:
    linear = face()
    maps, surroundings, _ = frames(linear, 2)
    surroundings = surroundings * ~torch.zeros(1, 1, 32, 48, dtype=torch.bool)
    other = surroundings.clone()
    other[..., 8:24, 8:40] += 1
    same = linear.pooled(maps, surroundings)[1].view(2, 3, 4, 6)
    changed = linear.pooled(maps, other)[1].view(2, 3, 4, 6)
    assert torch.equal(same[..., 1:3, 1:5], changed[..., 1:3, 1:5])


def test_a_training_starts_from_it_and_keeps_it(tmp_path) -> None:
    data = RenderingData.of([talking_clip(60, seed=seed) for seed in range(12)], hidden_mask())
    shape = LinearShape(map_components=8, context_components=4, products=2, rank=8)
    config = TINY.__class__(**{**TINY.__dict__, "linear": shape})
    how = RenderingTraining(batch=4, variation=STILL, sharpening=None)
    ticks = iter(np.arange(0, 9, 0.5))
    result = train_renderer(
        data, tmp_path, minutes=0.05, config=config, training=how, clock=lambda: float(next(ticks))
    )
    network = load_renderer(result.weights)
    assert isinstance(network, Renderer)
    assert network.linear is not None
    assert network.linear.pictures.any()
    face_map = network.cut_map(torch.full((1, 4, network.map_side, network.map_side), 255))
    black = torch.zeros(1, 3, *network.covered.shape[-2:])
    assert (network.start(black, face_map) - network.fill).abs().max() > 0.01
    export_renderer(network)  # which compares with ONNX Runtime
