"""Training the renderer: from regions and mouths to weights, and from weights to ONNX.

Bounded by minutes, and safe to kill at any time; the task itself is in ``models.renderer.task``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from newscaster.errors import InputError
from newscaster.models.renderer.data import RenderingData
from newscaster.models.renderer.network import Renderer, RendererConfig
from newscaster.models.renderer.task import RendererTask, RenderingTraining
from newscaster.training.budget import TimeBudget
from newscaster.training.checkpoints import WEIGHTS, read_checkpoint
from newscaster.training.loop import Progress, Trainer
from newscaster.training.onnx_export import export_network
from newscaster.training.precision import Device, compute_device

__all__ = [
    "RendererConfig",
    "RenderingData",
    "RenderingResult",
    "RenderingTraining",
    "export_renderer",
    "load_renderer",
    "train_renderer",
]


@dataclass(frozen=True)
class RenderingResult:
    """A finished training."""

    weights: Path
    """What :func:`load_renderer` and :func:`export_renderer` read."""
    psnr: float
    """Inside the mask, over all held-out frames that were checked together, before blending, dB."""
    grain: float
    """Strength of the grain that painted regions lack, in levels (`face.grain`)."""
    images_per_second: float
    """Of training, over all sittings, everything included."""
    steps: int
    minutes: float
    held_out_frames: int
    """How many frames :attr:`psnr` was taken on."""


def train_renderer(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    resume: bool = True,
    device: Device = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    config: RendererConfig | None = None,
    training: RenderingTraining | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RenderingResult:
    """Train a renderer for some minutes.

    Args:
        data: regions and mouths.
        folder: where weights, state, ``progress.csv`` and ``preview.png`` go; made if missing.
        minutes: the whole budget, earlier sittings included.
        resume: go on from the state in ``folder`` if there is one; otherwise start anew and replace it.
        device: where to compute; "auto" takes a GPU if PyTorch has one.
        seed: of the first weights and of the order of frames.
        progress: called every few seconds with a report; what it raises ends the training.
        config: the shape of the network; a resumed run must have the same.
        training: how it is trained.
        clock: seconds from some moment on; for tests.

    Returns:
        Where the weights are, and figures on held-out frames.

    Raises:
        InputError: the state in ``folder`` is damaged or of another network, or ``device`` is not there.
        OutputError: ``folder`` cannot be written.
    """
    task = RendererTask(
        data,
        config=config or RendererConfig(),
        how=training or RenderingTraining(),
        device=compute_device(device),
        seed=seed,
    )
    budget = TimeBudget(minutes, clock=clock)
    trainer = Trainer(task, folder, budget=budget, seed=seed)
    trainer.run(resume=resume, progress=progress)
    used_seconds, psnr, grain = budget.used_seconds, trainer.metrics["psnr"], trainer.metrics["grain"]
    assert psnr is not None
    assert grain is not None
    return RenderingResult(
        weights=folder / WEIGHTS,
        psnr=psnr,
        grain=grain,
        images_per_second=trainer.step * task.samples_per_step / max(used_seconds, 1e-6),
        steps=trainer.step,
        minutes=used_seconds / 60,
        held_out_frames=len(task.checked),
    )


def load_renderer(path: Path) -> Renderer:
    """The network of a run's folder, or of its ``weights.safetensors``, on the CPU and in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not a renderer's.
    """
    path = path / WEIGHTS if path.is_dir() else path
    weights = read_checkpoint(path)
    try:
        if weights.facts.get("kind") != "renderer":
            raise ValueError(f"it holds a {weights.facts.get('kind')!r}")
        hidden = weights.tensors["hidden"].numpy()
        network = Renderer(RendererConfig.from_json(weights.facts["config"]), hidden)
        network.load_state_dict(dict(weights.tensors))
        network.grain = float(weights.facts.get("grain") or 0.0)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"'{path}' does not hold a renderer's weights: {error}. Give the folder of a run, or train anew"
        ) from error
    return network.eval()


def export_renderer(source: Path | Renderer, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """The renderer as an ONNX network, checked against PyTorch.

    ``region`` (B, S, S, 3) uint8 and ``face_map`` (B, 4, M, M) uint8 to ``rendered`` (B, S, S, 3) uint8. The
    region is given whole: what is hidden is taken out inside.

    Args:
        source: the folder of a run, its weights, or a network.
        metadata: words stored in the network.

    Raises:
        InputError: ``source`` holds no renderer's weights.
        ExportError: the exported network computes something else.
    """
    network = source if isinstance(source, Renderer) else load_renderer(source)
    rng = np.random.default_rng(0)
    side, map_side = network.side, network.map_side
    # Smooth pictures, as real ones are: noise would put many values next to a rounding edge.
    waves = np.sin(np.linspace(0, 3 * math.pi, side))[:, None] * np.cos(np.linspace(0, 5, side))[None]
    crop = (127 + 90 * waves[..., None] + rng.uniform(-9, 9, size=(1, 1, 1, 3))).astype(np.uint8)
    landmark_map = rng.integers(0, 256, size=(1, 4, map_side, map_side), dtype=np.uint8)
    return export_network(
        network,
        {"region": torch.from_numpy(crop), "face_map": torch.from_numpy(landmark_map)},
        names=["rendered"],
        dynamic={"region": {0: "B"}, "face_map": {0: "B"}},
        metadata=metadata,
    )
