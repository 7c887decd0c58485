"""How a renderer is trained: its start, its losses, its metrics on held-out frames.

The loop is :class:`newscaster.training.loop.Trainer`; :mod:`newscaster.models.renderer.training` calls it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.grain import grain_between
from newscaster.face.landmark_map import CHANNELS
from newscaster.models.discriminators import PatchDiscriminator
from newscaster.models.losses import LUMA, Sharpening, detail_loss, perceptual_loss
from newscaster.models.perceptual import Perceptual
from newscaster.models.renderer.data import Batch, Frames, RenderingData, Variation, mouth_box
from newscaster.models.renderer.losses import LossWeights, pixel_weights, psnr, reconstruction_loss
from newscaster.models.renderer.network import Box, Renderer, RendererConfig
from newscaster.training.adversarial import AdversarialLoss, Adversary
from newscaster.training.budget import learning_rate
from newscaster.training.loop import Intervals, Metrics, Optimization, TrainTask
from newscaster.training.precision import autocast, fast_precision
from newscaster.training.previews import write_preview

GENTLE = Sharpening(detail=0.06, adversarial=AdversarialLoss(realism=0.008, matching=0.08))
"""With all of it 2.5 times as strong, its gradients left the error of pixels little to say: edges of the face
were torn."""
_PREVIEW_FRAMES = 6
_MEAN_FRAMES = 400
_START_FRAMES = 6000
_LIGHT, _COLOUR, _LIFT = 0.08, 0.025, 0.03
"""Standard deviations of gains, of colours' gains beside them, and of offsets, of other light."""
_CHECKING_BATCH = 16
_GRAIN_TRIPLES = 40


@dataclass(frozen=True, kw_only=True)
class RenderingTraining:
    """How a renderer is trained."""

    batch: int = 8
    """Frames per step, half of them following the others; within a few minutes, many small steps do more than
    few large ones."""
    gpu_batch: int = 32
    """The same on a GPU, which takes as long for a small step as for a large one."""
    learning_rate: float = 2e-3
    """Its peak; it follows the time budget."""
    warmup_steps: int = 100
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    optimization: Optimization = field(default_factory=Optimization)
    loss: LossWeights = field(default_factory=LossWeights)
    sharpening: Sharpening | None = GENTLE
    """What makes a mouth as sharp as the face around it, and costs some PSNR; None: nothing."""
    variation: Variation = field(default_factory=Variation)
    check_frames: int = 400
    """Held-out frames that figures are taken on, evenly spread."""
    intervals: Intervals = field(default_factory=Intervals)


