"""Training the in-painter of ObamaNet on the renderer's footage, and within its budget.

The losses and the optimiser are those of pix2pix (arXiv 1611.07004): 100 L1 over the whole picture and the
verdict of a conditional PatchGAN, Adam, batches of one. Two things differ: the rate begins to fall at half of
the budget in place of half of the epochs, and there is no jitter, for within minutes hardly a picture comes
twice. Leaves sittings, reports and figures over time to ``training.running``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from newscaster.errors import InputError
from newscaster.face.topology import RING
from newscaster.training.ahead import ahead
from newscaster.training.checkpoints import (
    STATE,
    WEIGHTS,
    Checkpoint,
    in_parts,
    make_run_folder,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from newscaster.training.export import export_network
from newscaster.training.networks.inpainter import Inpainter, InpainterConfig, PatchJudge
from newscaster.training.previews import write_comparison
from newscaster.training.rendering_data import RenderingClip, RenderingData, frame_table
from newscaster.training.rendering_losses import psnr
from newscaster.training.running import PREVIEW, LeftOutSteps, Pace, Progress, run_sitting
from newscaster.training.schedule import TimeBudget

ImageArray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Batch = tuple[ImageArray, ImageArray]
"""Regions (B, S, S, 3) and outlines (B, S, S)."""
_FINE = 4
_PREVIEW_FRAMES = 6
_CHECKING_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class InpaintingTraining:
    """How an in-painter is trained; what is not said otherwise is as in pix2pix."""

    batch: int = 1
    """Frames per step."""
    learning_rate: float = 2e-4
    """Of both networks, in the first half of the budget; then it falls to 0 in a straight line. With 1e-3 and
    batches of 4 it was ahead by half a dB for a minute, and then the discriminator spoilt its pictures."""
    pixels: float = 100.0
    """Weight of the L1 error of colours of -1 to 1, and"""
    verdict: float = 1.0
    """of what the discriminator says; 0 trains without one."""
    check_frames: int = 400
    """Held-out frames that figures are taken on, evenly spread."""
    report_seconds: float = 5.0
    """Time between two reports of progress."""
    save_seconds: float = 20.0
    """Time between two writings of the state."""
    preview_seconds: float = 120.0
    """Time between two preview pictures, each with its figures on held-out frames."""


def draw_outline(points: Floats, side: int) -> ImageArray:
    """The borders of the lips of one mouth (57, 2) in region pixels, as lines 1 pixel wide: (side, side)."""
    image = Image.new("L", (side * _FINE,) * 2, 0)
    draw = ImageDraw.Draw(image)
    for ring in (points[:RING], points[RING : 2 * RING]):
        # Pillow's pixel centres lie at integers when it draws, ours at halves.
        corners = [(float(x) * _FINE - 0.5, float(y) * _FINE - 0.5) for x, y in (*ring, ring[0])]
        draw.line(corners, fill=255, width=_FINE, joint="curve")
    return np.asarray(image.reduce(_FINE))


class Outlined:
    """All frames of some clips with their outlines, by batches."""

    def __init__(self, clips: Sequence[RenderingClip]) -> None:
        self._clips, self._table = clips, frame_table(clips)

    def __len__(self) -> int:
        return len(self._table)

    def random(self, size: int, *, seed: int, step: int) -> Batch:
        """The batch that belongs to a step."""
        return self.batch(np.random.default_rng((seed, step)).integers(len(self), size=size))

    def batch(self, numbers: npt.NDArray[np.int64]) -> Batch:
        """Frames by their numbers, 0 to ``len(self) - 1``."""
        rows = self._table[numbers]
        regions = np.stack([self._clips[clip].regions[frame] for clip, frame in rows])
        mouths = (self._clips[clip].points[frame] for clip, frame in rows)
        return regions, np.stack([draw_outline(mouth, regions.shape[1]) for mouth in mouths])

    def spread(self, count: int) -> npt.NDArray[np.int64]:
        """Numbers of at most ``count`` frames, evenly spread over all."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64))


