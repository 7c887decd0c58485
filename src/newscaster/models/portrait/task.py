"""How a full-frame network is trained: its start, its losses, its metrics on held-out frames.

The loop is :class:`newscaster.training.loop.Trainer`; :mod:`newscaster.models.portrait.training` calls it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import InputError
from newscaster.face.full_face_map import CHANNELS
from newscaster.models.discriminators import PatchDiscriminator
from newscaster.models.losses import (
    FullFrameWeights,
    Sharpening,
    detail_loss,
    error_loss,
    perceptual_loss,
    pixel_weights,
)
from newscaster.models.perceptual import Perceptual
from newscaster.models.portrait.data import FullFrameData, PairBatch, Pairs, Sight
from newscaster.models.portrait.inference import evaluate, render_frames
from newscaster.models.portrait.initialization import start_from
from newscaster.models.portrait.network import FullFrame, FullFrameConfig
from newscaster.training.adversarial import Adversary
from newscaster.training.budget import learning_rate
from newscaster.training.loop import Intervals, Metrics, Optimization, TrainTask
from newscaster.training.precision import autocast, fast_precision
from newscaster.training.previews import write_comparison

KIND = "full frame"
_PREVIEW_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class FullFrameTraining:
    """How a full-frame network is trained."""

    pairs: int = 4
    """Pairs of successive frames per step."""
    gpu_pairs: int = 16
    """The same on a GPU, which takes as long for a small step as for a large one."""
    learning_rate: float = 1.5e-3
    """Its peak; it follows the time budget."""
    look_rate: float = 0.15
    """The learning rate of backdrops and textures, as a share of the others': they start as good pictures."""
    warmup_steps: int = 200
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    """Of all but backdrops and textures."""
    optimization: Optimization = field(default_factory=Optimization)
    look_sharpness: float = 6.0
    """How sharply looks give way to each other at first."""
    start_frames: int = 2000
    """Frames that the first looks are made of."""
    loss: FullFrameWeights = field(default_factory=FullFrameWeights)
    sharpening: Sharpening = field(default_factory=Sharpening)
    sight: Sight = field(default_factory=Sight)
    check_frames: int = 60
    """Held-out frames that figures are taken on along the way, evenly spread."""
    last_check_frames: int = 300
    """And at the end."""
    intervals: Intervals = field(default_factory=lambda: Intervals(save_fraction=0.02))
    """The state is large, since appearance codes are pictures: it is written less often."""


