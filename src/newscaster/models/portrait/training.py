"""Training the full-frame network: from whole pictures of a take to weights.

Bounded by minutes, and safe to kill at any time; the task itself is in ``models.portrait.task``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from newscaster.errors import InputError
from newscaster.models.perceptual import Perceptual
from newscaster.models.portrait.data import FullFrameData, WholeFrames, whole_frames
from newscaster.models.portrait.inference import ImageQuality, evaluate, render_frames
from newscaster.models.portrait.network import FullFrame, FullFrameConfig
from newscaster.models.portrait.task import KIND, FullFrameTraining, PortraitTask
from newscaster.training.budget import TimeBudget
from newscaster.training.checkpoints import WEIGHTS, read_checkpoint
from newscaster.training.loop import Progress, Trainer
from newscaster.training.precision import Device, compute_device, fast_precision

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


@dataclass(frozen=True)
class FullFrameResult:
    """A finished training."""

    weights: Path
    """What :func:`load_full_frame` reads."""
    psnr: float
    """Of whole held-out pictures, over all that were checked together, dB."""
    sharpness: float
    """Of held-out faces: variance of the Laplacian, painted over real; 1: as sharp."""
    images_per_second: float
    """Of training, over all sittings, everything included."""
    steps: int
    minutes: float
    held_out_frames: int
    """How many frames the figures were taken on."""


def train_full_frame(
    data: FullFrameData,
    folder: Path,
    *,
    minutes: float,
    resume: bool = True,
    device: Device = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    config: FullFrameConfig | None = None,
    training: FullFrameTraining | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FullFrameResult:
    """Train a full-frame network for some minutes.

    Args:
        data: whole pictures and the faces in them.
        folder: where weights, state, ``progress.csv`` and ``preview.png`` go; made if missing.
        minutes: the whole budget, earlier sittings and the making of the first looks included.
        resume: go on from the state in ``folder`` if there is one; otherwise start anew and replace it.
        device: where to compute; "auto" takes a GPU if PyTorch has one.
        seed: of the first weights and of the order of frames.
        progress: called every few seconds with a report; what it raises ends the training.
        config: the shape of the network, by default ``data.config``; a resumed run must have the same.
        training: how it is trained.
        clock: seconds from some moment on; for tests.

    Returns:
        Where the weights are, and figures on held-out frames.

    Raises:
        InputError: the state in ``folder`` is damaged or of another network, ``config`` is for pictures of
            another size, or ``device`` is not there.
        MissingExtraError: the weights of the perceptual loss are not installed.
        OutputError: ``folder`` cannot be written.
    """
    how = training or FullFrameTraining()
    task = PortraitTask(
        data,
        config=config or data.config,
        how=how,
        device=compute_device(device),
        seed=seed,
        perceptual=Perceptual.pretrained(),
    )
    budget = TimeBudget(minutes, clock=clock)
    trainer = Trainer(task, folder, budget=budget, seed=seed)
    trainer.run(resume=resume, progress=progress)
    used_seconds = budget.used_seconds
    numbers = data.held_out.spread(how.last_check_frames)
    network = trainer.average
    assert isinstance(network, FullFrame)
    quality = evaluate(network, data.held_out, numbers, precision=fast_precision(task.device))
    return FullFrameResult(
        weights=folder / WEIGHTS,
        psnr=quality.psnr,
        sharpness=quality.sharpness,
        images_per_second=trainer.step * task.samples_per_step / max(used_seconds, 1e-6),
        steps=trainer.step,
        minutes=used_seconds / 60,
        held_out_frames=quality.frames,
    )


def load_full_frame(path: Path) -> FullFrame:
    """The network of a run's folder, or of its ``weights.safetensors``, on the CPU and in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not a full-frame network's.
    """
    path = path / WEIGHTS if path.is_dir() else path
    weights = read_checkpoint(path)
    try:
        if weights.facts.get("kind") != KIND:
            raise ValueError(f"it holds a {weights.facts.get('kind')!r}")
        network = FullFrame(FullFrameConfig.from_json(weights.facts["config"]))
        network.load_state_dict(dict(weights.tensors))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"'{path}' does not hold a full-frame network's weights: {error}. Give the folder of a run, or "
            f"train anew"
        ) from error
    return network.eval()
