"""Training task of the full-frame network: initialization, losses, metrics on held-out frames.

:mod:`newscaster.models.frame_task` has the parts that all training tasks on frames have in common.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import InputError
from newscaster.face.full_face_map import CHANNELS
from newscaster.models.frame_task import FrameTask, FrameTraining
from newscaster.models.losses import FullFrameWeights, Sharpening, pixel_weights, reconstruction_loss
from newscaster.models.perceptual import Perceptual
from newscaster.models.portrait.data import FullFrameData, PairBatch, Pairs, Sight
from newscaster.models.portrait.inference import evaluate, render_frames
from newscaster.models.portrait.initialization import start_from
from newscaster.models.portrait.network import FullFrame, FullFrameConfig
from newscaster.training.loop import Intervals, Metrics
from newscaster.training.previews import write_comparison

KIND = "full frame"
_PREVIEW_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class FullFrameTraining(FrameTraining):
    """Training settings of a full-frame network."""

    pairs: int = 4
    """Pairs of successive frames per step."""
    gpu_pairs: int = 16
    """The same on a GPU, on which a small step takes as long as a large one."""
    learning_rate: float = 1.5e-3
    """Peak learning rate; the schedule follows the time budget."""
    look_rate: float = 0.15
    """Factor on the learning rate for backdrops and textures, which start close to their final values."""
    warmup_steps: int = 200
    """Steps of learning rate warm-up."""
    look_sharpness: float = 6.0
    """Initial sharpness of the transition between appearances; see :func:`start_from`."""
    start_frames: int = 2000
    """Maximum number of frames for the initial appearance codes."""
    loss: FullFrameWeights = field(default_factory=FullFrameWeights)
    sharpening: Sharpening = field(default_factory=Sharpening)
    sight: Sight = field(default_factory=Sight)
    check_frames: int = 60
    """Held-out frames for the metrics during training, evenly spread."""
    last_check_frames: int = 300
    """The same at the end."""
    intervals: Intervals = field(default_factory=lambda: Intervals(save_fraction=0.02))
    """The state is large because appearance codes are images, so it is saved less often."""


class PortraitTask(FrameTask[PairBatch]):
    """Training task of a full-frame network.

    Args:
        data: whole frames and the faces in them.
        config: network shape.
        training: training settings.
        device: for the computation.
        seed: of the initial weights.
        perceptual: network of the perceptual loss.

    Raises:
        InputError: ``config`` is for frames of another size.
    """

    kind = KIND
    metric_names = ("psnr", "face_psnr", "sharpness")
    training: FullFrameTraining
    network: FullFrame

    def __init__(
        self,
        data: FullFrameData,
        *,
        config: FullFrameConfig,
        training: FullFrameTraining,
        device: torch.device,
        seed: int,
        perceptual: Perceptual,
    ) -> None:
        if config.size != data.learn.size:
            raise InputError(
                f"config.size is {config.size}, but the frames are {data.learn.size}. Use that size"
            )
        super().__init__(
            training, device=device, seed=seed, samples=(2 * training.pairs, 2 * training.gpu_pairs)
        )
        self.data = data
        self.network = self.build(lambda: FullFrame(config))
        self.set_up_sharpening(maps=len(CHANNELS), perceptual=perceptual)
        self.optimizer = self.adamw(_parameter_groups(self.network, training))
        self.pairs = Pairs(data.learn, config, training.sight)

    def identity(self) -> dict[str, Any]:
        """Return the network shape."""
        return {"config": self.network.config.to_json()}

    def initialize(self, seed: int) -> None:
        """Set the initial backdrops and textures of the network."""
        network, training = copy.deepcopy(self.network).cpu(), self.training
        start_from(
            network,
            self.data.learn,
            sharpness=training.look_sharpness,
            most_frames=training.start_frames,
            seed=seed,
        )
        self.network.load_state_dict(network.state_dict())

    def batch(self, *, seed: int, step: int) -> PairBatch:
        """Return pairs of successive frames."""
        return self.pairs.random(self.samples_per_step // 2, seed=seed, step=step, shard=self.processes.shard)

    def loss(self, batch: PairBatch, *, step: int, fraction: float) -> Tensor:
        """Return reconstruction plus perceptual loss, and after some time plus the sharpening losses."""
        real, maps, planes, appearances = self.to_device(
            batch.images, batch.maps, batch.planes, batch.appearances
        )
        real = real.permute(0, 3, 1, 2).float() / 255
        with self.autocast():
            rendered = self.network(maps, planes, appearances, batch.window).float()
        maps, weights = self._fine(maps, real), self.training.loss
        pixels = pixel_weights(maps[:, :1], weights, self.processes.mean)
        loss = reconstruction_loss(
            rendered, real, pixels, gradient=weights.gradient, temporal=weights.temporal
        )
        loss = loss + weights.perceptual * self.perceptual_loss(rendered, real)
        weight = self.sharp_weight(fraction)
        if weight > 0:
            loss = loss + weight * self.sharp_loss(rendered, real, maps, step=step)
        return loss

    def _fine(self, maps: Tensor, real: Tensor) -> Tensor:
        """Upsample maps to the pixel grid, as coverage of 0 to 1."""
        fine = functional.interpolate(maps.float() / 255, scale_factor=float(self.network.config.cell))
        return fine[..., : real.shape[2], : real.shape[3]]

    def evaluate(self, network: nn.Module) -> Metrics:
        """Return the PSNR of whole frames and of faces in dB, and the relative sharpness of faces."""
        assert isinstance(network, FullFrame)
        numbers = self.data.held_out.spread(self.training.check_frames)
        quality = evaluate(network, self.data.held_out, numbers, precision=self._precision)
        return {"psnr": quality.psnr, "face_psnr": quality.face_psnr, "sharpness": quality.sharpness}

    def preview(self, network: nn.Module, path: Path) -> None:
        """Write a comparison of fixed held-out frames, real above rendered."""
        assert isinstance(network, FullFrame)
        frames = self.data.held_out[self.data.held_out.spread(_PREVIEW_FRAMES)]
        rendered = render_frames(
            network, frames.landmarks, frames.planes, frames.appearances, precision=self._precision
        )
        real = np.stack([frames.image(number) for number in range(len(frames))])
        write_comparison(path, real=real, rendered=np.stack(list(rendered)))


def _parameter_groups(network: FullFrame, training: FullFrameTraining) -> list[dict[str, Any]]:
    """Return the weights, and the backdrops and textures with their own learning rate and no decay."""
    appearances = [network.backdrops, network.textures]
    ids = {id(parameter) for parameter in appearances}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in ids]
    return [
        {"params": rest, "weight_decay": training.weight_decay},
        {"params": appearances, "weight_decay": 0.0, "rate_scale": training.look_rate},
    ]
