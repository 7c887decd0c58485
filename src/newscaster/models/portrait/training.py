"""Training of the full-frame network: from the whole frames of a dataset to weights.

A run has a time budget in minutes, and can be killed at any time. The task is in ``models.portrait.task``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from newscaster.models.frame_task import FrameRun, train_frames
from newscaster.models.perceptual import Perceptual
from newscaster.models.portrait.data import FullFrameData, WholeFrames, whole_frames
from newscaster.models.portrait.inference import ImageQuality, evaluate, render_frames
from newscaster.models.portrait.network import FullFrame, FullFrameConfig
from newscaster.models.portrait.task import KIND, FullFrameTraining, PortraitTask
from newscaster.training.budget import Clock
from newscaster.training.checkpoints import Checkpoint, load_network
from newscaster.training.loop import OnReport
from newscaster.training.precision import Device, compute_device, fast_precision
from newscaster.training.processes import ALONE, Processes

__all__ = [
    "FullFrameConfig",
    "FullFrameData",
    "FullFrameResult",
    "FullFrameTraining",
    "ImageQuality",
    "WholeFrames",
    "evaluate",
    "load_full_frame",
    "render_frames",
    "train_full_frame",
    "whole_frames",
]


@dataclass(frozen=True, kw_only=True)
class FullFrameResult(FrameRun):
    """Result of a finished training run."""

    psnr: float
    """PSNR of whole held-out frames, over all checked frames together, in dB."""
    sharpness: float
    """Ratio of the variances of the Laplacian on held-out faces, rendered to real; 1: equally sharp."""
    held_out_frames: int
    """Number of frames that the metrics were computed on."""


def train_full_frame(
    data: FullFrameData,
    folder: Path,
    *,
    minutes: float,
    resume: bool = True,
    device: Device = "auto",
    seed: int = 0,
    progress: OnReport | None = None,
    config: FullFrameConfig | None = None,
    training: FullFrameTraining | None = None,
    clock: Clock = time.monotonic,
    processes: Processes = ALONE,
) -> FullFrameResult:
    """Train a full-frame network for some minutes.

    Args:
        data: whole frames and the faces in them.
        folder: see :func:`train_frames`.
        minutes: the whole budget, including the initialization of the appearance codes.
        resume: see :func:`train_frames`.
        device: for the computation; "auto" uses a GPU if PyTorch has one.
        seed: of the initial weights and of the order of frames.
        progress: see :func:`train_frames`.
        config: network shape, by default ``data.config``; a resumed run must have the same.
        training: training settings.
        clock: see :func:`train_frames`.
        processes: see :func:`train_frames`.

    Returns:
        Paths of the weights, and metrics on held-out frames.

    Raises:
        InputError: the state in ``folder`` is damaged or of another network, ``config`` is for frames of
            another size, or ``device`` is not available.
        MissingExtraError: the weights of the perceptual loss are not installed.
        OutputError: ``folder`` cannot be written.
    """
    training = training or FullFrameTraining()
    task = PortraitTask(
        data,
        config=config or data.config,
        training=training,
        device=compute_device(device),
        seed=seed,
        perceptual=Perceptual.pretrained(),
    )
    trainer, run = train_frames(
        task,
        folder,
        minutes=minutes,
        seed=seed,
        resume=resume,
        progress=progress,
        clock=clock,
        processes=processes,
    )
    numbers = data.held_out.spread(training.last_check_frames)
    network = trainer.average
    assert isinstance(network, FullFrame)
    quality = evaluate(network, data.held_out, numbers, precision=fast_precision(task.device))
    return FullFrameResult(
        **vars(run), psnr=quality.psnr, sharpness=quality.sharpness, held_out_frames=quality.frames
    )


def load_full_frame(path: Path) -> FullFrame:
    """Load the network of a run folder, or of its ``weights.safetensors``, on the CPU in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not a full-frame network's.
    """

    def build(stored: Checkpoint) -> FullFrame:
        return FullFrame(FullFrameConfig.from_json(stored.facts["config"]))

    return load_network(path, build, kind=KIND)[0]
