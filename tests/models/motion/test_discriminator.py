"""The adversary of a motion network, alone and in the training of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import MOUTH_POINTS
from newscaster.models.motion.data import MotionClip, MotionTraining, PairTraining
from newscaster.models.motion.discriminator import MotionDiscriminator
from newscaster.models.motion.network import (
    AnyMotion,
    MotionConfig,
    MotionNetwork,
    RecurrentConfig,
    RecurrentMotion,
)
from newscaster.models.motion.task import train_motion
from newscaster.training.adversarial import AdversarialLoss, Adversary
from newscaster.training.checkpoints import STATE, read_checkpoint
from newscaster.training.loop import Intervals, TrainProgress
from ticking import TickingClock

WIDTH, SIZE = 4, 2
PAIR = PairTraining(loss=AdversarialLoss(realism=0.01 / 3, matching=0.01, learning_rate=4e-4))
TRAINING = MotionTraining(
    steps=30,
    batch=4,
    segment=16,
    learning_rate=5e-3,
    pair=PAIR,
    intervals=Intervals(report_seconds=1, save_seconds=0.5),
)


def motions(count: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return expressive motion (B, T, K), the same oversmoothed, and matching features (B, T, D)."""
    generator = torch.Generator().manual_seed(seed)
    expressive = torch.randn(count, 24, SIZE, generator=generator)
    smooth = torch.nn.functional.avg_pool1d(expressive.transpose(1, 2), 5, 1, 2).transpose(1, 2)
    return expressive, smooth, torch.cat([smooth, smooth], dim=2)


def adversary(seed: int = 0, **values: float) -> Adversary:
    real = motions(8, seed=100)[0]
    torch.manual_seed(seed)
    discriminator = MotionDiscriminator(coefficients=SIZE, inputs=WIDTH)
    discriminator.normalise_with(list(real))
    loss = AdversarialLoss(**{"realism": 1e-4, "matching": 1e-3, "learning_rate": 2e-3, **values})
    return Adversary(discriminator, loss, device=torch.device("cpu"))


def basis() -> MouthBasis:
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(2 * MOUTH_POINTS, SIZE)))[0].T
    return MouthBasis(
        np.zeros((MOUTH_POINTS, 2)), directions.reshape(SIZE, MOUTH_POINTS, 2), np.array([0.3, 0.2])
    )


def clips() -> list[MotionClip]:
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(WIDTH, SIZE)) / 2
    made = []
    for _ in range(4):
        features = rng.normal(size=(30, WIDTH)).astype(np.float32)
        shapes = basis().reconstruct(features @ mix).astype(np.float32)
        made.append(MotionClip(features, shapes, np.arange(30) > 0))
    return made


def network(kind: str = "tcn", seed: int = 0) -> AnyMotion:
    torch.manual_seed(seed)
    if kind == "lstm":
        return RecurrentMotion(
            RecurrentConfig(inputs=WIDTH, coefficients=SIZE, hidden=8, delay_steps=1, dropout=0.0)
        )
    return MotionNetwork(
        MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=8, dilations=(1,), dropout=0.0)
    )


@pytest.mark.slow
def test_it_learns_to_tell_generated_motion_from_real_and_pulls_it_there() -> None:
    judge = adversary(realism=1.0, matching=0.0)
    for step in range(25):
        real, made, audio = motions(8, seed=step)
        judge.train_step(made, real, audio, step=step)
    real, made, audio = motions(8, seed=99)
    assert float(judge.loss(made, real, audio)) > float(judge.loss(real, real, audio)) + 1
    course = made.clone().requires_grad_()
    judge.loss(course, real, audio).backward()
    assert course.grad is not None
    better = made - 0.1 * course.grad / course.grad.abs().max()
    assert float(judge.loss(better, real, audio)) < float(judge.loss(made, real, audio))


def test_its_loss_trains_the_generator_alone() -> None:
    judge = adversary(realism=1.0, matching=1.0)
    real, made, audio = motions(4, seed=0)
    course, seen = made.clone().requires_grad_(), real.clone().requires_grad_()
    judge.loss(course, seen, audio).backward()
    assert course.grad is not None
    assert seen.grad is None
    assert all(p.grad is None and p.requires_grad for p in judge.discriminator.parameters())


def test_matching_is_nothing_for_the_motion_that_was_seen() -> None:
    judge = adversary(realism=0.0, matching=1.0)
    real, made, audio = motions(4, seed=0)
    assert float(judge.loss(real, real, audio)) == 0
    assert float(judge.loss(made, real, audio)) > 0.001


def test_at_a_rate_of_0_it_learns_nothing() -> None:
    judge = adversary()
    before = {name: value.clone() for name, value in judge.discriminator.state_dict().items()}
    real, made, audio = motions(4, seed=0)
    judge.train_step(made, real, audio, step=0, rate_scale=0.0)
    assert all(torch.equal(value, before[name]) for name, value in judge.discriminator.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcn", "lstm"])
def test_a_pair_is_resumed(tmp_path: Path, kind: str) -> None:
    whole = train_motion(network(kind), clips(), basis(), tmp_path / "whole", config=TRAINING)

    class StoppedError(Exception):
        pass

    def stop(report: TrainProgress) -> None:
        raise StoppedError

    parts = tmp_path / "parts"
    with pytest.raises(StoppedError):
        train_motion(
            network(kind), clips(), basis(), parts, config=TRAINING, progress=stop, clock=TickingClock()
        )
    kept = read_checkpoint(parts / STATE)
    assert 0 < kept.facts["step"] < 25
    resumed = train_motion(network(kind, seed=5), clips(), basis(), parts, config=TRAINING)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    ended, wanted = (read_checkpoint(folder / STATE) for folder in (parts, tmp_path / "whole"))
    judge, same = ended.part("adversary"), wanted.part("adversary")
    assert judge.keys() == same.keys()
    assert any(name.startswith("network.") for name in judge)
    assert any(name.startswith("optimizer.") for name in judge)
    assert all(torch.allclose(judge[name], same[name], atol=1e-6) for name in judge)


def test_the_adversary_counts(tmp_path: Path) -> None:
    def trained(pair: PairTraining | None) -> Tensor:
        name = "alone" if pair is None else f"{pair.loss.matching:g}"
        made = train_motion(network(), clips(), basis(), tmp_path / name, config=replace(TRAINING, pair=pair))
        return torch.cat([p.detach().flatten() for p in made.parameters()])

    alone = trained(None)
    # In float32, convolutions may round differently from one run to the next.
    torch.testing.assert_close(
        alone, trained(PairTraining(loss=AdversarialLoss(realism=0.0, matching=0.0))), rtol=0, atol=1e-5
    )
    assert not torch.allclose(alone, trained(PAIR), atol=1e-4)


def test_a_pair_is_not_resumed_from_a_training_alone(tmp_path: Path) -> None:
    train_motion(network(), clips(), basis(), tmp_path, config=replace(TRAINING, pair=None))
    with pytest.raises(InputError, match="another training"):
        train_motion(network(), clips(), basis(), tmp_path, config=TRAINING)