class PortraitTask(TrainTask[PairBatch]):
    """A full-frame network in training.

    Args:
        data: whole frames and the faces in them.
        config: the shape of the network.
        how: how it is trained.
        device: where it computes.
        seed: of the first weights.
        perceptual: the network of the perceptual loss.

    Raises:
        InputError: ``config`` is for frames of another size.
    """

    kind = KIND
    metric_names = ("psnr", "face_psnr", "sharpness")
    network: FullFrame
    adversary: Adversary

    def __init__(
        self,
        data: FullFrameData,
        *,
        config: FullFrameConfig,
        how: FullFrameTraining,
        device: torch.device,
        seed: int,
        perceptual: Perceptual,
    ) -> None:
        if config.size != data.learn.size:
            raise InputError(f"config.size is {config.size}; the pictures are {data.learn.size}. Give that")
        self.data, self.how, self.device = data, how, device
        self.optimization, self.intervals = how.optimization, how.intervals
        self._pairs_per_step = how.pairs if device.type == "cpu" else how.gpu_pairs
        self.samples_per_step = 2 * self._pairs_per_step
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = self._placed(FullFrame(config))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            discriminator = self._placed(PatchDiscriminator(len(CHANNELS)))
        self.adversary = Adversary(discriminator, how.sharpening.adversarial, device=device)
        self._perceptual = self._placed(perceptual)
        self.optimizer = _optimizer(self.network, how)
        self.pairs = Pairs(data.learn, config, how.sight)
        self._precision = fast_precision(device)

    def _placed(self, network: nn.Module) -> Any:
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def identity(self) -> dict[str, Any]:
        """The network's shape."""
        return {"config": self.network.config.to_json()}

    def initialize(self, seed: int) -> None:
        """Give the network its first backdrops and textures."""
        network, how = copy.deepcopy(self.network).cpu(), self.how
        start_from(
            network,
            self.data.learn,
            sharpness=how.look_sharpness,
            most_frames=how.start_frames,
            seed=seed,
        )
        self.network.load_state_dict(network.state_dict())

    def batch(self, *, seed: int, step: int) -> PairBatch:
        """Pairs of successive frames."""
        return self.pairs.random(self._pairs_per_step, seed=seed, step=step)

    def learning_rate(self, step: int, fraction: float) -> float:
        """Warm-up, then cosine decay."""
        how = self.how
        return learning_rate(how.learning_rate, step=step, used=fraction, warmup_steps=how.warmup_steps)

    # -- losses ----------------------------------------------------------------------------------------------

    def loss(self, batch: PairBatch, *, step: int, fraction: float) -> Tensor:
        """Reconstruction and perceptual distance, and from some time on what makes frames sharp."""
        real, maps, planes, appearances = map(self._to_device, _arrays(batch))
        real = real.permute(0, 3, 1, 2).float() / 255
        with autocast(self.device, self._precision):
            rendered = self.network(maps, planes, appearances, batch.window).float()
        maps, weights, sharpening = self._fine(maps, real), self.how.loss, self.how.sharpening
        loss = error_loss(rendered, real, pixel_weights(maps[:, :1], weights), weights)
        with autocast(self.device, self._precision):
            loss = loss + weights.perceptual * perceptual_loss(self._perceptual, rendered, real)
        weight = sharpening.ramp.weight(fraction)
        if weight > 0:
            self.adversary.train_step(rendered, real, maps, step=step)
            sharp = sharpening.detail * detail_loss(rendered, real) + self.adversary.loss(
                rendered, real, maps
            )
            loss = loss + weight * sharp
        return loss

    def _fine(self, maps: Tensor, real: Tensor) -> Tensor:
        """Maps as coverage of 0 to 1 on the grid of pixels."""
        fine = functional.interpolate(maps.float() / 255, scale_factor=float(self.network.config.cell))
        return fine[..., : real.shape[2], : real.shape[3]]

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # -- held-out frames -------------------------------------------------------------------------------------

    def evaluate(self, network: nn.Module) -> Metrics:
        """PSNR of whole frames and of faces, dB; sharpness of faces over the real one."""
        assert isinstance(network, FullFrame)
        numbers = self.data.held_out.spread(self.how.check_frames)
        quality = evaluate(network, self.data.held_out, numbers, precision=self._precision)
        return {"psnr": quality.psnr, "face_psnr": quality.face_psnr, "sharpness": quality.sharpness}

    def preview(self, network: nn.Module, path: Path) -> None:
        """Fixed held-out frames, real above painted."""
        assert isinstance(network, FullFrame)
        some = self.data.held_out[self.data.held_out.spread(_PREVIEW_FRAMES)]
        rendered = render_frames(
            network, some.landmarks, some.planes, some.appearances, precision=self._precision
        )
        real = np.stack([some.image(number) for number in range(len(some))])
        write_comparison(path, real=real, rendered=np.stack(list(rendered)))


def _optimizer(network: FullFrame, how: FullFrameTraining) -> torch.optim.AdamW:
    appearances = [network.backdrops, network.textures]
    own = {id(parameter) for parameter in appearances}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in own]
    groups = [
        {"params": rest, "weight_decay": how.weight_decay},
        {"params": appearances, "weight_decay": 0.0, "rate_scale": how.look_rate},
    ]
    return torch.optim.AdamW(groups, lr=how.learning_rate, betas=(0.9, 0.99), fused=True)


def _arrays(batch: PairBatch) -> tuple[npt.NDArray[Any], ...]:
    return batch.images, batch.maps, batch.planes, batch.appearances
