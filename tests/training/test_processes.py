"""Several processes compute what one does with batches of so many times the samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from newscaster.errors import OutputError
from newscaster.training.budget import StepBudget, TimeBudget
from newscaster.training.checkpoints import PROGRESS, STATE, WEIGHTS, read_checkpoint
from newscaster.training.loop import Intervals, Trainer, TrainProgress, TrainTask
from newscaster.training.optimization import Optimization
from newscaster.training.processes import (
    ALONE,
    WHOLE,
    BatchNorm2d,
    Dropout,
    Dropout1d,
    FirstProcessError,
    Processes,
    Shard,
    join_modules,
)
from small_tasks import TASKS
from threads_as_processes import in_processes
from ticking import TickingClock


def test_shards_are_equal_and_cover_all_rows() -> None:
    rows = list(range(12))
    assert [rows[Shard(i, 3).rows(12)] for i in range(3)] == [rows[:4], rows[4:8], rows[8:]]
    with pytest.raises(ValueError, match="13 rows are no multiple of 3"):
        Shard(0, 3).rows(13)


def test_random_numbers_are_rows_of_those_of_all() -> None:
    torch.manual_seed(1)
    whole = WHOLE.randn(torch.Size([6, 4, 3]))
    parts = []
    for index in range(3):
        torch.manual_seed(1)
        parts.append(Shard(index, 3).randn(torch.Size([2, 4, 3])))
    assert torch.equal(torch.cat(parts), whole)
    torch.manual_seed(1)
    assert torch.equal(whole, torch.randn(6, 4, 3)), "one process draws as before"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: Dropout(0.4), (8, 5, 7)),
        (lambda: Dropout1d(0.4), (8, 5, 7)),
        (lambda: BatchNorm2d(5), (8, 5, 3, 4)),
    ],
)
def test_layers_see_the_rows_of_all_processes(layer: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, slope = torch.randn(shape, dtype=torch.float64) * 3 + 2, torch.randn(shape, dtype=torch.float64)

    def applied(processes: Processes) -> list[Tensor]:
        module = layer().double()
        for number, parameter in enumerate(module.parameters()):
            nn.init.uniform_(parameter, 0.5 + number, 1 + number, torch.Generator().manual_seed(3))
        join_modules(module, processes)
        rows = processes.shard.rows(len(x))
        own = x[rows].clone().requires_grad_()
        torch.manual_seed(4)
        out = module(own)
        (out * slope[rows]).sum().backward()
        grads = [processes.mean(p.grad) * processes.shard.count for p in module.parameters()]
        buffers = [value.double() for value in module.buffers()]
        assert own.grad is not None
        return [out.detach(), own.grad, *grads, *buffers]

    expected = applied(ALONE)
    outcomes: list[Any] = in_processes(2, applied)
    for number, value in enumerate(expected):
        parts = [outcome[number] for outcome in outcomes]
        found = torch.cat(parts) if number < 2 else parts[0]
        assert number < 2 or torch.equal(parts[0], parts[1])
        torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_batches_are_rows_of_those_of_all(name: str) -> None:
    def arrays(processes: Processes, batch: int) -> list[np.ndarray]:
        task = TASKS[name](batch)
        task.processes = processes
        made = task.batch(seed=3, step=4)
        values = [*made.segments, *made.live] if name == "motion" else vars(made).values()
        return [np.asarray(value) for value in values]

    whole = arrays(ALONE, 8)
    first, second = (outcome for outcome in in_processes(2, lambda these: arrays(these, 4)))
    assert isinstance(first, list)
    assert isinstance(second, list)
    for number, (value, *parts) in enumerate(zip(whole, first, second, strict=True)):
        is_light = name == "base renderer" and number == 7  # (4, B, 3)
        np.testing.assert_array_equal(np.concatenate(parts, axis=1 if is_light else 0), value)


def trained(
    name: str, batch: int, steps: int, folder: Path, processes: Processes = ALONE
) -> tuple[list[float], list[Tensor]]:
    """Return losses of a training's next steps, of 20, and its averaged weights; leave a state behind."""
    task = TASKS[name](batch)
    trainer = Trainer(task, folder, budget=StepBudget(20), seed=5, processes=processes)
    if (folder / STATE).is_file():
        trainer.resume()
    else:
        trainer.initialize()
    losses = []
    while trainer.step < steps:
        losses.append(
            float(trainer.update(task.batch(seed=trainer.seed, step=trainer.step), trainer.step / 20))
        )
    processes.first(trainer.save)
    return losses, list(trainer.average.state_dict().values())


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute all in float64: rounding then does not decide on which side of a kink (ReLU, L1) a value is."""
    from_numpy = torch.from_numpy
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(
        torch,
        "from_numpy",
        lambda array: from_numpy(array).double() if array.dtype.kind == "f" else from_numpy(array),
    )
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        pytest.param("motion", 12, marks=pytest.mark.slow),
        pytest.param("renderer", 6, marks=pytest.mark.slow),
        pytest.param("base renderer", 3, marks=pytest.mark.slow),
    ],
)
def test_losses_are_those_of_one_process_with_the_doubled_batch(
    name: str, steps: int, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    expected, weights = trained(name, 8, steps, tmp_path / "one")
    outcomes: list[Any] = in_processes(2, lambda these: trained(name, 4, steps, tmp_path / "two", these))
    (losses, average), (same, others) = outcomes
    assert losses == same
    assert all(torch.equal(a, b) for a, b in zip(average, others, strict=True))
    assert losses == pytest.approx(expected, abs=1e-9)
    assert len(set(losses)) == steps
    assert torch.float32 not in {value.dtype for value in weights}
    for value, wanted in zip(average, weights, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-9)


class NoisyLine(TrainTask[Tensor]):
    """A line to fit; step 2 is spoilt in the second process."""

    kind = "line"
    metric_names = ("error",)

    def __init__(self, *, batch: int = 4, spoilt: bool = False) -> None:
        torch.manual_seed(3)
        self.network = nn.Sequential(nn.Linear(1, 4), Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0, momentum=0.5)
        self.optimization, self.intervals = Optimization(ema_decay=0.5), Intervals(report_seconds=0.5)
        self.samples_per_step, self.device, self.spoilt = batch, torch.device("cpu"), spoilt

    def identity(self) -> dict[str, Any]:
        return {"config": {"inputs": 1}}

    def initialize(self, seed: int) -> None:
        """The start of the first process is that of all."""
        assert self.processes.is_first
        nn.init.ones_(self.network[0].weight)

    def batch(self, *, seed: int, step: int) -> Tensor:
        shard, rng = self.processes.shard, np.random.default_rng((seed, step))
        rows = rng.normal(size=(self.samples_per_step * shard.count, 1)).astype(np.float32)
        return torch.from_numpy(rows[shard.rows(len(rows))])

    def learning_rate(self, step: int, fraction: float) -> float:
        return 0.1 * (1 - fraction)

    def loss(self, batch: Tensor, *, step: int, fraction: float) -> Tensor:
        error = (self.network(batch) - 2 * batch).pow(2).mean()
        return error * torch.nan if self.spoilt and step == 2 and not self.processes.is_first else error

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        return {"error": 1.0}


def run(
    folder: Path,
    processes: Processes = ALONE,
    *,
    steps: int = 8,
    of: int = 16,
    batch: int = 4,
    spoilt: bool = False,
) -> list[Tensor]:
    """Train some steps of a training in a folder; return its weights."""
    task = NoisyLine(batch=batch, spoilt=spoilt)
    trainer = Trainer(task, folder, budget=StepBudget(of, clock=TickingClock()), seed=1, processes=processes)
    if processes.first((folder / STATE).is_file):
        trainer.resume()
    else:
        trainer.initialize()
    while trainer.step < steps:
        trainer.update(task.batch(seed=trainer.seed, step=trainer.step), trainer.step / of)
    processes.first(trainer.save)
    return [*task.network.state_dict().values(), *trainer.average.state_dict().values()]


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 4)])
def test_a_training_is_resumed_by_another_number_of_processes(
    before: int, after: int, tmp_path: Path
) -> None:
    """With batches of eight altogether, it is the training that nothing interrupted."""
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    expected = run(tmp_path / "whole", steps=16, batch=8)
    for count, steps in ((before, 8), (after, 16)):
        outcomes: list[Any] = in_processes(
            count,
            lambda these, steps=steps, count=count: run(
                tmp_path / "parts", these, steps=steps, batch=8 // count
            ),
        )
    for outcome in outcomes:
        assert all(torch.equal(a, b) for a, b in zip(outcome, outcomes[0], strict=True))
        for value, wanted in zip(outcome, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-5)
    state = read_checkpoint(tmp_path / "parts" / STATE).facts
    assert state["processes"] == [[0, before], [8, after]]
    assert read_checkpoint(tmp_path / "whole" / STATE).facts["processes"] == [[0, 1]]


def test_a_step_that_is_not_finite_in_one_process_is_skipped_by_all(tmp_path: Path) -> None:
    def weights(steps: int) -> list[Any]:
        folder = tmp_path / str(steps)
        folder.mkdir()
        return in_processes(2, lambda these: run(folder, these, steps=steps, spoilt=True))

    (two, same), (three, others), (four, _) = weights(2), weights(3), weights(4)
    assert all(torch.equal(a, b) for a, b in zip(two, same, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(two, three, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(three, others, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(three, four, strict=True))


def test_the_clock_of_the_first_ends_the_training_and_it_alone_writes(tmp_path: Path) -> None:
    def work(processes: Processes) -> tuple[int, Any, list[TrainProgress]]:
        reports: list[TrainProgress] = []
        clock = TickingClock() if processes.is_first else (lambda: 0.0)  # the second has all the time
        folder = tmp_path / str(processes.shard.index)
        trainer = Trainer(
            NoisyLine(), folder, budget=TimeBudget(0.05, clock=clock), seed=1, processes=processes
        )
        trainer.run(progress=reports.append)
        return trainer.step, trainer.metrics, reports

    (steps, metrics, reports), (same, others, none) = in_processes(2, work)  # type: ignore[misc]
    assert steps == same > 3
    assert metrics == others == {"error": 1.0}
    assert reports[-1].step == steps
    assert none == []
    assert {p.name for p in (tmp_path / "0").iterdir()} == {STATE, WEIGHTS, PROGRESS}
    assert not (tmp_path / "1").exists()


def test_an_error_of_the_first_ends_all(tmp_path: Path) -> None:
    def full(report: TrainProgress) -> None:
        raise OutputError("the disk is full")

    def work(processes: Processes) -> None:
        budget = StepBudget(50, clock=TickingClock())
        trainer = Trainer(NoisyLine(), tmp_path, budget=budget, seed=1, processes=processes)
        trainer.run(progress=full)

    first, second = in_processes(2, work)
    assert type(first) is OutputError
    assert type(second) is FirstProcessError
    assert str(second) == "the disk is full"
