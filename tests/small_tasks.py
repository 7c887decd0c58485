"""Small training tasks of every kind, whose losses are compared between numbers of processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from making_mouths import TINY, hidden_mask, talking_clip
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import MOUTH_POINTS
from newscaster.models.losses import Sharpening
from newscaster.models.motion.data import MotionClip, MotionTraining, PairTraining
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.models.motion.streamed import MotionBatch
from newscaster.models.motion.task import MotionTask, segments_of
from newscaster.models.reference.base import BaseRendererTask, BaseTraining, Person
from newscaster.models.reference.network import BlendingUNet, ReferenceConfig
from newscaster.models.renderer.crop_task import RenderingTraining
from newscaster.models.renderer.data import RenderingData
from newscaster.models.renderer.task import RendererTask
from newscaster.speech.windows import LIVE_STEPS
from newscaster.training.budget import Ramp
from newscaster.training.loop import TrainTask

WIDTH, SIZE = 6, 3
CPU = torch.device("cpu")


def motion_basis() -> MouthBasis:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(2 * MOUTH_POINTS, SIZE)))[0].T
    return MouthBasis(
        np.zeros((MOUTH_POINTS, 2)), directions.reshape(SIZE, MOUTH_POINTS, 2), np.array([0.3, 0.2, 0.1])
    )


def motion_clips(count: int = 6, steps: int = 60) -> list[MotionClip]:
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(WIDTH, SIZE)) / 3
    made = []
    for _ in range(count):
        features = rng.normal(size=(steps, WIDTH)).astype(np.float32)
        shapes = motion_basis().reconstruct(features @ mix).astype(np.float32)
        made.append(MotionClip(features, shapes, rng.random(steps) > 0.1))
    return made


def motion(batch: int) -> TrainTask[MotionBatch]:
    """Dropout, noise, live windows and the adversarial pair, which are all random."""
    torch.manual_seed(0)
    network = MotionNetwork(MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=16, dilations=(1, 2)))
    how = MotionTraining(
        steps=100,
        segment=20,
        live_batch=batch,
        learning_rate=5e-3,
        feature_noise=0.3,
        pair=PairTraining(ramp=Ramp(start=0.1, duration=0.1)),
    )
    segments = segments_of(motion_clips(), how.segment, live=motion_clips(steps=LIVE_STEPS))
    task = MotionTask(network, segments, motion_basis(), how)
    task.samples_per_step = batch
    return task


def renderer(batch: int) -> TrainTask[Any]:
    """Batch normalisation, and the losses of sharp frames with their discriminator."""
    how = RenderingTraining(sharpening=Sharpening(ramp=Ramp(start=0.1, duration=0.1)))
    data = RenderingData.of([talking_clip(seed=seed) for seed in range(3)], hidden_mask())
    task = RendererTask(data, device=CPU, seed=0, config=TINY, training=how)
    task.samples_per_step = batch
    return task


def base_renderer(batch: int) -> TrainTask[Any]:
    """Masks that differ from person to person, and crops of two sizes."""
    people = []
    for seed, side in enumerate((128, 128, 256)):
        hidden = hidden_mask(side)
        hidden[: side * (4 + seed) // 8] = False
        people.append(Person(f"person {seed}", [talking_clip(8, side=side, seed=seed)], hidden))
    torch.manual_seed(0)
    task = BaseRendererTask(
        people,
        [],
        device=CPU,
        seed=0,
        start=BlendingUNet(ReferenceConfig(channels=(8, 12))),
        training=BaseTraining(),
    )
    task.samples_per_step = batch
    return task


TASKS: dict[str, Callable[[int], TrainTask[Any]]] = {
    "motion": motion,
    "renderer": renderer,
    "base renderer": base_renderer,
}
