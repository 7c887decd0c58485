"""The training loop: one :class:`Trainer` for every model.

The trainer does what all trainings share: budget, learning rate, gradient clipping, steps that are not
finite, the moving average of the weights, reports, metrics, previews, checkpoints, resuming, and seeds. A
:class:`TrainTask` brings the network, its data, its losses and its metrics.

Policies, the same for all models:

- A batch and a step are functions of (seed, step) alone, so that a resumed run repeats an uninterrupted one.
- Weights are written before the state. A process killed between the two resumes from the older state.
- A run resumes only from its own kind of state; any other is refused with the reason.
- A step whose gradient is not finite changes nothing; too many of them end the training.

Several processes (:mod:`newscaster.training.processes`) train with batches of so many times the samples:

- Each makes its rows of every batch; gradients are averaged. N processes with batches of B compute what one
  computes with batches of N B, but for the rounding of sums. The learning rate is not changed.
- All begin with the weights of the first, take the same steps, and so keep equal weights and averages.
- The first alone reads and writes the folder, measures and reports. Its clock decides when the budget is
  spent, and its errors end all processes.
- A state does not depend on the number of processes, and is resumed with any other. Random numbers stay those
  of (seed, step), and the batches become those of the new number: larger or smaller. Streamed samples
  (:mod:`newscaster.training.shards`) go on at the start of a shard.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from newscaster.training.adversarial import Adversary
from newscaster.training.budget import Budget
from newscaster.training.checkpoints import (
    PROGRESS,
    STATE,
    WEIGHTS,
    Checkpoint,
    ProgressTable,
    in_parts,
    make_run_folder,
    read_checkpoint,
    resuming,
    write_checkpoint,
)
from newscaster.training.optimization import GuardedOptimizer, Optimization, diverged
from newscaster.training.prefetch import maker_processes, prefetch
from newscaster.training.processes import ALONE, Processes, Shard
from newscaster.training.seeds import seeded

PREVIEW = "preview.png"
_COLUMNS = ("step", "minutes", "loss", "samples_per_second", "learning_rate")
Batch = TypeVar("Batch")
Metrics = Mapping[str, float | None]
History = Sequence[tuple[int, int]]
"""Of a training: first steps, and how many processes trained from each on."""


@dataclass(frozen=True)
class TrainProgress:
    """One report of a training."""

    step: int
    fraction: float
    """Part of the budget that is spent, 0 to 1."""
    minutes_left: float
    loss: float
    """Mean over the steps since the last report."""
    samples_per_second: float
    """Samples that were trained on, per second since the last report."""
    metrics: Metrics
    """On held-out data, as last measured; empty before the first measurement."""


OnReport = Callable[[TrainProgress], None]


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """How often a training reports, evaluates and saves."""

    report_seconds: float = 5.0
    """Between two reports of progress."""
    save_seconds: float = 20.0
    """Between two checkpoints."""
    save_fraction: float = 1.0
    """Upper bound on the part of the time that checkpoints take: large ones are written less often."""
    evaluate_seconds: float = 120.0
    """Between two evaluations on held-out data, each with a preview image."""


class TrainTask(ABC, Generic[Batch]):
    """A model in training. Subclasses set the attributes in ``__init__``."""

    kind: ClassVar[str]
    """Stored in checkpoints: a run resumes only from its own kind."""
    metric_names: ClassVar[tuple[str, ...]] = ()
    """Keys of what :meth:`evaluate` returns."""
    network: nn.Module
    optimizer: torch.optim.Optimizer
    """A parameter group may hold ``rate_scale``, a factor of its learning rate."""
    adversary: Adversary | None = None
    optimization: Optimization
    intervals: Intervals
    samples_per_step: int
    """Of each process."""
    device: torch.device
    processes: Processes = ALONE
    """Those that train the network; set by the trainer."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Return what a state must agree with to be resumed, as JSON; ``config`` describes the network."""

    def initialize(self, seed: int) -> None:
        """Give the network a start that is computed from data; its time counts. By default none."""

    @abstractmethod
    def batch(self, *, seed: int, step: int) -> Batch:
        """Return this process's rows of the batch of one step: those of ``processes.shard``.

        It is called ahead of use, in another thread or process.
        """

    def batches(self, steps: Iterator[int], *, seed: int, maker: Shard, history: History) -> Iterable[Batch]:
        """Yield the batches of some steps; by default :meth:`batch`, which knows no other step.

        Args:
            steps: in their order; those of other makers are missing.
            seed: of the training.
            maker: which one this is of several in this process.
            history: how many processes took the steps before.
        """
        return (self.batch(seed=seed, step=step) for step in steps)

    @abstractmethod
    def learning_rate(self, step: int, fraction: float) -> float:
        """Return the learning rate of one step."""

    @abstractmethod
    def loss(self, batch: Batch, *, step: int, fraction: float) -> Tensor:
        """Return the loss of one step; trains the adversary on the way, if there is one."""

    def evaluate(self, network: nn.Module) -> Metrics:
        """Measure the (averaged) network on held-out data. By default nothing is measured."""
        return {}

    def preview(self, network: nn.Module, path: Path) -> None:
        """Write an image of the (averaged) network's output. By default none."""


