"""The loop that trains every model, on a network that learns a straight line."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from newscaster.errors import InputError, TrainingError
from newscaster.training import loop
from newscaster.training.budget import StepBudget
from newscaster.training.checkpoints import (
    PROGRESS,
    STATE,
    WEIGHTS,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from newscaster.training.loop import Intervals, Metrics, Trainer, TrainProgress, TrainTask
from newscaster.training.optimization import Optimization
from resuming import resumed_equals_uninterrupted, take_steps
from ticking import TickingClock


class LineTask(TrainTask[Tensor]):
    kind = "line"
    metric_names = ("error",)

    def __init__(
        self, *, spoilt: frozenset[int] = frozenset(), slope: float = 2.0, dropout: float = 0.0
    ) -> None:
        torch.manual_seed(3)
        self.network = nn.Sequential(nn.Linear(1, 1), nn.Dropout(dropout))
        self.optimizer = torch.optim.SGD(
            [{"params": [self.network[0].weight]}, {"params": [self.network[0].bias], "rate_scale": 0.5}],
            lr=1.0,
        )
        self.optimization = Optimization(ema_decay=0.5)
        self.intervals = Intervals(report_seconds=0.5, save_seconds=1, evaluate_seconds=2)
        self.samples_per_step, self.device = 8, torch.device("cpu")
        self.spoilt, self.slope = spoilt, slope

    def identity(self) -> dict[str, Any]:
        return {"config": {"inputs": 1}, "slope": self.slope}

    def batch(self, *, seed: int, step: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng((seed, step)).normal(size=(8, 1)).astype(np.float32))

    def learning_rate(self, step: int, fraction: float) -> float:
        return 0.1 * (1 - 0.5 * fraction)

    def loss(self, batch: Tensor, *, step: int, fraction: float) -> Tensor:
        error = (self.network(batch) - self.slope * batch).pow(2).mean()
        return error * torch.nan if step in self.spoilt else error

    def evaluate(self, network: nn.Module) -> Metrics:
        x = torch.linspace(-1, 1, 9)[:, None]
        with torch.no_grad():
            return {"error": float((network(x) - self.slope * x).abs().max())}


def trainer(task: LineTask, folder: Path, steps: int = 60, seed: int = 1) -> Trainer[Tensor]:
    return Trainer(task, folder, budget=StepBudget(steps, clock=TickingClock()), seed=seed)


def test_a_network_learns_and_leaves_its_files(tmp_path: Path) -> None:
    reports: list[TrainProgress] = []
    subject = trainer(LineTask(), tmp_path)
    subject.run(progress=reports.append)
    assert reports[-1].step == subject.step == 60
    assert reports[-1].fraction == 1
    assert reports[-1].minutes_left == 0
    assert reports[-1].loss < 0.2 * reports[0].loss
    assert subject.metrics == reports[-1].metrics
    error = subject.metrics["error"]
    assert error is not None
    assert error < 0.1
    assert not subject.average.training
    weights = read_checkpoint(tmp_path / WEIGHTS)
    assert weights.facts == {"kind": "line", "config": {"inputs": 1}, "step": 60, "error": error}
    assert all(torch.equal(weights.tensors[k], v) for k, v in subject.average.state_dict().items())
    with (tmp_path / PROGRESS).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [report.step for report in reports]
    assert all(float(row["samples_per_second"]) > 0 for row in rows)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_resumed_run_computes_what_an_uninterrupted_one_does(tmp_path: Path, dropout: float) -> None:
    resumed_equals_uninterrupted(lambda folder: trainer(LineTask(dropout=dropout), folder), tmp_path, steps=8)


def test_the_seed_of_others_is_left_alone(tmp_path: Path) -> None:
    subject = trainer(LineTask(dropout=0.5), tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    take_steps(subject, 3, of=10)
    assert torch.equal(torch.rand(1), expected)


def test_groups_have_their_own_share_of_the_rate(tmp_path: Path) -> None:
    task = LineTask()
    subject = trainer(task, tmp_path)
    for step, rates in ((1, [0.1, 0.05]), (2, [0.095, 0.0475])):
        take_steps(subject, step, of=10)
        assert [group["lr"] for group in task.optimizer.param_groups] == pytest.approx(rates)


def test_steps_that_are_not_finite_change_nothing(tmp_path: Path) -> None:
    subject = trainer(LineTask(spoilt=frozenset({2})), tmp_path)
    take_steps(subject, 2, of=10)
    before = {k: v.clone() for k, v in subject.task.network.state_dict().items()}
    average = {k: v.clone() for k, v in subject.average.state_dict().items()}
    take_steps(subject, 3, of=10)
    assert all(torch.equal(before[k], v) for k, v in subject.task.network.state_dict().items())
    assert all(torch.equal(average[k], v) for k, v in subject.average.state_dict().items())
    take_steps(subject, 4, of=10)
    assert any(not torch.equal(before[k], v) for k, v in subject.task.network.state_dict().items())


def test_too_many_of_them_end_the_training(tmp_path: Path) -> None:
    subject = trainer(LineTask(spoilt=frozenset(range(5, 60))), tmp_path)
    with pytest.raises(TrainingError, match="line diverged: the gradient was not finite 21 times"):
        subject.run()
    assert all(bool(torch.isfinite(v).all()) for v in read_checkpoint(tmp_path / WEIGHTS).tensors.values())


def test_a_run_without_any_finite_step_is_no_training(tmp_path: Path) -> None:
    """However short: else the weights that it began with would count as trained."""
    with pytest.raises(TrainingError, match="the gradient of none of 5 steps was finite"):
        trainer(LineTask(spoilt=frozenset(range(5))), tmp_path, steps=5).run()


@pytest.mark.parametrize("what", ["network", "average", "metric"])
def test_what_is_not_finite_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Weights, their average and figures: the last good files stay, and the next run goes on from them."""
    trainer(LineTask(), tmp_path, steps=3).run()
    subject = trainer(LineTask(), tmp_path, steps=30)
    update = subject.update

    def diverging(batch: Tensor, fraction: float) -> Tensor:
        loss = update(batch, fraction)
        if what == "metric":
            monkeypatch.setattr(subject.task, "evaluate", lambda _: {"error": math.nan})
        else:
            network = subject.average if what == "average" else subject.task.network
            with torch.no_grad():
                network[0].bias.fill_(torch.inf)
        return loss

    monkeypatch.setattr(subject, "update", diverging)
    with pytest.raises(TrainingError, match=r"line diverged: its .* at step .*Run the same command again"):
        subject.run()
    for name in (WEIGHTS, STATE):
        kept = read_checkpoint(tmp_path / name)
        assert all(bool(torch.isfinite(value).all()) for value in kept.tensors.values())
        assert "NaN" not in json.dumps(kept.facts)
    trainer(LineTask(), tmp_path, steps=60).run()
    assert read_checkpoint(tmp_path / STATE).facts["step"] == 60


