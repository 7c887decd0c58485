"""What all trainings on frames share: settings, device, seeds, sharpening losses, and a run of some minutes.

:class:`FrameTask` is the base of the renderers' tasks and of the full-frame network's. They bring network,
data and metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from newscaster.models.discriminators import PatchDiscriminator
from newscaster.models.losses import Sharpening, detail_loss, perceptual_loss
from newscaster.models.perceptual import Perceptual
from newscaster.training.adversarial import Adversary
from newscaster.training.budget import Clock, TimeBudget, learning_rate
from newscaster.training.checkpoints import WEIGHTS, Network
from newscaster.training.loop import Batch, Intervals, OnReport, Trainer, TrainTask
from newscaster.training.optimization import Optimization
from newscaster.training.precision import autocast, fast_precision
from newscaster.training.processes import ALONE, Processes
from newscaster.training.seeds import seeded


@dataclass(frozen=True, kw_only=True)
class FrameTraining:
    """How a network that makes frames is trained."""

    learning_rate: float = 2e-3
    """Its peak; it follows the time budget."""
    warmup_steps: int = 100
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    optimization: Optimization = field(default_factory=Optimization)
    sharpening: Sharpening | None = field(default_factory=Sharpening)
    """Losses that ask for sharp frames; None: none of them."""
    intervals: Intervals = field(default_factory=Intervals)


class FrameTask(TrainTask[Batch]):
    """A network that makes frames, in training.

    Args:
        training: how it is trained.
        device: where it computes.
        seed: of the first weights.
        samples: frames per step, on a CPU and on a GPU.
    """

    training: FrameTraining
    _perceptual: Perceptual | None = None

    def __init__(
        self, training: FrameTraining, *, device: torch.device, seed: int, samples: tuple[int, int]
    ) -> None:
        self.device, self._seed, self.training = device, seed, training
        self.optimization, self.intervals = training.optimization, training.intervals
        self.samples_per_step = samples[0] if device.type == "cpu" else samples[1]
        self._precision = fast_precision(device)

    def build(self, make: Callable[[], Network]) -> Network:
        """Return a new network with seeded weights, on the device."""
        with seeded(self._seed):
            return self.place(make())

    def place(self, network: Network) -> Network:
        """Move a network to the device."""
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def adamw(self, parameters: Iterator[nn.Parameter] | list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return the optimizer of the network's parameters."""
        how = self.training
        return torch.optim.AdamW(
            parameters, lr=how.learning_rate, betas=(0.9, 0.99), weight_decay=how.weight_decay, fused=True
        )

    def set_up_sharpening(self, *, maps: int, perceptual: Perceptual | None) -> None:
        """Set up the losses that ask for sharp frames, if the training has them.

        Args:
            maps: channels of the maps that frames are made from.
            perceptual: the network of the perceptual loss; None: there is none.
        """
        if self.training.sharpening is not None:
            discriminator = self.build(lambda: PatchDiscriminator(maps))
            loss = self.training.sharpening.adversarial
            self.adversary = Adversary(discriminator, loss, device=self.device)
        self._perceptual = None if perceptual is None else self.place(perceptual)

    def learning_rate(self, step: int, fraction: float) -> float:
        """Warm-up, then cosine decay."""
        how = self.training
        return learning_rate(how.learning_rate, step=step, used=fraction, warmup_steps=how.warmup_steps)

    def autocast(self) -> torch.autocast:
        """Return a context in which networks compute in the device's fast precision."""
        return autocast(self.device, self._precision)

    def to_device(self, *arrays: npt.NDArray[Any]) -> Iterator[Tensor]:
        """Arrays as tensors on the device."""
        return (torch.from_numpy(array).to(self.device) for array in arrays)

    def sharp_weight(self, fraction: float) -> float:
        """Weight of :meth:`sharp_loss` when this fraction of the budget is spent."""
        sharpening = self.training.sharpening
        return 0.0 if sharpening is None else sharpening.ramp.weight(fraction)

    def sharp_loss(self, made: Tensor, real: Tensor, maps: Tensor, *, step: int) -> Tensor:
        """Return the losses of detail and realism of frames (B, 3, h, w); train the adversary on the way."""
        assert self.adversary is not None
        assert self.training.sharpening is not None
        self.adversary.train_step(made, real, maps, step=step)
        detail = self.training.sharpening.detail * detail_loss(made, real)
        return detail + self.adversary.loss(made, real, maps)

    def perceptual_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """Return the perceptual distance of frames (B, 3, h, w)."""
        assert self._perceptual is not None
        with self.autocast():
            return perceptual_loss(self._perceptual, made, real)


@dataclass(frozen=True, kw_only=True)
class FrameRun:
    """A finished training."""

    weights: Path
    """The file of the network's weights."""
    images_per_second: float
    """Of the whole training, runs before an interruption included."""
    steps: int
    minutes: float


def train_frames(
    task: FrameTask[Any],
    folder: Path,
    *,
    minutes: float,
    seed: int,
    resume: bool = True,
    progress: OnReport | None = None,
    clock: Clock = time.monotonic,
    processes: Processes = ALONE,
) -> tuple[Trainer[Any], FrameRun]:
    """Train a task for some minutes.

    Args:
        task: what is trained.
        folder: where weights, state, ``progress.csv`` and ``preview.png`` go; made if missing.
        minutes: the whole budget, time before an interruption included.
        seed: of the order of frames.
        resume: resume from the state in ``folder`` if there is one; otherwise start over and replace it.
        progress: called every few seconds with a report; what it raises ends the training.
        clock: returns seconds from some point in time on; for tests.
        processes: those that train it together; each calls this with equal arguments.

    Raises:
        InputError: the state in ``folder`` is damaged or belongs to another network.
        OutputError: ``folder`` cannot be written.
    """
    budget = TimeBudget(minutes, clock=clock)
    trainer = Trainer(task, folder, budget=budget, seed=seed, processes=processes)
    trainer.run(resume=resume, progress=progress)
    used_seconds = budget.used_seconds
    samples = task.samples_per_step * processes.shard.count
    run = FrameRun(
        weights=folder / WEIGHTS,
        images_per_second=trainer.step * samples / max(used_seconds, 1e-6),
        steps=trainer.step,
        minutes=used_seconds / 60,
    )
    return trainer, run