class Trainer(Generic[Batch]):
    """Trains a task within a budget.

    Args:
        task: what is trained; its network starts from its present weights.
        folder: of the run; made if missing.
        budget: its clock starts with :meth:`run`.
        seed: of batches and dropout; a resumed run keeps its own.
        processes: those that run this training together. In all but the first, ``folder`` and ``budget``
            are not used.
    """

    def __init__(
        self,
        task: TrainTask[Batch],
        folder: Path,
        *,
        budget: Budget,
        seed: int,
        processes: Processes = ALONE,
    ) -> None:
        self.task, self.folder, self.budget, self.seed = task, folder, budget, seed
        self.step = 0
        self.history: list[tuple[int, int]] = []
        self.metrics: Metrics = {}
        self.processes = task.processes = processes
        self._reporter: _Reporter
        self._optimizer = GuardedOptimizer(
            task.network, task.optimizer, name=task.kind, how=task.optimization
        )
        self.average = self._optimizer.average
        for optimizer in self._optimizers:
            optimizer.join(processes)

    @property
    def _optimizers(self) -> list[GuardedOptimizer]:
        adversary = self.task.adversary
        return [self._optimizer, *([] if adversary is None else [adversary.optimizer])]

    def run(self, *, resume: bool = True, progress: OnReport | None = None) -> None:
        """Train until the budget is spent, from the state in the folder if there is one.

        Afterwards :attr:`average` holds the weights in evaluation mode, and :attr:`metrics` its figures.

        Args:
            resume: whether to go on from the state in the folder; otherwise it is replaced.
            progress: called with each report; what it raises ends the training.

        Raises:
            InputError: the state in the folder is damaged or belongs to another training.
            TrainingError: the training diverged; the last good state is kept.
            OutputError: the folder cannot be written.
            FirstProcessError: the first of several processes raised one of these.
        """
        first = self.processes.first
        first(lambda: make_run_folder(self.folder))
        if first(lambda: resume and (self.folder / STATE).is_file()):
            self.budget.start(self.resume())
        else:
            self.budget.start(0.0)
            self.initialize()
            first(self.save)
        if first(lambda: self.budget.fraction(self.step)) < 1:
            self._train(progress or (lambda report: None))
        elif not first(lambda: self.metrics):
            first(self.evaluate)
            first(self.save)
        self._check_finite()
        self.metrics = first(lambda: self.metrics)
        self.average.eval()

    def _train(self, progress: OnReport) -> None:
        task, first_step, first = self.task, self.step, self.processes.first
        first(lambda: self._start_reports(progress))
        seed, history = self.seed, tuple(self.history)
        batches = prefetch(
            lambda steps, maker: task.batches(steps, seed=seed, maker=maker, history=history),
            first_step=self.step,
            processes=first(lambda: maker_processes(task.device, trainings=self.processes.local_count)),
        )
        loss: Tensor | None = None
        with closing(batches) as ready:  # type: ignore[type-var]
            while (fraction := first(partial(self._fraction_after, loss))) < 1:
                loss = self.update(next(ready), fraction)
        if 0 < self.step - first_step == self._optimizer.skipped:
            raise diverged(task.kind, f"the gradient of none of {self.step - first_step} steps was finite")
        first(lambda: self._reporter.finish())

    def _start_reports(self, progress: OnReport) -> None:
        self._reporter = _Reporter(self, progress)

    def _fraction_after(self, loss: Tensor | None) -> float:
        """Report a step's loss; return the part of the budget that is spent."""
        if loss is not None:
            self._reporter.after_step(loss)
        return self.budget.fraction(self.step)

    def initialize(self) -> None:
        """Let the task compute its start, and start the average from it."""
        with seeded(self.seed, self.step):
            self.processes.first(lambda: self.task.initialize(self.seed))
        for optimizer in self._optimizers:
            optimizer.start()

    def update(self, batch: Batch, fraction: float) -> Tensor:
        """Take one step when ``fraction`` of the budget is spent; return its loss over all rows, detached."""
        task = self.task
        task.network.train()
        with seeded(self.seed, self.step):
            loss = task.loss(batch, step=self.step, fraction=fraction)
        rate = task.learning_rate(self.step, fraction)
        self._optimizer.minimize(loss, rate=rate, step=self.step)
        if not self.history or self.history[-1][1] != self.processes.shard.count:
            self.history.append((self.step, self.processes.shard.count))
        self.step += 1
        return self.processes.mean(loss.detach())

    def evaluate(self) -> None:
        """Measure the averaged network, and draw its preview."""
        self.average.eval()
        self.metrics = dict(self.task.evaluate(self.average))
        self.task.preview(self.average, self.folder / PREVIEW)

    def save(self) -> None:
        """Write the weights that can be used, then the state to resume from.

        Raises:
            TrainingError: they are not finite; the older files stay.
        """
        self._check_finite()
        task, identity = self.task, dict(self.task.identity())
        about = {"kind": task.kind, "config": identity["config"], "step": self.step, **self.metrics}
        write_checkpoint(self.folder / WEIGHTS, Checkpoint(self.average.state_dict(), about))
        adversary = {} if task.adversary is None else task.adversary.optimizer.tensors()
        tensors = in_parts(average=self.average.state_dict(), adversary=adversary) | self._optimizer.tensors()
        state: dict[str, Any] = {"kind": task.kind, "identity": identity, "metrics": self.metrics}
        state |= {"step": self.step, "seed": self.seed, "used_seconds": self.budget.used_seconds}
        state["processes"] = self.history
        write_checkpoint(self.folder / STATE, Checkpoint(tensors, state))

    def _check_finite(self) -> None:
        self._optimizer.check_finite(self.step)
        for name, metric in self.metrics.items():
            if metric is not None and not math.isfinite(metric):
                raise diverged(self.task.kind, f"its {name} is {metric} at step {self.step}")

    def resume(self) -> float:
        """Load the state in the folder; return the seconds that were used."""
        path, task = self.folder / STATE, self.task
        state = self.processes.first(lambda: read_checkpoint(path))
        with resuming(path):
            state.check_identity(task.kind, task.identity())
            self._optimizer.restore(state.tensors)
            self.average.load_state_dict(state.part("average"))
            if task.adversary is not None:
                task.adversary.optimizer.restore(state.part("adversary"))
            self.step, self.seed = int(state.facts["step"]), int(state.facts["seed"])
            self.metrics = dict(state.facts["metrics"])
            before = state.facts.get("processes", [[0, 1]] if self.step else [])  # of an older version: one
            self.history = [(int(first), int(count)) for first, count in before]
            return float(state.facts["used_seconds"])


