from __future__ import annotations

import pytest
import torch
from baselines.inpainting import CROSS_ENTROPY
from torch.nn import functional

from newscaster.models.discriminators import PatchDiscriminator
from newscaster.training.adversarial import HINGE, AdversarialLoss, Adversary
from newscaster.training.budget import Ramp

CPU = torch.device("cpu")


def images(count: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return speckled images, and the same without their speckles."""
    generator = torch.Generator().manual_seed(seed)
    smooth = functional.interpolate(torch.rand(count, 3, 4, 4, generator=generator), size=32, mode="bilinear")
    return (smooth + 0.05 * torch.randn(count, 3, 32, 32, generator=generator)).clamp(0, 1), smooth


def adversary(seed: int = 0, **weights: float) -> Adversary:
    torch.manual_seed(seed)
    return Adversary(PatchDiscriminator(1), AdversarialLoss(**weights), device=CPU)


@pytest.mark.slow
def test_it_learns_to_prefer_sharp_images_and_pulls_soft_ones_towards_them() -> None:
    judge = adversary(realism=1.0, matching=0.0)
    maps = torch.zeros(4, 1, 32, 32)
    for step in range(40):
        sharp, soft = images(4, seed=step)
        judge.train_step(soft, sharp, maps, step=step)
    sharp, soft = images(4, seed=99)
    assert float(judge.loss(soft, sharp, maps)) > float(judge.loss(sharp, sharp, maps)) + 1
    rendered = soft.clone().requires_grad_()
    judge.loss(rendered, sharp, maps).backward()
    assert rendered.grad is not None
    better = soft - 0.05 * rendered.grad / rendered.grad.abs().max()
    assert float(judge.loss(better, sharp, maps)) < float(judge.loss(soft, sharp, maps))
    assert all(p.grad is None or p.requires_grad for p in judge.discriminator.parameters())


def test_matching_is_nothing_for_the_real_image() -> None:
    judge = adversary(realism=0.0, matching=1.0)
    sharp, soft = images(2, seed=0)
    maps = torch.zeros(2, 1, 32, 32)
    assert float(judge.loss(sharp, sharp, maps)) == 0
    assert float(judge.loss(soft, sharp, maps)) > 0.001


def test_what_was_stored_is_taken_up() -> None:
    one, other = adversary(), adversary(seed=7)
    sharp, soft = images(2, seed=0)
    maps = torch.zeros(2, 1, 32, 32)
    one.train_step(soft, sharp, maps, step=0)
    other.optimizer.restore({name: value.clone() for name, value in one.optimizer.tensors().items()})
    for judge in (one, other):
        judge.train_step(soft, sharp, maps, step=1)
    wanted, found = one.optimizer.tensors(), other.optimizer.tensors()
    assert wanted.keys() == found.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_a_ramp_rises_from_0_to_1() -> None:
    ramp = Ramp(start=0.4, duration=0.2)
    assert [ramp.weight(fraction) for fraction in (0, 0.4, 0.5, 0.6, 1)] == pytest.approx([0, 0, 0.5, 1, 1])


def test_a_step_that_is_not_finite_is_skipped() -> None:
    judge = adversary()
    before = {name: value.clone() for name, value in judge.optimizer.tensors().items()}
    sharp, soft = images(2, seed=0)
    judge.train_step(soft * torch.nan, sharp, torch.zeros(2, 1, 32, 32), step=0)
    after = judge.optimizer.tensors()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("criterion", [HINGE, CROSS_ENTROPY])
def test_criteria_prefer_the_right_answer(criterion) -> None:
    high, low = torch.full((4,), 3.0), torch.full((4,), -3.0)
    assert float(criterion.discriminator(high, low)) < float(criterion.discriminator(low, high))
    assert float(criterion.generator(high)) < float(criterion.generator(low))
