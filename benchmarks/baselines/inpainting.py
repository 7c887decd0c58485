"""Training the in-painter of ObamaNet on the renderer's footage, and within its budget.

The losses and the optimiser are those of pix2pix (arXiv 1611.07004): 100 L1 over the whole picture and the
verdict of a conditional PatchGAN, Adam, batches of one. Two things differ: the rate begins to fall at half of
the budget in place of half of the epochs, and there is no jitter, for within minutes hardly a picture comes
twice. The loop is :class:`newscaster.training.loop.Trainer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional

from baselines.inpainter_network import Inpainter, InpainterConfig, PatchDiscriminator
from newscaster.face.topology import RING
from newscaster.models.renderer.data import RenderingClip, RenderingData, frame_table
from newscaster.models.renderer.losses import psnr
from newscaster.training.adversarial import AdversarialLoss, Adversary, Criterion
from newscaster.training.budget import TimeBudget
from newscaster.training.checkpoints import Checkpoint, load_network
from newscaster.training.loop import Intervals, Metrics, OnReport, Trainer, TrainTask
from newscaster.training.onnx_export import export_network
from newscaster.training.optimization import Optimization
from newscaster.training.previews import write_comparison
from newscaster.training.seeds import seeded

ImageArray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Batch = tuple[ImageArray, ImageArray]
"""Regions (B, S, S, 3) and outlines (B, S, S)."""
_FINE = 4
_PREVIEW_FRAMES = 6
_CHECKING_BATCH = 16


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


CROSS_ENTROPY = Criterion(
    lambda real, generated: 0.5 * (_cross_entropy(real, 1.0) + _cross_entropy(generated, 0.0)),
    lambda generated: _cross_entropy(generated, 1.0),
)
"""As in pix2pix (arXiv 1611.07004)."""


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
    realism: float = 1.0
    """of the discriminator's logits; 0 trains without one."""
    check_frames: int = 400
    """Held-out frames that figures are taken on, evenly spread."""
    intervals: Intervals = field(default_factory=Intervals)
    optimization: Optimization = field(default_factory=lambda: Optimization(ema_decay=None, clip_norm=None))


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
        crops = np.stack([self._clips[clip].crops[frame] for clip, frame in rows])
        mouths = (self._clips[clip].points[frame] for clip, frame in rows)
        return crops, np.stack([draw_outline(mouth, crops.shape[1]) for mouth in mouths])

    def spread(self, count: int) -> npt.NDArray[np.int64]:
        """Numbers of at most ``count`` frames, evenly spread over all."""
        return np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(np.int64))


