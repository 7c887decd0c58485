from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.errors import InputError
from newscaster.models.reference.base import (
    BaseRendererTask,
    BaseTraining,
    Person,
    load_base_renderer,
    save_base_renderer,
)
from newscaster.models.reference.network import BlendingUNet, ReferenceConfig

sys.path.append(str(Path(__file__).parents[3] / "tools"))

from train_base_renderer import people

SMALL = ReferenceConfig(channels=(8, 12))
HIDDEN = hidden_mask(128)


def person(seed: int, frames: int = 40) -> Person:
    return Person(f"person {seed}", [talking_clip(frames, side=128, seed=seed)], HIDDEN)


def task(**settings: object) -> BaseRendererTask:
    people, checked = [person(0), person(1)], [person(2)]
    return BaseRendererTask(
        people,
        checked,
        device=torch.device("cpu"),
        seed=0,
        start=BlendingUNet(SMALL),
        training=BaseTraining(batch=4),
        **settings,
    )


def test_training_lowers_the_loss() -> None:
    made = task()
    assert (made.evaluate(made.network)["psnr"] or 0) > 15, "an untrained network copies"
    made.network.train()
    losses = []
    for step in range(8):
        made.optimizer.zero_grad()
        loss = made.loss(made.batch(seed=0, step=step % 2), step=step, fraction=0.1)
        loss.backward()
        made.optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])


def test_batches_depend_on_seed_and_step_alone() -> None:
    made = task()
    first, again, next_one = (made.batch(seed=3, step=step) for step in (5, 5, 6))
    assert (first.crops == again.crops).all()
    assert not np.array_equal(first.flow, next_one.flow)
    assert len(first.crops) == 8, "twice as many of small crops"


def test_the_package_has_weights() -> None:
    network = load_base_renderer()
    assert network.config == ReferenceConfig()
    assert not network.training
    assert network.leave.weight.detach().abs().max() > 0, "trained"
    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def test_weights_are_stored_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BlendingUNet(SMALL)
    save_base_renderer(tmp_path / "base.safetensors", network, {"people": 2})
    read = load_base_renderer(tmp_path / "base.safetensors")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], value, atol=1e-3, rtol=1e-3)
    assert (tmp_path / "base.safetensors").stat().st_size < 3 * sum(
        value.numel() for value in network.parameters()
    )


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "base.safetensors"
    save_base_renderer(path, BlendingUNet(SMALL), {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="is damaged"):
        load_base_renderer(path)
    other = BlendingUNet(SMALL)
    other.config = ReferenceConfig(channels=(8, 16))
    save_base_renderer(path, other, {})
    with pytest.raises(InputError, match="does not hold a base renderer"):
        load_base_renderer(path)


def test_the_tool_needs_nobody_to_check(tmp_path: Path) -> None:
    assert list(people([], tmp_path / "crops", every=1)) == []
