from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from making_mouths import TINY, hidden_mask, talking_clip
from newscaster.models.renderer.data import STILL, RenderingData
from newscaster.models.renderer.network import Renderer
from newscaster.models.renderer.ridge_init import FOLDS, KernelFace, KernelShape
from newscaster.models.renderer.task import RenderingTraining
from newscaster.models.renderer.training import load_renderer, train_renderer

SHAPE = KernelShape(map_components=8, context_components=8, products=3, centres=100, compared=4, rank=6)
COVERED = torch.zeros(1, 1, 32, 48, dtype=torch.bool)
COVERED[..., 8:24, 8:40] = True


def face(*, shape: KernelShape = SHAPE, cell: int = 2) -> KernelFace:
    return KernelFace(shape, COVERED, channels=4, map_size=(16, 24), cell=cell, pool=8)


def frames(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Maps and surroundings that vary in few ways, those ways (N, 5), and five basis images."""
    generator = torch.Generator().manual_seed(0)
    ways = torch.rand(3, 4, 16, 24, generator=generator)
    light = torch.rand(2, 3, 32, 48, generator=generator)
    mouth, sun = torch.randn(count, 3, generator=generator), torch.randn(count, 2, generator=generator)
    maps = torch.einsum("nk,kchw->nchw", mouth, ways)
    surroundings = torch.einsum("nk,kchw->nchw", sun, light)
    images = 0.1 * torch.randn(5, 3, 32, 48, generator=generator)
    return maps, surroundings, torch.cat([mouth, sun], dim=1), images


def fit(kernel: KernelFace, maps: torch.Tensor, surroundings: torch.Tensor, wanted: torch.Tensor) -> None:
    folds = torch.arange(len(maps)) // 20 % FOLDS
    kernel.fit(*kernel.pooled(maps, surroundings), wanted, folds)


@pytest.mark.parametrize("cell", [1, 2])
def test_what_follows_linearly_is_found_and_shown_where_it_is_hidden(cell: int) -> None:
    kernel = face(cell=cell)
    maps, surroundings, ways, images = frames(600)
    whole = torch.einsum("nk,kchw->nchw", ways, images) * COVERED
    fit(kernel, maps[:-20], surroundings[:-20], kernel.elements(whole[:-20]))
    made = kernel(maps[-20:], surroundings[-20:])
    assert made.shape == (20, 3, 32, 48)
    wanted = whole[-20:]
    if cell > 1:
        wanted = torch.nn.functional.avg_pool2d(wanted, cell)
        made = torch.nn.functional.avg_pool2d(made, cell)
        inside = torch.nn.functional.max_pool2d(COVERED.float(), cell) > 0
        # Linear weights between elements soften what they show.
        assert ((made - wanted) * inside).abs().mean() < 0.5 * wanted.abs().mean()
    else:
        assert ((made - wanted) * COVERED).abs().mean() < 0.03 * wanted.abs().mean()
        assert not made[:, :, ~COVERED[0, 0]].any()


def test_likeness_to_frames_finds_what_is_not_linear() -> None:
    _, _, ways, images = frames(600)
    where = torch.rand(4, 16, 24, generator=torch.Generator().manual_seed(1))
    maps = ways[:, :1, None, None] * where
    surroundings = ways[:, 3:4, None, None] * (~COVERED).float().expand(1, 3, -1, -1)
    whole = torch.sin(2 * ways[:, :1, None, None]) * images[0] * COVERED
    errors = {}
    for centres in (100, 0):
        kernel = face(cell=1, shape=replace(SHAPE, centres=centres))
        fit(kernel, maps[:-100], surroundings[:-100], kernel.elements(whole[:-100]))
        errors[centres] = (kernel(maps[-100:], surroundings[-100:]) - whole[-100:]).square().mean()
    assert errors[100] < 0.1 * errors[0]


def test_a_frame_of_one_fold_is_rendered_by_the_fit_to_the_other() -> None:
    maps, surroundings, ways, images = frames(600)
    kernel = face(cell=1)
    # What belongs to one fold is the opposite of what belongs to the other.
    folds = torch.arange(600) % FOLDS
    sign = (1 - 2 * folds).float()[:, None, None, None]
    whole = torch.einsum("nk,kchw->nchw", ways[:, :3], images[:3]) * COVERED
    wanted = kernel.elements(whole * sign)
    kernel._choose = lambda *_: kernel_choice()  # type: ignore[method-assign]
    kernel.fit(*kernel.pooled(maps, surroundings), wanted, folds)
    made = kernel(maps[:40], surroundings[:40], folds[:40])
    assert (made + whole[:40] * sign[:40]).abs().mean() < 0.1 * whole[:40].abs().mean()


def kernel_choice():
    from newscaster.models.renderer.ridge_init import _Choice

    return _Choice(0.0, 1, False, 1.0)


@pytest.mark.parametrize("count", [4, 30, 300])
def test_with_few_frames_or_without_a_connection_it_does_nothing(count: int) -> None:
    kernel = face()
    maps, surroundings, *_ = frames(count)
    noise = torch.randn(count, 3 * len(kernel.element), generator=torch.Generator().manual_seed(5))
    fit(kernel, maps, surroundings, noise)
    assert not kernel(maps, surroundings).any()


def test_hidden_cells_of_the_surroundings_do_not_count() -> None:
    kernel = face()
    maps, surroundings, *_ = frames(2)
    other = surroundings.clone()
    other[..., 8:24, 8:40] += 1
    same = kernel.pooled(maps, surroundings)[1].view(2, 3, 4, 6)
    changed = kernel.pooled(maps, other)[1].view(2, 3, 4, 6)
    assert torch.equal(same[..., 1:3, 1:5], changed[..., 1:3, 1:5])


@pytest.mark.slow
def test_a_training_starts_from_it_and_keeps_it(tmp_path) -> None:
    data = RenderingData.of([talking_clip(60, seed=seed) for seed in range(12)], hidden_mask())
    shape = KernelShape(map_components=8, context_components=4, products=2, centres=40, compared=4, rank=8)
    how = RenderingTraining(batch=4, variation=STILL, sharpening=None)
    ticks = iter(np.arange(0, 9, 0.5))
    result = train_renderer(
        data,
        tmp_path,
        minutes=0.05,
        config=replace(TINY, start=shape),
        training=how,
        clock=lambda: float(next(ticks)),
    )
    network = load_renderer(result.weights)
    assert isinstance(network, Renderer)
    assert network.kernel is not None
    assert network.kernel.pictures.any()
    landmark_map = network.cut_map(torch.full((1, 4, network.map_side, network.map_side), 255))
    black = torch.zeros(1, 3, *network.covered.shape[-2:])
    assert (network.start(black, landmark_map) - network.fill).abs().max() > 0.01
