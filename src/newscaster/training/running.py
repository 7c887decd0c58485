"""How a training of pictures runs, whatever is trained: where it computes, one sitting, what is told of it.

Knows budgets, reports, when the state is written, and the moving average of weights. Leaves networks, losses
and batches to a :class:`Trained`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from newscaster.errors import InputError
from newscaster.texts import quoted
from newscaster.training.checkpoints import PROGRESS, ProgressTable
from newscaster.training.schedule import TimeBudget

_LOG = logging.getLogger("newscaster.training")
PREVIEW = "preview.png"
_BAD_STEPS_ALLOWED = 20
_COLUMNS = ("step", "minutes", "loss", "images_per_second", "learning_rate", "psnr")
Device = Literal["auto", "cpu", "cuda"]
Batch = TypeVar("Batch")
BatchIn = TypeVar("BatchIn", contravariant=True)


@dataclass(frozen=True)
class RenderingProgress:
    """One report."""

    step: int
    loss: float
    """Mean over the steps since the last report."""
    images_per_second: float
    minutes_left: float
    psnr: float | None
    """On held-out frames, dB, when last measured."""


Progress = Callable[[RenderingProgress], None]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """When what is done beside training."""

    images_per_step: int
    report_seconds: float
    """Time between two reports of progress."""
    save_seconds: float
    """Time between two writings of the state."""
    preview_seconds: float
    """Time between two preview pictures, each with its figures on held-out frames."""
    save_share: float = 1.0
    """Of all time, what writing the state may take at most: a large state is written more seldom."""


class Trained(Protocol[BatchIn]):
    """What :func:`run_sitting` drives."""

    folder: Path
    step: int

    @property
    def psnr(self) -> float | None:
        """On held-out frames, dB, when last measured."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Its first group's learning rate is reported."""

    @property
    def pace(self) -> Pace:
        """When what is done beside training."""

    def figures(self) -> dict[str, float | None]:
        """What the table of progress gets besides the columns that all have."""

    def update(self, batch: BatchIn, used: float) -> Tensor:
        """One step, when the share ``used`` of the budget is spent; gives its loss."""

    def check(self) -> object:
        """Take figures on held-out frames."""

    def preview(self) -> None:
        """Write the preview picture."""

    def save(self, used_seconds: float) -> None:
        """Write the state and the weights."""


def run_sitting(
    trained: Trained[Batch],
    batches: Callable[[int], Iterator[Batch]],
    budget: TimeBudget,
    progress: Progress,
) -> None:
    """Train until the budget is spent; the state is saved on the way and at the end.

    ``batches`` gives the batches from a step on; they are closed at the end.
    """
    if budget.used >= 1:
        return
    columns = (*_COLUMNS, *trained.figures())
    table = ProgressTable(trained.folder / PROGRESS, columns, resume_step=trained.step)
    reporter = _Reporter(trained, budget, table, progress)
    with closing(batches(trained.step)) as ready:  # type: ignore[type-var]
        while budget.used < 1:
            loss = trained.update(next(ready), budget.used)
            trained.step += 1
            reporter.after_step(loss)
    reporter.finish()


class _Reporter:
    """Decides when to report, to save and to check, and does it."""

    def __init__(
        self, trained: Trained[Batch], budget: TimeBudget, table: ProgressTable, progress: Progress
    ) -> None:
        self._trained, self._budget, self._table, self._progress = trained, budget, table, progress
        now = budget.used_seconds
        self._reported = self._saved = self._checked = now
        self._save_after = trained.pace.save_seconds
        self._losses: list[Tensor] = []

    def after_step(self, loss: Tensor) -> None:
        """Called after every step, with its loss."""
        self._losses.append(loss)
        pace, now = self._trained.pace, self._budget.used_seconds
        if now - self._checked >= pace.preview_seconds:
            self._trained.check()
            self._trained.preview()
            self._report()
            self._checked = self._reported = self._budget.used_seconds
        elif now - self._reported >= pace.report_seconds:
            self._report()
            self._reported = now
        if now - self._saved >= self._save_after:
            self._save()

    def finish(self) -> None:
        """The last figures, the last picture, the last state."""
        self._trained.check()
        self._trained.preview()
        self._report()
        self._trained.save(self._budget.used_seconds)

    def _save(self) -> None:
        pace, before = self._trained.pace, self._budget.used_seconds
        self._trained.save(before)
        self._saved = self._budget.used_seconds
        self._save_after = max(pace.save_seconds, (self._saved - before) / pace.save_share)

    def _report(self) -> None:
        trained, used = self._trained, self._budget.used_seconds
        if not self._losses:
            return
        loss = float(torch.stack(self._losses).mean())
        speed = len(self._losses) * trained.pace.images_per_step / max(used - self._reported, 1e-6)
        self._losses.clear()
        self._table.add(
            step=trained.step,
            minutes=used / 60,
            loss=loss,
            images_per_second=speed,
            learning_rate=float(trained.optimizer.param_groups[0]["lr"]),
            psnr=trained.psnr,
            **trained.figures(),
        )
        left = self._budget.minutes_left
        self._progress(RenderingProgress(trained.step, loss, speed, left, trained.psnr))


class LeftOutSteps:
    """Counts the steps whose gradient was not finite; too many end the training."""

    def __init__(self, of: str) -> None:
        self._of, self._count = of, 0

    def add(self, step: int) -> None:
        """One more."""
        self._count += 1
        if self._count > _BAD_STEPS_ALLOWED:
            raise FloatingPointError(
                f"the training of {self._of} has come to values that are not finite {self._count} times"
            )
        _LOG.warning("step %d of %s is left out: its gradient is not finite", step, self._of)


def follow(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the averaged network on: its parameters, and the statistics of batch normalisation.

    ``decay`` per step once under way; at first the average is shorter, so that it forgets the first weights.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(_floats(average), _floats(network), strict=True):
            mean.lerp_(value, share)


def _floats(network: nn.Module) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def compute_device(name: Device) -> torch.device:
    """The device of this name; "auto" takes a GPU if PyTorch has one. InputError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', and PyTorch finds no GPU here; give 'cpu' or 'auto'")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device is {quoted(name)}; expected 'auto', 'cpu' or 'cuda'")
    return torch.device(name)


def fast_precision(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes it faster than float32; None: float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else None


def autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """A context in which networks compute in this precision; None: in float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not None)