class InpainterTask(TrainTask[Batch]):
    """Both networks of pix2pix in training, on the CPU."""

    kind = "inpainter"
    metric_names = ("psnr",)
    network: Inpainter

    def __init__(
        self, data: RenderingData, *, config: InpainterConfig, how: InpaintingTraining, seed: int
    ) -> None:
        self.how, self.optimization, self.intervals = how, how.optimization, how.intervals
        self.samples_per_step, self.device = how.batch, torch.device("cpu")
        self.frames, self.held_out = Outlined(data.clips), Outlined(data.held_out)
        with seeded(seed):
            self.network, judge = Inpainter(config, data.hidden), PatchDiscriminator(config)
        self.optimizer = _adam(self.network.parameters(), how.learning_rate)
        if how.realism:
            self.adversary = Adversary(
                judge,
                AdversarialLoss(realism=how.realism, matching=0.0, learning_rate=how.learning_rate),
                device=self.device,
                criterion=CROSS_ENTROPY,
                optimizer=_adam(judge.parameters(), how.learning_rate),
                precise=True,
            )

    def identity(self) -> dict[str, Any]:
        """The network's shape."""
        return {"config": self.network.config.to_json()}

    def batch(self, *, seed: int, step: int) -> Batch:
        """Random frames."""
        return self.frames.random(self.how.batch, seed=seed, step=step)

    def learning_rate(self, step: int, fraction: float) -> float:
        """Constant, then linear to 0."""
        return self.how.learning_rate * _rate_scale(fraction)

    def loss(self, batch: Batch, *, step: int, fraction: float) -> Tensor:
        """L1 of colours, and the discriminator's cross entropy."""
        crops, outlines = (torch.from_numpy(array) for array in batch)
        condition = self.network.condition(crops, outlines)
        rendered = self.network.predict(condition)
        real = crops.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        loss = self.how.pixels * functional.l1_loss(rendered, real)
        if self.adversary is not None:
            scale = _rate_scale(fraction)
            self.adversary.train_step(rendered, real, condition, step=step, rate_scale=scale)
            loss = loss + self.adversary.loss(rendered, real, condition)
        return loss

    def render(self, network: nn.Module, numbers: npt.NDArray[np.int64]) -> tuple[ImageArray, ImageArray]:
        """Return held-out crops, and what a network makes of them."""
        crops, outlines = self.held_out.batch(numbers)
        with torch.inference_mode():
            rendered = network(torch.from_numpy(crops), torch.from_numpy(outlines))
        return crops, rendered.numpy()

    def evaluate(self, network: nn.Module) -> Metrics:
        """PSNR inside the mask over all checked frames together, dB."""
        squared, count, hidden = 0.0, 0, self.network.hidden.numpy()
        checked = self.held_out.spread(self.how.check_frames)
        for start in range(0, len(checked), _CHECKING_BATCH):
            crops, rendered = self.render(network, checked[start : start + _CHECKING_BATCH])
            difference = rendered[:, hidden].astype(np.float64) - crops[:, hidden]
            squared, count = squared + float((difference**2).sum()), count + difference.size
        return {"psnr": psnr(squared, count)}

    def preview(self, network: nn.Module, path: Path) -> None:
        """Fixed held-out frames, real above painted."""
        crops, rendered = self.render(network, self.held_out.spread(_PREVIEW_FRAMES))
        write_comparison(path, real=crops, rendered=rendered)


def _adam(parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999), fused=True)


def _rate_scale(fraction: float) -> float:
    return min(1.0, 2 * (1 - fraction))


def train_inpainter(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    resume: bool = True,
    seed: int = 0,
    progress: OnReport | None = None,
    config: InpainterConfig | None = None,
    training: InpaintingTraining | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Train an in-painter for some minutes, on the CPU; see ``models.renderer.training.train_renderer``.

    Raises:
        InputError: the state in ``folder`` is damaged or of another network.
        OutputError: ``folder`` cannot be written.
    """
    task = InpainterTask(
        data, config=config or InpainterConfig(), how=training or InpaintingTraining(), seed=seed
    )
    Trainer(task, folder, budget=TimeBudget(minutes, clock=clock), seed=seed).run(
        resume=resume, progress=progress
    )


def load_inpainter(folder: Path) -> Inpainter:
    """The network of a run's folder, in evaluation mode.

    Raises:
        InputError: its weights are missing, damaged, or not an in-painter's.
    """

    def build(stored: Checkpoint) -> Inpainter:
        config = InpainterConfig.from_json(stored.facts["config"])
        return Inpainter(config, stored.tensors["hidden"].numpy())

    return load_network(folder, build, kind="inpainter")[0]


def export_inpainter(network: Inpainter) -> bytes:
    """The in-painter as an ONNX network, checked: ``region`` and ``outline`` to ``rendered``, uint8."""
    side = network.side
    slope = np.linspace(40, 210, side)
    crop = np.broadcast_to(slope[:, None, None] * 0.5 + slope[None, :, None] * 0.5, (1, side, side, 3))
    outline = np.zeros((1, side, side), np.uint8)
    outline[:, side // 2, side // 4 : -side // 4] = 255
    return export_network(
        network,
        {"region": torch.from_numpy(crop.astype(np.uint8)), "outline": torch.from_numpy(outline)},
        names=["rendered"],
        dynamic={"region": {0: "B"}, "outline": {0: "B"}},
    )