@pytest.mark.parametrize("facts", [{"identity": []}, {"identity": None}, {"metrics": 3}, {"step": "x"}])
def test_a_state_of_other_facts_is_refused(tmp_path: Path, facts: dict[str, object]) -> None:
    trainer(LineTask(), tmp_path, steps=3).run()
    state = read_checkpoint(tmp_path / STATE)
    write_checkpoint(tmp_path / STATE, Checkpoint(state.tensors, {**state.facts, **facts}))
    with pytest.raises(InputError, match=r"cannot be resumed: .*Remove its folder"):
        trainer(LineTask(), tmp_path, steps=6).run()


def test_weights_are_written_before_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed between the two resumes from the older state, and replaces the weights."""
    written: list[str] = []
    write = loop.write_checkpoint

    def noted(path: Path, checkpoint: Any) -> None:
        written.append(path.name)
        write(path, checkpoint)

    monkeypatch.setattr(loop, "write_checkpoint", noted)
    trainer(LineTask(), tmp_path, steps=3).run()
    assert written == [WEIGHTS, STATE] * 2


@pytest.mark.parametrize("kind", ["slope", "line"])
def test_a_state_of_another_training_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    trainer(LineTask(), tmp_path, steps=3).run()
    before = (tmp_path / STATE).read_bytes()
    task = LineTask(slope=3.0) if kind == "slope" else LineTask()
    task.kind = "curve" if kind == "line" else task.kind  # type: ignore[misc]
    with pytest.raises(InputError, match=kind):
        trainer(task, tmp_path, steps=6).run()
    assert (tmp_path / STATE).read_bytes() == before
    trainer(task, tmp_path, steps=6).run(resume=False)
    assert json.loads(json.dumps(read_checkpoint(tmp_path / STATE).facts["step"])) == 6


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = trainer(LineTask(), tmp_path, steps=5)
    first.run()
    again = trainer(LineTask(), tmp_path, steps=5, seed=9)
    reports: list[TrainProgress] = []
    again.run(progress=reports.append)
    assert (again.step, again.metrics, again.seed) == (5, first.metrics, 1)
    assert reports == []


def test_a_large_state_is_written_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def saves(fraction: float) -> int:
        task = LineTask()
        task.intervals = Intervals(report_seconds=9, save_seconds=0.5, save_fraction=fraction)
        subject, count = trainer(task, tmp_path / str(fraction)), [0]
        save = subject.save

        def counted() -> None:
            count[0] += 1
            save()

        monkeypatch.setattr(subject, "save", counted)
        subject.run()
        return count[0]

    assert saves(0.01) == 3
    assert saves(1.0) > 6
