"""How the U-Net is trained: its start, its losses about the mouth.

What all renderers share is in :mod:`newscaster.models.renderer.crop_task`.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from newscaster.face.hidden_box import Box
from newscaster.face.landmark_map import CHANNELS
from newscaster.models.losses import reconstruction_loss
from newscaster.models.perceptual import Perceptual
from newscaster.models.renderer.crop_task import CropTask, RenderingTraining
from newscaster.models.renderer.data import Batch, RenderingData, mouth_box
from newscaster.models.renderer.losses import pixel_weights
from newscaster.models.renderer.network import Renderer, RendererConfig

_START_FRAMES = 6000
_START_BATCH = 16
_LIGHT, _COLOUR, _LIFT = 0.08, 0.025, 0.03
"""Standard deviations of gains, of colours' gains beside them, and of offsets, of other light."""


class RendererTask(CropTask):
    """The U-Net in training.

    Args:
        data: face crops and mouths, to train on and held out.
        config: the shape of the network.
        training: how it is trained.
        device: where it computes.
        seed: of the first weights.
    """

    kind = "renderer"
    network_class = Renderer
    network: Renderer

    def __init__(
        self,
        data: RenderingData,
        *,
        device: torch.device,
        seed: int,
        config: RendererConfig | None = None,
        training: RenderingTraining | None = None,
    ) -> None:
        config, training = config or RendererConfig(), training or RenderingTraining()
        map_side = config.map_side_for(data.side)
        super().__init__(data, training, device=device, seed=seed, map_side=map_side)
        self.network = self.build(lambda: Renderer(config, data.hidden))
        self.network.fill_with(self.mean_crop())
        self.optimizer = self.adamw(self.network.parameters())
        self._mouth = _inside(self.network.box, mouth_box(data.clips))
        perceptual = Perceptual.pretrained() if training.sharpening and training.loss.perceptual else None
        self.set_up_sharpening(maps=len(CHANNELS), perceptual=perceptual)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Fit the kernel regression to the frames, with and without random changes of light."""
        net = self.network
        if net.kernel is None:
            return
        numbers = self.frames.spread(_START_FRAMES)
        generator = torch.Generator().manual_seed(seed)
        maps, contexts, residuals, folds = [], [], [], []
        for first in range(0, len(numbers), _START_BATCH):
            batch = self.frames.batch(numbers[first : first + _START_BATCH])
            target, landmark_map = self._seen(batch)
            for images in (target, _in_other_light(target, generator)):
                map_part, context = net.kernel.pooled(landmark_map, net.surroundings(images))
                maps.append(map_part.cpu())
                contexts.append(context.cpu())
                residuals.append(net.kernel.elements((images - net.fill) * net.covered).half().cpu())
                folds.append(torch.from_numpy(batch.folds))
        fitted = copy.deepcopy(net.kernel).cpu()
        fitted.fit(torch.cat(maps), torch.cat(contexts), torch.cat(residuals), torch.cat(folds))
        net.kernel.load_state_dict(fitted.state_dict())

    # -- losses ----------------------------------------------------------------------------------------------

    def loss(self, batch: Batch, *, step: int, fraction: float) -> Tensor:
        """Return the reconstruction loss, plus the sharpening losses once their ramp has started."""
        net, weights, (target, landmark_map) = self.network, self.training.loss, self._seen(batch)
        (folds,) = self.to_device(batch.folds)
        with self.autocast():
            output = net.predict(target, landmark_map, folds).float()
        pixels = pixel_weights(net.covered, landmark_map[:, :1], weights)
        loss = reconstruction_loss(
            output, target, pixels, gradient=weights.gradient, temporal=weights.temporal
        )
        weight = self.sharp_weight(fraction)
        if weight > 0:
            loss = loss + weight * self._mouth_loss(output, target, landmark_map, step=step)
        return loss

    def _mouth_loss(self, output: Tensor, target: Tensor, landmark_map: Tensor, *, step: int) -> Tensor:
        """Detail, adversary and perceptual distance, about the mouth."""
        # Only hidden pixels are replaced: only those are judged.
        rendered = torch.where(self.network.covered, output, target)
        maps = functional.interpolate(landmark_map, size=target.shape[-2:], mode="bilinear")
        t, b, l, r = self._mouth  # noqa: E741
        rendered, target, maps = (x[..., t:b, l:r] for x in (rendered, target, maps))
        loss = self.sharp_loss(rendered, target, maps, step=step)
        if weight := self.training.loss.perceptual:
            loss = loss + weight * self.perceptual_loss(rendered, target)
        return loss

    def _seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The box of a batch's crops, varied, and of its landmark maps."""
        crops, landmark_maps, gain, offset = self.to_device(
            batch.crops, batch.landmark_maps, batch.gain, batch.offset
        )
        return self.network.cut(crops) * gain + offset, self.network.cut_map(landmark_maps)


def _in_other_light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply a random gain and offset to each of the images (B, 3, h, w)."""
    light, colour, lift = (
        torch.randn(len(images), channels, 1, 1, generator=generator).to(images.device)
        for channels in (1, 3, 1)
    )
    return images * (1 + _LIGHT * light + _COLOUR * colour) + _LIFT * lift


def _inside(box: Box, mouth: tuple[int, int, int, int]) -> Box:
    """The part of the box that shows the mouth, in pixels of the box, its sides multiples of 16."""
    sides = []
    for low, high, first, last in ((box.top, box.bottom, *mouth[:2]), (box.left, box.right, *mouth[2:])):
        room = high - low
        size = min(room, -(-(last - first) // 16) * 16)
        start = min(max(0, (first + last - size) // 2 - low), room - size)
        sides += [start, start + size]
    return Box(*sides)
