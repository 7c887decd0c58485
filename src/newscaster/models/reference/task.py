"""How the reference renderer is adapted to one person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from newscaster.face.crop import as_image
from newscaster.face.references import CELLS, MAX_REFERENCES, References, spread_mouths
from newscaster.models.losses import sharpness
from newscaster.models.reference.base import load_base_renderer
from newscaster.models.reference.data import LightVariation, ReferenceBatch, ReferenceFrames
from newscaster.models.reference.losses import ReferenceWeights, reference_loss
from newscaster.models.reference.network import ReferenceConfig, ReferenceNetwork
from newscaster.models.renderer.crop_task import CropTask, RenderingTraining
from newscaster.models.renderer.data import Batch, RenderingClip, RenderingData, frame_table
from newscaster.training.loop import Metrics
from newscaster.types import ArrayI64, ImageU8

_CALIBRATION_FRAMES = 60
"""Frames that the sharpness is measured on."""


@dataclass(frozen=True, kw_only=True)
class AdaptingTraining(RenderingTraining):
    """How the base renderer is adapted to a person."""

    learning_rate: float = 5e-4
    sharpening: None = None
    weights: ReferenceWeights = field(default_factory=ReferenceWeights)
    light: LightVariation = field(
        default_factory=lambda: LightVariation(reference_gain=0.02, reference_tint=0.01)
    )
    check_frames: int = 120


class ReferenceTask(CropTask):
    """The reference renderer in training. It starts from the base renderer of the package.

    Args:
        data: face crops and mouths, to train on and held out.
        device: where it computes.
        seed: of the order of frames.
        training: how it is trained.
        base: file of the base renderer; None: that of the package.
    """

    kind = "reference"
    metric_names = ("psnr", "grain", "sharpness")
    network_class = ReferenceNetwork
    network: ReferenceNetwork
    training: AdaptingTraining

    def __init__(
        self,
        data: RenderingData,
        *,
        device: torch.device,
        seed: int,
        training: AdaptingTraining | None = None,
        base: Path | None = None,
    ) -> None:
        training = training or AdaptingTraining()
        super().__init__(data, training, device=device, seed=seed, map_side=CELLS)
        start = load_base_renderer(base)
        self.network = self.build(lambda: _started(start.config, data, start))
        self.optimizer = self.adamw(self.network.parameters())
        self._references = ReferenceFrames(data.clips, data.hidden, variation=training.light)
        index = self.references_of(data)
        assert index is not None
        known = [RenderingClip(np.stack(list(index.crops)), index.points * data.side)]
        self._checked_references = ReferenceFrames(data.held_out, data.hidden, sources=known)

    @classmethod
    def references_of(cls, data: RenderingData) -> References | None:
        """See :class:`CropTask`: frames that cover the mouths of the training clips."""
        table = frame_table(data.clips)
        points = np.stack([data.clips[clip].points[frame] for clip, frame in table.tolist()])
        chosen = spread_mouths(points, MAX_REFERENCES)
        crops = [np.asarray(data.clips[clip].crops[frame]) for clip, frame in table[chosen].tolist()]
        angles = [data.clips[clip].angles for clip in range(len(data.clips))]
        turned = [angles[clip][frame] for clip, frame in table[chosen].tolist() if angles[clip] is not None]
        return References(
            crops,
            np.asarray(points[chosen] / data.side, np.float32),
            np.asarray(turned, np.float32) if len(turned) == len(crops) else None,
        )

    def batch(self, *, seed: int, step: int) -> ReferenceBatch:  # type: ignore[override]
        """Pairs of successive frames, with references among the others."""
        return self._references.random(
            self.samples_per_step, np.random.default_rng((seed, step)), shard=self.processes.shard
        )

    def loss(self, batch: ReferenceBatch, *, step: int, fraction: float) -> Tensor:  # type: ignore[override]
        """See :func:`reference_loss`."""
        boxes = batch.on(self.device, self.network.box)
        with self.autocast():
            rendering = self.network.predict(boxes.sight)
        return reference_loss(rendering, boxes, self.training.weights, self.processes.mean)

    def evaluate(self, network: nn.Module) -> Metrics:
        """See :class:`CropTask`; and the sharpness of the lips, the real ones being 1.

        It is the median over frames of the training clips, each rendered from the others: those that are held
        out may be few, and as sharp as no others are.
        """
        numbers = self._references.spread(_CALIBRATION_FRAMES)
        ratios = []
        for number in numbers.tolist():
            batch = self._references.batch(np.array([number]))
            with torch.inference_mode(), self.autocast():
                rendered = self._rendered(network, batch)
            ratios.append(lip_sharpness(rendered[0], batch.crops[0], batch.landmark_maps[0, :3].max(axis=0)))
        return {**super().evaluate(network), "sharpness": round(float(np.median(ratios)), 4)}

    def render(self, network: nn.Module, numbers: ArrayI64) -> tuple[Batch, ImageU8]:
        """See :class:`CropTask`: held-out frames are rendered from the references of the anchor."""
        with torch.inference_mode(), self.autocast():
            batches = (self._checked_references.batch(np.array([number])) for number in numbers.tolist())
            images = [self._rendered(network, batch) for batch in batches]
        return self.held_out.batch(numbers), np.concatenate(images)

    def _rendered(self, network: nn.Module, batch: ReferenceBatch) -> ImageU8:
        arrays = (
            batch.crops, batch.landmark_maps, batch.flow, batch.distance, batch.small, batch.large,
        )  # fmt: skip
        rendered: Tensor = network(*self.to_device(*arrays))
        return np.asarray(rendered.cpu().numpy())


def lip_sharpness(made: ImageU8, real: ImageU8, lips: ImageU8) -> float:
    """Return the sharpness of an image (S, S, 3) over that of the real one, on the lips.

    ``lips`` (M, M) is their coverage, 0 to 255.
    """
    side = len(made)
    inside = np.asarray(as_image(lips).resize((side, side))) > 127
    real_sharpness = sharpness(real, inside)
    return sharpness(made, inside) / real_sharpness if real_sharpness else 1.0


def _started(config: ReferenceConfig, data: RenderingData, start: nn.Module) -> ReferenceNetwork:
    network = ReferenceNetwork(config, data.hidden)
    network.unet.load_state_dict(start.state_dict())
    return network
