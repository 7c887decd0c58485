from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from baselines.inpainter_network import Inpainter, InpainterConfig, PatchDiscriminator
from baselines.inpainting import (
    Batch,
    InpainterTask,
    InpaintingTraining,
    Outlined,
    draw_outline,
    load_inpainter,
    train_inpainter,
)

from making_mouths import SIDE, hidden_mask, mouth, talking_clip
from newscaster.errors import InputError
from newscaster.models.renderer.data import RenderingData
from newscaster.training.budget import TimeBudget
from newscaster.training.loop import Intervals, Trainer, TrainProgress
from resuming import resumed_equals_uninterrupted, take_steps
from ticking import TickingClock

TINY = InpainterConfig(channels=8, judge_layers=2)
HOW = InpaintingTraining(
    batch=2, learning_rate=2e-3, intervals=Intervals(report_seconds=2, save_seconds=4, evaluate_seconds=8)
)


@pytest.fixture(scope="module")
def data() -> RenderingData:
    return RenderingData.of([talking_clip(seed=seed) for seed in range(3)], hidden_mask())


def network(side: int = SIDE) -> Inpainter:
    torch.manual_seed(1)
    return Inpainter(TINY, hidden_mask(side)).eval()


def inputs(side: int = SIDE) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    crop = rng.integers(0, 256, (2, side, side, 3), np.uint8)
    outlines = np.stack([draw_outline(mouth(opening, side=side), side) for opening in (0.2, 0.9)])
    return torch.from_numpy(crop), torch.from_numpy(outlines)