class _Reporter:
    """Decides when a trainer reports, evaluates and saves."""

    def __init__(self, trainer: Trainer[Batch], progress: OnReport) -> None:
        self._trainer, self._progress = trainer, progress
        columns = (*_COLUMNS, *trainer.task.metric_names)
        self._table = ProgressTable(trainer.folder / PROGRESS, columns, resume_step=trainer.step)
        now = trainer.budget.used_seconds
        self._reported = self._saved = self._evaluated = now
        self._save_seconds = trainer.task.intervals.save_seconds
        self._losses: list[Tensor] = []

    def after_step(self, loss: Tensor) -> None:
        """Call after every step, with its loss."""
        self._losses.append(loss)
        intervals, now = self._trainer.task.intervals, self._trainer.budget.used_seconds
        if now - self._evaluated >= intervals.evaluate_seconds:
            self._trainer.evaluate()
            self._report()
            self._evaluated = self._reported = self._trainer.budget.used_seconds
        elif now - self._reported >= intervals.report_seconds:
            self._report()
            self._reported = now
        if now - self._saved >= self._save_seconds:
            self._save()

    def finish(self) -> None:
        """Evaluate, report and save for the last time."""
        self._trainer.evaluate()
        self._report()
        self._trainer.save()

    def _save(self) -> None:
        intervals, before = self._trainer.task.intervals, self._trainer.budget.used_seconds
        self._trainer.save()
        self._saved = self._trainer.budget.used_seconds
        self._save_seconds = max(intervals.save_seconds, (self._saved - before) / intervals.save_fraction)

    def _report(self) -> None:
        if not self._losses:
            return
        trainer, used = self._trainer, self._trainer.budget.used_seconds
        samples = len(self._losses) * trainer.task.samples_per_step * trainer.processes.shard.count
        report = TrainProgress(
            step=trainer.step,
            fraction=trainer.budget.fraction(trainer.step),
            minutes_left=trainer.budget.minutes_left(trainer.step),
            loss=float(torch.stack(self._losses).mean()),
            samples_per_second=samples / max(used - self._reported, 1e-6),
            metrics=trainer.metrics,
        )
        self._losses.clear()
        self._table.add(
            step=report.step,
            minutes=used / 60,
            loss=report.loss,
            samples_per_second=report.samples_per_second,
            learning_rate=float(trainer.task.optimizer.param_groups[0]["lr"]),
            **report.metrics,
        )
        self._progress(report)
