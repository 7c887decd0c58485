"""The opponent of a motion network, alone and in the loop that trains both."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from newscaster.face.mouth import MouthBasis
from newscaster.face.topology import MOUTH_POINTS
from newscaster.training import motion_loop
from newscaster.training.checkpoints import STATE, read_checkpoint
from newscaster.training.motion import MotionClip, MotionProgress, MotionTraining
from newscaster.training.motion_loop import train_motion
from newscaster.training.motion_opponent import MotionOpponent, PairTraining
from newscaster.training.networks.motion import (
    AnyMotion,
    MotionConfig,
    MotionNetwork,
    RecurrentConfig,
    RecurrentMotion,
)

WIDTH, SIZE = 4, 2
PAIR = PairTraining(verdict=0.01, matching=0.01)
TRAINING = MotionTraining(steps=30, batch=4, segment=16, learning_rate=5e-3, pair=PAIR)


def motions(count: int, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lively courses (B, T, K), the same oversmoothed, and a sound (B, T, D) that goes with both."""
    generator = torch.Generator().manual_seed(seed)
    lively = torch.randn(count, 24, SIZE, generator=generator)
    smooth = torch.nn.functional.avg_pool1d(lively.transpose(1, 2), 5, 1, 2).transpose(1, 2)
    return lively, smooth, torch.cat([smooth, smooth], dim=2)


def opponent(seed: int = 0, **values: float) -> MotionOpponent:
    real = motions(8, seed=100)[0]
    training = PairTraining(learning_rate=2e-3, **values)
    return MotionOpponent(list(real), inputs=WIDTH, training=training, seed=seed)


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


def test_it_learns_to_tell_made_motion_from_real_and_pulls_it_there() -> None:
    judge = opponent(verdict=1.0, matching=0.0)
    for step in range(25):
        real, made, sound = motions(8, seed=step)
        judge.teach(made, real, sound, pace=1.0)
    real, made, sound = motions(8, seed=99)
    assert float(judge.loss(made, real, sound)) > float(judge.loss(real, real, sound)) + 1
    course = made.clone().requires_grad_()
    judge.loss(course, real, sound).backward()
    assert course.grad is not None
    better = made - 0.1 * course.grad / course.grad.abs().max()
    assert float(judge.loss(better, real, sound)) < float(judge.loss(made, real, sound))


def test_what_it_says_teaches_the_generator_alone() -> None:
    judge = opponent(verdict=1.0, matching=1.0)
    real, made, sound = motions(4, seed=0)
    course, seen = made.clone().requires_grad_(), real.clone().requires_grad_()
    judge.loss(course, seen, sound).backward()
    assert course.grad is not None
    assert seen.grad is None
    assert all(p.grad is None and p.requires_grad for p in judge.network.parameters())


def test_matching_is_nothing_for_the_motion_that_was_seen() -> None:
    judge = opponent(verdict=0.0, matching=1.0)
    real, made, sound = motions(4, seed=0)
    assert float(judge.loss(real, real, sound)) == 0
    assert float(judge.loss(made, real, sound)) > 0.001


def test_without_pace_it_learns_nothing() -> None:
    judge = opponent()
    before = {name: value.clone() for name, value in judge.network.state_dict().items()}
    real, made, sound = motions(4, seed=0)
    judge.teach(made, real, sound, pace=0.0)
    assert all(torch.equal(value, before[name]) for name, value in judge.network.state_dict().items())


def test_what_was_stored_is_taken_up() -> None:
    one, other = opponent(), opponent(seed=7)
    real, made, sound = motions(4, seed=0)
    one.teach(made, real, sound, pace=1.0)
    other.restore({name: value.clone() for name, value in one.tensors().items()})
    for judge in (one, other):
        judge.teach(made, real, sound, pace=0.5)
    wanted, found = one.tensors(), other.tensors()
    assert wanted.keys() == found.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_its_first_weights_leave_the_generators_numbers_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    opponent()
    assert torch.equal(torch.rand(1), wanted)


def test_it_comes_in_gently() -> None:
    pair = PairTraining(start=0.4, over=0.2)
    assert [pair.share(done) for done in (0, 0.4, 0.5, 0.6, 1)] == pytest.approx([0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("kind", ["tcn", "lstm"])
def test_a_pair_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch, kind: str) -> None:
    whole = train_motion(network(kind), clips(), basis(), tmp_path / "whole", config=TRAINING)

    class StoppedError(Exception):
        pass

    clock = iter(range(0, 100_000, 15))
    monkeypatch.setattr(motion_loop.time, "monotonic", lambda: next(clock))

    def stop(report: MotionProgress) -> None:
        raise StoppedError

    parts = tmp_path / "parts"
    with pytest.raises(StoppedError):
        train_motion(network(kind), clips(), basis(), parts, config=TRAINING, progress=stop)
    kept = read_checkpoint(parts / STATE)
    assert 0 < kept.facts["step"] < 25
    resumed = train_motion(network(kind, seed=5), clips(), basis(), parts, config=TRAINING)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    ended, wanted = (read_checkpoint(folder / STATE) for folder in (parts, tmp_path / "whole"))
    judge, same = ended.part("opponent"), wanted.part("opponent")
    assert judge.keys() == same.keys()
    assert any(name.startswith("network.") for name in judge)
    assert any(name.startswith("optimizer.") for name in judge)
    assert all(torch.allclose(judge[name], same[name], atol=1e-6) for name in judge)


def test_the_opponent_has_a_say(tmp_path: Path) -> None:
    def trained(pair: PairTraining | None) -> Tensor:
        name = "alone" if pair is None else f"{pair.matching:g}"
        made = train_motion(network(), clips(), basis(), tmp_path / name, config=replace(TRAINING, pair=pair))
        return torch.cat([p.detach().flatten() for p in made.parameters()])

    alone = trained(None)
    # In float32, convolutions may round otherwise from one run to the next.
    torch.testing.assert_close(alone, trained(PairTraining(verdict=0.0, matching=0.0)), rtol=0, atol=1e-5)
    assert not torch.allclose(alone, trained(PAIR), atol=1e-4)


def test_a_pair_does_not_go_on_from_a_training_alone(tmp_path: Path) -> None:
    train_motion(network(), clips(), basis(), tmp_path, config=replace(TRAINING, pair=None))
    steps: list[int] = []
    train_motion(
        network(), clips(), basis(), tmp_path, config=TRAINING, progress=lambda r: steps.append(r.step)
    )
    assert steps == [25, 30]
    assert math.isclose(read_checkpoint(tmp_path / STATE).facts["training"]["pair"]["matching"], 0.01)
