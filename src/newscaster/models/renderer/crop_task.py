"""The part of a renderer's training that does not depend on its network.

It makes batches of face crops, and measures and draws held-out ones. A subclass adds the network, a
:class:`newscaster.models.renderer.contract.CropNetwork`, and its losses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from newscaster.face.grain import grain_between
from newscaster.face.references import References
from newscaster.models.frame_task import FrameTask, FrameTraining
from newscaster.models.losses import LUMA, Sharpening
from newscaster.models.renderer.contract import CropNetwork
from newscaster.models.renderer.data import Batch, Frames, RenderingData, Variation
from newscaster.models.renderer.losses import LossWeights, psnr
from newscaster.training.adversarial import AdversarialLoss
from newscaster.training.loop import Metrics
from newscaster.training.previews import write_preview
from newscaster.types import ArrayBool, ArrayI64, ImageU8

GENTLE = Sharpening(detail=0.06, adversarial=AdversarialLoss(realism=0.008, matching=0.08))
"""Weights 2.5 times as large outweighed the gradients of the pixel error, and edges of the face broke up."""
_PREVIEW_FRAMES = 6
_MEAN_FRAMES = 400
_CHECKING_BATCH = 16
_GRAIN_TRIPLES = 40


@dataclass(frozen=True, kw_only=True)
class RenderingTraining(FrameTraining):
    """How a renderer is trained."""

    batch: int = 8
    """Frames per step, in pairs of successive ones; in a few minutes, many small steps achieve more than few
    large ones."""
    gpu_batch: int = 32
    """Frames per step on a GPU, where a small step takes as long as a large one."""
    loss: LossWeights = field(default_factory=LossWeights)
    sharpening: Sharpening | None = GENTLE
    """Losses that make the mouth as sharp as the face around it, at some cost in PSNR; None: none."""
    variation: Variation = field(default_factory=Variation)
    check_frames: int = 400
    """Held-out frames, evenly spread, that metrics are computed on."""


class CropTask(FrameTask[Batch]):
    """A renderer in training. A subclass makes ``network`` and ``optimizer`` in its ``__init__``.

    Args:
        data: face crops and mouths, to train on and held out.
        training: how it is trained.
        device: where it computes.
        seed: of the first weights.
        map_side: side of the landmark maps, ``M``.
    """

    metric_names: ClassVar[tuple[str, ...]] = ("psnr", "grain")
    training: RenderingTraining
    network_class: ClassVar[type[CropNetwork]]
    network: CropNetwork

    def __init__(
        self,
        data: RenderingData,
        training: RenderingTraining,
        *,
        device: torch.device,
        seed: int,
        map_side: int,
    ) -> None:
        super().__init__(training, device=device, seed=seed, samples=(training.batch, training.gpu_batch))
        self.frames = Frames(data.clips, map_side=map_side, variation=training.variation)
        self.held_out = Frames(data.held_out, map_side=map_side)
        self.checked = self.held_out.spread(training.check_frames)
        self.hidden: ArrayBool = data.hidden

    @classmethod
    def references_of(cls, data: RenderingData) -> References | None:
        """Return the frames that the renderer copies from, for the anchor; None: it copies nothing."""
        return None

    def identity(self) -> dict[str, Any]:
        """The network's shape, and the mask that it was trained for."""
        mask = hashlib.sha256(np.packbits(self.hidden).tobytes()).hexdigest()
        return {"config": self.network.config_json(), "mask": mask}

    def batch(self, *, seed: int, step: int) -> Batch:
        """Pairs of successive frames."""
        return self.frames.pairs(self.samples_per_step // 2, seed=seed, step=step, shard=self.processes.shard)

    def inputs(self, batch: Batch) -> Iterator[Tensor]:
        """Return a batch's crops (B, S, S, 3) and landmark maps (B, 4, M, M), uint8, on the device."""
        return self.to_device(batch.crops, batch.landmark_maps)

    def mean_crop(self) -> Tensor:
        """Return the mean of the crops that are trained on, (S, S, 3), 0 to 255."""
        numbers = self.frames.spread(_MEAN_FRAMES)
        crops = (self.frames.batch(numbers[i : i + 1]).crops[0] for i in range(len(numbers)))
        total = sum(one.astype(np.float64) for one in crops)
        return torch.from_numpy(np.asarray(total / len(numbers), np.float32))

    def render(self, network: nn.Module, numbers: ArrayI64) -> tuple[Batch, ImageU8]:
        """Return held-out frames by their numbers, and what a network makes of them, (B, S, S, 3)."""
        batch = self.held_out.batch(numbers)
        with torch.inference_mode(), self.autocast():
            out = network(*self.inputs(batch))
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


def missing_grain(
    render: Callable[[ArrayI64], tuple[Batch, ImageU8]],
    frames: Frames,
    hidden: ArrayBool,
) -> float:
    """Return the strength of the grain that rendered frames lack, in 8-bit pixel values.

    Args:
        render: returns the batch of some frame numbers, and the rendered frames (B, S, S, 3).
        frames: held-out frames.
        hidden: (S, S), the pixels to measure.
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