def test_hidden_pixels_are_not_seen() -> None:
    live_renderer, (crop, outline) = network(), inputs()
    other = crop.clone()
    other[:, live_renderer.hidden] = 255 - other[:, live_renderer.hidden]
    with torch.no_grad():
        rendered = live_renderer(crop, outline)
        assert torch.equal(
            live_renderer(other, outline), torch.where(live_renderer.hidden[..., None], rendered, other)
        )
        assert not torch.equal(live_renderer(crop, outline.flip(0)), rendered)
        assert not torch.equal(
            live_renderer(crop // 2, outline)[:, live_renderer.hidden], rendered[:, live_renderer.hidden]
        )


def test_visible_pixels_come_back_as_they_were() -> None:
    live_renderer, (crop, outline) = network(), inputs()
    with torch.no_grad():
        rendered = live_renderer(crop, outline)
    assert rendered.dtype == torch.uint8
    assert torch.equal(rendered[:, ~live_renderer.hidden], crop[:, ~live_renderer.hidden])


def test_what_the_network_sees_is_a_hole_with_an_outline() -> None:
    live_renderer, (crop, outline) = network(), inputs()
    seen = live_renderer.condition(crop, outline)
    drawn = outline[:, None].expand_as(seen)
    assert float(seen[drawn == 255].min()) == pytest.approx(1, abs=1e-6)
    hole = live_renderer.hidden.expand_as(seen) & (drawn == 0)
    assert bool((seen[hole] == -1).all())


def test_the_outline_is_two_thin_rings_and_moves_by_less_than_a_pixel() -> None:
    drawn = draw_outline(mouth(0.8, side=128), 128)
    assert drawn.shape == (128, 128)
    # Lengths of two ellipses, about 2 pi times the root mean square of their half axes.
    length = sum(2 * np.pi * 128 * np.hypot(a, b) / np.sqrt(2) for a, b in ((0.2, 0.128), (0.15, 0.069)))
    assert drawn.sum() / 255 == pytest.approx(length, rel=0.15)
    assert not np.array_equal(draw_outline(mouth(0.8, side=128) + 0.3, 128), drawn)


@pytest.mark.parametrize("side", [32, 128])
def test_the_networks_are_those_of_pix2pix(side: int) -> None:
    live_renderer = network(side)
    levels = side.bit_length() - 1
    assert len(live_renderer.down) == len(live_renderer.up) == levels
    widths = [
        layer[-2 if 0 < i < levels - 1 else -1].out_channels for i, layer in enumerate(live_renderer.down)
    ]
    assert widths == [8 * min(2**level, 8) for level in range(levels)]
    judge = PatchDiscriminator(InpainterConfig(channels=8))
    # 70 pixels to a side are judged: what lies further away makes no difference.
    image = torch.zeros(1, 3, 128, 128, requires_grad=True)
    judge.eval()
    for norm in (layer for layer in judge.modules() if isinstance(layer, torch.nn.InstanceNorm2d)):
        norm.forward = lambda x: x  # type: ignore[method-assign]
    judge(image, torch.zeros(1, 3, 128, 128))[0][-1][0, 0, 7, 7].backward()
    assert image.grad is not None
    rows = np.flatnonzero(image.grad.abs().sum(dim=(0, 1, 3)).numpy())
    assert rows[-1] - rows[0] + 1 == 70


@pytest.mark.slow
def test_the_loss_falls_and_the_mouth_is_filled_in(data: RenderingData, tmp_path: Path) -> None:
    reports: list[TrainProgress] = []
    train_inpainter(
        data, tmp_path, minutes=0.6, config=TINY, training=HOW, progress=reports.append, clock=TickingClock()
    )
    assert reports[-1].loss < 0.4 * reports[0].loss
    psnr = reports[-1].metrics["psnr"]
    assert psnr is not None
    assert psnr > 20
    with (tmp_path / "progress.csv").open() as file:
        assert int(list(csv.DictReader(file))[-1]["step"]) == reports[-1].step
    clip = data.held_out[0]
    crops, outlines = Outlined([clip]).batch(np.arange(len(clip)))
    given = crops.copy()
    given[:, data.hidden] = 0
    with torch.no_grad():  # exported, it renders the same: see `test_painters`
        rendered = load_inpainter(tmp_path)(torch.from_numpy(given), torch.from_numpy(outlines)).numpy()
    error = (rendered[:, data.hidden].astype(float) - clip.crops[:, data.hidden]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) == pytest.approx(psnr, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("realism", [0.0, 1.0])
def test_a_resumed_run_computes_what_an_uninterrupted_one_does(
    data: RenderingData, tmp_path: Path, realism: float
) -> None:
    def trainer(folder: Path) -> Trainer[Batch]:
        task = InpainterTask(data, config=TINY, how=replace(HOW, realism=realism), seed=5)
        assert (task.adversary is None) == (realism == 0)
        return Trainer(task, folder, budget=TimeBudget(1), seed=5)

    resumed_equals_uninterrupted(trainer, tmp_path, steps=8)


def test_the_judge_learns_to_tell_real_from_painted(data: RenderingData, tmp_path: Path) -> None:
    task = InpainterTask(data, config=TINY, how=HOW, seed=0)
    assert task.adversary is not None
    judge = task.adversary.discriminator
    batch = task.frames.batch(np.arange(4))
    real = torch.from_numpy(batch[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
    condition = task.network.condition(*map(torch.from_numpy, batch))

    def preference() -> float:
        with torch.no_grad():
            rendered = task.network.predict(condition)
            return float((judge(real, condition)[0][-1] - judge(rendered, condition)[0][-1]).mean())

    before = preference()
    take_steps(Trainer(task, tmp_path, budget=TimeBudget(1), seed=0), 10, of=100)
    assert preference() > before + 0.5


def test_other_weights_are_refused(data: RenderingData, tmp_path: Path) -> None:
    train_inpainter(data, tmp_path, minutes=0.02, config=TINY, training=HOW, clock=TickingClock())
    other = replace(TINY, channels=4)
    with pytest.raises(InputError, match="another config"):
        train_inpainter(data, tmp_path, minutes=1, config=other, training=HOW, clock=TickingClock())
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(InputError, match="Train first"):
        load_inpainter(tmp_path)


def test_a_mask_that_is_not_a_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Inpainter(TINY, hidden_mask(48))