class InpaintingTrainer:
    """One training: both networks, their optimisers, and the step that they have come to."""

    def __init__(
        self,
        data: RenderingData,
        folder: Path,
        *,
        config: InpainterConfig,
        how: InpaintingTraining,
        seed: int,
    ) -> None:
        self.folder, self.how, self.seed = folder, how, seed
        self.frames, self.held_out = Outlined(data.clips), Outlined(data.held_out)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network, self.judge = Inpainter(config, data.hidden), PatchJudge(config)
        self.optimizer, self.judge_optimizer = (
            torch.optim.Adam(network.parameters(), lr=how.learning_rate, betas=(0.5, 0.999), fused=True)
            for network in (self.network, self.judge)
        )
        self.left_out = LeftOutSteps("the in-painter")
        self.step, self.psnr = 0, None  # type: int, float | None

    def save(self, used_seconds: float) -> None:
        """Write the state, then the weights that can be exported."""
        config = self.network.config.to_json()
        tensors = in_parts(
            network=self.network.state_dict(),
            judge=self.judge.state_dict(),
            optimizer=optimizer_tensors(self.optimizer),
            judge_optimizer=optimizer_tensors(self.judge_optimizer),
        )
        facts = {"step": self.step, "used_seconds": used_seconds, "seed": self.seed, "config": config}
        write_checkpoint(self.folder / STATE, Checkpoint(tensors, facts))
        facts = {"kind": "inpainter", "config": config, "step": self.step, "psnr": self.psnr}
        write_checkpoint(self.folder / WEIGHTS, Checkpoint(self.network.state_dict(), facts))

    def resume(self) -> float:
        """Take up the state in the folder; gives the seconds that were used."""
        state = read_checkpoint(self.folder / STATE)
        try:
            if InpainterConfig.from_json(state.facts["config"]) != self.network.config:
                raise ValueError(f"it is of a network of another shape: {state.facts['config']}")
            self.network.load_state_dict(state.part("network"))
            self.judge.load_state_dict(state.part("judge"))
            restore_optimizer(self.optimizer, state.part("optimizer"))
            restore_optimizer(self.judge_optimizer, state.part("judge_optimizer"))
            self.step, self.seed = int(state.facts["step"]), int(state.facts["seed"])
            return float(state.facts["used_seconds"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"'{self.folder / STATE}' cannot be resumed: {error}. Train without resuming, or into "
                f"another folder"
            ) from error

    def run(self, budget: TimeBudget, progress: Progress) -> None:
        """Train until the budget is spent; the state is saved on the way and at the end."""
        batch, frames = self.how.batch, self.frames
        run_sitting(
            self,
            lambda first: ahead(
                lambda step: frames.random(batch, seed=self.seed, step=step), first_step=first
            ),
            budget,
            progress,
        )

    @property
    def pace(self) -> Pace:
        """When what is done beside training."""
        how = self.how
        return Pace(
            images_per_step=how.batch,
            report_seconds=how.report_seconds,
            save_seconds=how.save_seconds,
            preview_seconds=how.preview_seconds,
        )

    def figures(self) -> dict[str, float | None]:
        """What the table of progress gets besides the columns that all have: nothing."""
        return {}

    def update(self, batch: Batch, used: float) -> Tensor:
        """One step of the discriminator and one of the in-painter; gives the latter's loss."""
        rate = self.how.learning_rate * min(1.0, 2 * (1 - used))
        for group in (*self.optimizer.param_groups, *self.judge_optimizer.param_groups):
            group["lr"] = rate
        self.network.train()
        # Dropout draws from a seed of the step's own, so that a resumed run goes on as it would have.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, self.step)))
            regions, outlines = (torch.from_numpy(array) for array in batch)
            condition = self.network.condition(regions, outlines)
            painted = self.network.predict(condition)
        real = regions.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        loss = self.how.pixels * functional.l1_loss(painted, real)
        if self.how.verdict:
            self._teach(condition, painted.detach(), real)
            self.judge.requires_grad_(False)
            loss = loss + self.how.verdict * _verdict(self.judge(condition, painted), real=True)
            self.judge.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if bool(torch.isfinite(loss)):
            self.optimizer.step()
        else:
            self.left_out.add(self.step)
        return loss.detach()

    def _teach(self, condition: Tensor, painted: Tensor, real: Tensor) -> None:
        said_real, said_painted = self.judge(condition, real), self.judge(condition, painted)
        loss = 0.5 * (_verdict(said_real, real=True) + _verdict(said_painted, real=False))
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.judge_optimizer.step()

    def render(self, numbers: npt.NDArray[np.int64]) -> tuple[ImageArray, ImageArray]:
        """Held-out regions, and what the network makes of them."""
        regions, outlines = self.held_out.batch(numbers)
        self.network.eval()
        with torch.inference_mode():
            painted = self.network(torch.from_numpy(regions), torch.from_numpy(outlines))
        return regions, painted.numpy()

    def check(self) -> float:
        """PSNR inside the mask over all checked frames together, dB."""
        squared, count, hidden = 0.0, 0, self.network.hidden.numpy()
        checked = self.held_out.spread(self.how.check_frames)
        for start in range(0, len(checked), _CHECKING_BATCH):
            regions, painted = self.render(checked[start : start + _CHECKING_BATCH])
            difference = painted[:, hidden].astype(np.float64) - regions[:, hidden]
            squared, count = squared + float((difference**2).sum()), count + difference.size
        self.psnr = psnr(squared, count)
        return self.psnr

    def preview(self) -> None:
        """Write the preview picture of fixed held-out frames."""
        regions, painted = self.render(self.held_out.spread(_PREVIEW_FRAMES))
        write_comparison(self.folder / PREVIEW, real=regions, painted=painted)


def train_inpainter(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    resume: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    config: InpainterConfig | None = None,
    training: InpaintingTraining | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train an in-painter for some minutes, on the CPU; see ``training.rendering.train_renderer``.

    Raises:
        InputError: the state in ``folder`` is damaged or of another network.
        OutputError: ``folder`` cannot be written.
    """
    make_run_folder(folder)
    trainer = InpaintingTrainer(
        data, folder, config=config or InpainterConfig(), how=training or InpaintingTraining(), seed=seed
    )
    used_seconds = trainer.resume() if resume and (folder / STATE).is_file() else 0.0
    budget = TimeBudget(minutes, used_seconds=used_seconds, clock=clock)
    trainer.run(budget, progress or (lambda report: None))


def load_inpainter(folder: Path) -> Inpainter:
    """The network of a run's folder, in evaluation mode.

    Raises:
        InputError: its weights are missing, damaged, or not an in-painter's.
    """
    weights = read_checkpoint(folder / WEIGHTS)
    try:
        if weights.facts.get("kind") != "inpainter":
            raise ValueError(f"it holds a {weights.facts.get('kind')!r}")
        network = Inpainter(
            InpainterConfig.from_json(weights.facts["config"]), weights.tensors["hidden"].numpy()
        )
        network.load_state_dict(dict(weights.tensors))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"'{folder / WEIGHTS}' does not hold an in-painter's weights: {error}. Train anew"
        ) from error
    return network.eval()


def export_inpainter(network: Inpainter) -> bytes:
    """The in-painter as an ONNX network, checked: ``region`` and ``outline`` to ``rendered``, uint8."""
    side = network.side
    slope = np.linspace(40, 210, side)
    region = np.broadcast_to(slope[:, None, None] * 0.5 + slope[None, :, None] * 0.5, (1, side, side, 3))
    outline = np.zeros((1, side, side), np.uint8)
    outline[:, side // 2, side // 4 : -side // 4] = 255
    return export_network(
        network,
        {"region": torch.from_numpy(region.astype(np.uint8)), "outline": torch.from_numpy(outline)},
        names=["rendered"],
        dynamic={"region": {0: "B"}, "outline": {0: "B"}},
    )


def _verdict(said: Tensor, *, real: bool) -> Tensor:
    wanted = torch.ones_like(said) if real else torch.zeros_like(said)
    return functional.binary_cross_entropy_with_logits(said, wanted)
