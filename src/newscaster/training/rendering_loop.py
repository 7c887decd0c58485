"""The loop that trains a renderer: steps, the state on disk, figures and pictures on the way.

About every minute the state is written, and the next sitting goes on from there. What is kept is a moving
average of the weights. Who calls it, and what becomes of the weights, is in ``training.rendering``.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from newscaster.errors import InputError
from newscaster.training.checkpoints import (
    PROGRESS,
    STATE,
    WEIGHTS,
    Checkpoint,
    ProgressTable,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from newscaster.training.devices import precision_on
from newscaster.training.networks.renderer import Renderer, RendererConfig
from newscaster.training.previews import write_preview
from newscaster.training.rendering_data import Batch, Frames, RenderingData, Variation, ahead
from newscaster.training.rendering_losses import LossWeights, pixel_weights, psnr, reconstruction_loss
from newscaster.training.schedule import TimeBudget, learning_rate

_LOG = logging.getLogger("newscaster.training")
PREVIEW = "preview.png"
_COLUMNS = ("step", "minutes", "loss", "images_per_second", "learning_rate", "psnr")
_PREVIEW_FRAMES = 6
_MEAN_FRAMES = 400
_CHECKING_BATCH = 16
_BAD_STEPS_ALLOWED = 20


@dataclass(frozen=True, kw_only=True)
class RenderingTraining:
    """How a renderer is trained."""

    batch: int = 8
    """Frames per step; within a few minutes, many small steps do more than few large ones."""
    learning_rate: float = 2e-3
    """Its peak; it follows the time budget."""
    warmup_steps: int = 100
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    average: float = 0.998
    """Decay per step of the moving average of the weights, once under way."""
    clip_norm: float = 1.0
    """Greatest norm of the gradient."""
    loss: LossWeights = field(default_factory=LossWeights)
    variation: Variation = field(default_factory=Variation)
    check_frames: int = 400
    """Held-out frames that figures are taken on, evenly spread."""
    report_seconds: float = 5.0
    """Time between two reports of progress."""
    save_seconds: float = 20.0
    """Time between two writings of the state."""
    preview_seconds: float = 120.0
    """Time between two preview pictures, each with its figures on held-out frames."""


@dataclass(frozen=True)
class RenderingProgress:
    """One report."""

    step: int
    loss: float
    """Mean over the steps since the last report."""
    images_per_second: float
    minutes_left: float
    psnr: float | None
    """On held-out frames inside the mask, dB, when last measured."""


Progress = Callable[[RenderingProgress], None]


class Trainer:
    """One training: network, average, optimizer, and the step that they have come to."""

    def __init__(
        self,
        data: RenderingData,
        folder: Path,
        *,
        config: RendererConfig,
        how: RenderingTraining,
        device: torch.device,
        seed: int,
    ) -> None:
        self.folder, self.how, self.device, self.seed = folder, how, device, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Renderer(config, data.hidden)
        map_side = network.map_side
        self.frames = Frames(data.clips, map_side=map_side, variation=how.variation)
        self.held_out = Frames(data.held_out, map_side=map_side)
        self.checked = self.held_out.spread(how.check_frames)
        network.fill_with(_mean_region(self.frames))
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=how.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=how.weight_decay,
            fused=True,
        )
        self.precision = precision_on(device)
        self.hidden: npt.NDArray[np.bool_] = data.hidden
        self.step, self.bad_steps, self.psnr = 0, 0, None  # type: int, int, float | None

    # -- state -----------------------------------------------------------------------------------------------

    def save(self, used_seconds: float) -> None:
        """Write the state, then the weights that can be exported."""
        config = self.network.config.to_json()
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in optimizer_tensors(self.optimizer).items()}
        facts = {"step": self.step, "used_seconds": used_seconds, "seed": self.seed, "config": config}
        write_checkpoint(self.folder / STATE, Checkpoint(tensors, facts))
        facts = {"kind": "renderer", "config": config, "step": self.step, "psnr": self.psnr}
        write_checkpoint(self.folder / WEIGHTS, Checkpoint(self.average.state_dict(), facts))

    def resume(self) -> float:
        """Take up the state in the folder; gives the seconds that were used."""
        path = self.folder / STATE
        state = read_checkpoint(path)
        try:
            if RendererConfig.from_json(state.facts["config"]) != self.network.config:
                raise ValueError(f"it is of a network of another shape: {state.facts['config']}")
            if not torch.equal(state.part("network")["hidden"], self.network.hidden.cpu()):
                raise ValueError("it is of another mask: the footage was prepared anew")
            self.network.load_state_dict(state.part("network"))
            self.average.load_state_dict(state.part("average"))
            restore_optimizer(self.optimizer, state.part("optimizer"))
            self.step, self.seed = int(state.facts["step"]), int(state.facts["seed"])
            return float(state.facts["used_seconds"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"'{path}' cannot be resumed: {error}. Train without resuming, or into another folder"
            ) from error

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self, budget: TimeBudget, progress: Progress) -> None:
        """Train until the budget is spent; the state is saved on the way and at the end."""
        if budget.used >= 1:
            return
        table = ProgressTable(self.folder / PROGRESS, _COLUMNS, resume_step=self.step)
        reporter = _Reporter(self, budget, table, progress)
        self.network.train()
        batches = ahead(
            lambda step: self.frames.random(self.how.batch, seed=self.seed, step=step), first_step=self.step
        )
        with closing(batches):  # type: ignore[type-var]
            while budget.used < 1:
                loss = self.update(next(batches), budget.used)
                self.step += 1
                reporter.after_step(loss)
        reporter.finish()

    def update(self, batch: Batch, used: float) -> Tensor:
        """One step on a batch, when the share ``used`` of the budget is spent; gives its loss."""
        how = self.how
        rate = learning_rate(how.learning_rate, step=self.step, used=used, warmup_steps=how.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), how.clip_norm)
        if not bool(torch.isfinite(norm)):
            self._skip()
            return loss.detach()
        self.optimizer.step()
        share = 1 - min(how.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(_floats(self.average), _floats(self.network), strict=True)
            for average, value in pairs:
                average.lerp_(value, share)
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        net, (regions, face_maps, gain, offset) = self.network, map(self._to_device, _arrays(batch))
        target = net.cut(regions) * gain + offset
        face_map = net.cut_map(face_maps)
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None):
            output = net.predict(target, face_map)
        pixels = pixel_weights(net.covered, face_map[:, :1], self.how.loss)
        return reconstruction_loss(output.float(), target, pixels, self.how.loss)

    def _skip(self) -> None:
        self.bad_steps += 1
        if self.bad_steps > _BAD_STEPS_ALLOWED:
            raise FloatingPointError(
                f"the training of the renderer has come to values that are not finite {self.bad_steps} times"
            )
        _LOG.warning("step %d of the renderer is left out: its gradient is not finite", self.step)

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # -- held-out frames -------------------------------------------------------------------------------------

    def render(self, numbers: npt.NDArray[np.int64]) -> tuple[Batch, npt.NDArray[np.uint8]]:
        """Held-out frames and what the averaged network makes of them."""
        batch = self.held_out.batch(numbers)
        self.average.eval()
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision is not None),
        ):
            out = self.average(self._to_device(batch.regions), self._to_device(batch.face_maps))
        return batch, out.cpu().numpy()

    def check(self) -> float:
        """PSNR inside the mask over all checked frames together, dB."""
        squared, count = 0.0, 0
        for start in range(0, len(self.checked), _CHECKING_BATCH):
            batch, rendered = self.render(self.checked[start : start + _CHECKING_BATCH])
            difference = rendered[:, self.hidden].astype(np.float64) - batch.regions[:, self.hidden]
            squared, count = squared + float((difference**2).sum()), count + difference.size
        self.psnr = psnr(squared, count)
        return self.psnr

    def preview(self) -> None:
        """Write the preview picture of fixed held-out frames."""
        batch, rendered = self.render(self.held_out.openings(_PREVIEW_FRAMES))
        write_preview(
            self.folder / PREVIEW,
            regions=batch.regions,
            face_maps=batch.face_maps,
            rendered=rendered,
            hidden=self.hidden,
        )


class _Reporter:
    """Decides when to report, to save and to check, and does it."""

    def __init__(
        self, trainer: Trainer, budget: TimeBudget, table: ProgressTable, progress: Progress
    ) -> None:
        self._trainer, self._budget, self._table, self._progress = trainer, budget, table, progress
        now = budget.used_seconds
        self._reported = self._saved = self._checked = now
        self._losses: list[Tensor] = []

    def after_step(self, loss: Tensor) -> None:
        """Called after every step, with its loss."""
        self._losses.append(loss)
        how, now = self._trainer.how, self._budget.used_seconds
        if now - self._checked >= how.preview_seconds:
            self._trainer.check()
            self._trainer.preview()
            self._report()
            self._checked = self._reported = self._budget.used_seconds
        elif now - self._reported >= how.report_seconds:
            self._report()
            self._reported = now
        if now - self._saved >= how.save_seconds:
            self._trainer.save(self._budget.used_seconds)
            self._saved = self._budget.used_seconds

    def finish(self) -> None:
        """The last figures, the last picture, the last state."""
        self._trainer.check()
        self._trainer.preview()
        self._report()
        self._trainer.save(self._budget.used_seconds)

    def _report(self) -> None:
        trainer, used = self._trainer, self._budget.used_seconds
        if not self._losses:
            return
        loss = float(torch.stack(self._losses).mean())
        speed = len(self._losses) * trainer.how.batch / max(used - self._reported, 1e-6)
        self._losses.clear()
        self._table.add(
            step=trainer.step,
            minutes=used / 60,
            loss=loss,
            images_per_second=speed,
            learning_rate=float(trainer.optimizer.param_groups[0]["lr"]),
            psnr=trainer.psnr,
        )
        left = self._budget.minutes_left
        self._progress(RenderingProgress(trainer.step, loss, speed, left, trainer.psnr))


def _floats(network: Renderer) -> list[Tensor]:
    """Everything that is averaged: parameters, and the statistics of batch normalisation."""
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def _arrays(batch: Batch) -> tuple[npt.NDArray[Any], ...]:
    return batch.regions, batch.face_maps, batch.gain, batch.offset


def _mean_region(frames: Frames) -> Tensor:
    numbers = frames.spread(_MEAN_FRAMES)
    total = sum(frames.batch(numbers[i : i + 1]).regions[0].astype(np.float64) for i in range(len(numbers)))
    return torch.from_numpy(np.asarray(total / len(numbers), np.float32))