class RendererTask(TrainTask[Batch]):
    """A renderer in training.

    Args:
        data: face crops and mouths, to train on and held out.
        config: the shape of the network.
        how: how it is trained.
        device: where it computes.
        seed: of the first weights.
    """

    kind = "renderer"
    metric_names = ("psnr", "grain")
    network: Renderer

    def __init__(
        self,
        data: RenderingData,
        *,
        config: RendererConfig,
        how: RenderingTraining,
        device: torch.device,
        seed: int,
    ) -> None:
        self.how, self.device = how, device
        self.optimization, self.intervals = how.optimization, how.intervals
        self.samples_per_step = how.batch if device.type == "cpu" else how.gpu_batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Renderer(config, data.hidden)
        map_side = network.map_side
        self.frames = Frames(data.clips, map_side=map_side, variation=how.variation)
        self.held_out = Frames(data.held_out, map_side=map_side)
        self.checked = self.held_out.spread(how.check_frames)
        self.hidden: npt.NDArray[np.bool_] = data.hidden
        network.fill_with(_mean_crop(self.frames))
        self.network = self._placed(network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=how.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=how.weight_decay,
            fused=True,
        )
        self._precision = fast_precision(device)
        self._mouth = _inside(network.box, mouth_box(data.clips))
        self._perceptual: Perceptual | None = None
        if how.sharpening:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                discriminator = self._placed(PatchDiscriminator(len(CHANNELS)))
            self.adversary = Adversary(discriminator, how.sharpening.adversarial, device=device)
            if how.loss.perceptual:
                self._perceptual = self._placed(Perceptual.pretrained())

    def _placed(self, network: nn.Module) -> Any:
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def identity(self) -> dict[str, Any]:
        """The network's shape, and the mask that it was trained for."""
        mask = hashlib.sha256(np.packbits(self.hidden).tobytes()).hexdigest()
        return {"config": self.network.config.to_json(), "mask": mask}

    def batch(self, *, seed: int, step: int) -> Batch:
        """Pairs of successive frames."""
        return self.frames.pairs(self.samples_per_step // 2, seed=seed, step=step)

    def learning_rate(self, step: int, fraction: float) -> float:
        """Warm-up, then cosine decay."""
        how = self.how
        return learning_rate(how.learning_rate, step=step, used=fraction, warmup_steps=how.warmup_steps)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Fit the kernel face to frames as they are, and once more in other light."""
        net = self.network
        if net.kernel is None:
            return
        numbers = self.frames.spread(_START_FRAMES)
        generator = torch.Generator().manual_seed(seed)
        maps, contexts, wanted, folds = [], [], [], []
        for first in range(0, len(numbers), _CHECKING_BATCH):
            batch = self.frames.batch(numbers[first : first + _CHECKING_BATCH])
            target, landmark_map = self._seen(batch)
            for seen in (target, _in_other_light(target, generator)):
                map_part, context = net.kernel.pooled(landmark_map, net.surroundings(seen))
                maps.append(map_part.cpu())
                contexts.append(context.cpu())
                wanted.append(net.kernel.elements((seen - net.fill) * net.covered).half().cpu())
                folds.append(torch.from_numpy(batch.folds))
        fitted = copy.deepcopy(net.kernel).cpu()
        fitted.fit(torch.cat(maps), torch.cat(contexts), torch.cat(wanted), torch.cat(folds))
        net.kernel.load_state_dict(fitted.state_dict())

    # -- losses ----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, *, step: int, fraction: float) -> Tensor:
        """Reconstruction, and from some time on what makes the mouth sharp."""
        net, how, (target, landmark_map) = self.network, self.how, self._seen(batch)
        with autocast(self.device, self._precision):
            output = net.predict(target, landmark_map, self._to_device(batch.folds)).float()
        pixels = pixel_weights(net.covered, landmark_map[:, :1], how.loss)
        loss = reconstruction_loss(output, target, pixels, how.loss)
        weight = how.sharpening.ramp.weight(fraction) if how.sharpening else 0.0
        if weight > 0:
            loss = loss + weight * self._sharp_loss(output, target, landmark_map, step=step)
        return loss

    def _sharp_loss(self, output: Tensor, target: Tensor, landmark_map: Tensor, *, step: int) -> Tensor:
        """Detail, adversary and perceptual distance, about the mouth."""
        sharpening, adversary = self.how.sharpening, self.adversary
        assert sharpening is not None
        assert adversary is not None
        # Only hidden pixels are replaced: only those are judged.
        rendered = torch.where(self.network.covered, output, target)
        maps = functional.interpolate(landmark_map, size=target.shape[-2:], mode="bilinear")
        t, b, l, r = self._mouth  # noqa: E741
        rendered, target, maps = (x[..., t:b, l:r] for x in (rendered, target, maps))
        adversary.train_step(rendered, target, maps, step=step)
        loss = sharpening.detail * detail_loss(rendered, target) + adversary.loss(rendered, target, maps)
        if self._perceptual is not None:
            with autocast(self.device, self._precision):
                loss = loss + self.how.loss.perceptual * perceptual_loss(self._perceptual, rendered, target)
        return loss

    def _seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The box of a batch's crops, varied, and of its landmark maps."""
        crops, landmark_maps, gain, offset = map(self._to_device, _arrays(batch))
        return self.network.cut(crops) * gain + offset, self.network.cut_map(landmark_maps)

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # -- held-out frames -------------------------------------------------------------------------------------

    def render(
        self, network: nn.Module, numbers: npt.NDArray[np.int64]
    ) -> tuple[Batch, npt.NDArray[np.uint8]]:
        """Return held-out frames by their numbers, and what a network makes of them, (B, S, S, 3)."""
        batch = self.held_out.batch(numbers)
        with torch.inference_mode(), autocast(self.device, self._precision):
            out = network(self._to_device(batch.crops), self._to_device(batch.landmark_maps))
        return batch, out.cpu().numpy()

    def evaluate(self, network: nn.Module) -> Metrics:
        """PSNR inside the mask over all checked frames, dB; strength of the grain that is missing."""
        squared, count = 0.0, 0
        for start in range(0, len(self.checked), _CHECKING_BATCH):
            batch, rendered = self.render(network, self.checked[start : start + _CHECKING_BATCH])
            difference = rendered[:, self.hidden].astype(np.float64) - batch.crops[:, self.hidden]
            squared, count = squared + float((difference**2).sum()), count + difference.size
        grain = missing_grain(lambda numbers: self.render(network, numbers), self.held_out, self.hidden)
        return {"psnr": psnr(squared, count), "grain": grain}

    def preview(self, network: nn.Module, path: Path) -> None:
        """Fixed held-out frames: what is seen, the landmark map, what is rendered, the real frame."""
        batch, rendered = self.render(network, self.held_out.openings(_PREVIEW_FRAMES))
        write_preview(
            path,
            crops=batch.crops,
            landmark_maps=batch.landmark_maps,
            rendered=rendered,
            hidden=self.hidden,
        )


def _in_other_light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, 3, h, w), each with a gain and an offset of its own."""
    light, colour, lift = (
        torch.randn(len(images), channels, 1, 1, generator=generator).to(images.device)
        for channels in (1, 3, 1)
    )
    return images * (1 + _LIGHT * light + _COLOUR * colour) + _LIFT * lift


def missing_grain(
    render: Callable[[npt.NDArray[np.int64]], tuple[Batch, npt.NDArray[np.uint8]]],
    frames: Frames,
    hidden: npt.NDArray[np.bool_],
) -> float:
    """Strength of the grain that frames have and painted ones lack, in levels.

    Args:
        render: what gives frames by their numbers, and what is painted in their place, (B, S, S, 3).
        frames: that were not learnt from.
        hidden: (S, S), the pixels that count.
    """
    triples = frames.triples(_GRAIN_TRIPLES)
    if not len(triples):
        return 0.0
    pixels = [
        [
            images[:, hidden].astype(np.float32) @ np.array(LUMA, np.float32)
            for images in (batch.crops, rendered)
        ]
        for batch, rendered in map(render, triples)
    ]
    real, made = (np.stack(brightness) for brightness in zip(*pixels, strict=True))
    return round(grain_between(made, real), 3)


def _arrays(batch: Batch) -> tuple[npt.NDArray[Any], ...]:
    return batch.crops, batch.landmark_maps, batch.gain, batch.offset


def _inside(box: Box, mouth: tuple[int, int, int, int]) -> Box:
    """The part of the box that shows the mouth, in pixels of the box, its sides multiples of 16."""
    sides = []
    for low, high, first, last in ((box.top, box.bottom, *mouth[:2]), (box.left, box.right, *mouth[2:])):
        room = high - low
        size = min(room, -(-(last - first) // 16) * 16)
        start = min(max(0, (first + last - size) // 2 - low), room - size)
        sides += [start, start + size]
    return Box(*sides)


def _mean_crop(frames: Frames) -> Tensor:
    numbers = frames.spread(_MEAN_FRAMES)
    total = sum(frames.batch(numbers[i : i + 1]).crops[0].astype(np.float64) for i in range(len(numbers)))
    return torch.from_numpy(np.asarray(total / len(numbers), np.float32))
