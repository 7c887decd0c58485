"""Checks that a resumed training computes what an uninterrupted one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from newscaster.training.loop import Trainer


def take_steps(trainer: Trainer[Any], until: int, *, of: int) -> None:
    """Train until a step, as in a training of ``of`` steps."""
    while trainer.step < until:
        batch = trainer.task.batch(seed=trainer.seed, step=trainer.step)
        trainer.update(batch, trainer.step / of)


def resumed_equals_uninterrupted(make: Callable[[Path], Trainer[Any]], folder: Path, *, steps: int) -> None:
    """Train in one go, and in two; the networks, averages and adversaries must be equal.

    Args:
        make: returns a new trainer whose run is in a folder.
        folder: an empty one.
        steps: of the training; it is stopped in the middle.
    """
    names = ("uninterrupted", "stopped", "resumed")
    for name in names[:2]:
        (folder / name).mkdir()
    uninterrupted, stopped = make(folder / names[0]), make(folder / names[1])
    uninterrupted.initialize()
    before = {name: value.clone() for name, value in uninterrupted.task.network.state_dict().items()}
    take_steps(uninterrupted, steps, of=2 * steps)
    stopped.initialize()
    take_steps(stopped, steps // 2, of=2 * steps)
    stopped.budget.start(123.5)
    stopped.save()
    resumed = make(folder / names[1])
    assert round(resumed.resume(), 1) >= 123.5
    assert resumed.step == steps // 2
    take_steps(resumed, steps, of=2 * steps)
    expected, found = _tensors(uninterrupted), _tensors(resumed)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert any(not torch.equal(value, expected[f"network.{name}"]) for name, value in before.items())


def _tensors(trainer: Trainer[Any]) -> dict[str, torch.Tensor]:
    adversary = trainer.task.adversary
    parts = {
        "network": trainer.task.network.state_dict(),
        "average": trainer.average.state_dict(),
        "adversary": {} if adversary is None else adversary.optimizer.tensors(),
    }
    return {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}
