"""Training a renderer: from face crops and mouths to weights, and from weights to ONNX.

Bounded by minutes, and safe to kill at any time. ``models.registry`` names the renderers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from newscaster.face.landmark_map import CHANNELS
from newscaster.inference import Session
from newscaster.models.frame_task import FrameRun, train_frames
from newscaster.models.registry import DEFAULT_RENDERER, UNTRAINED, renderer_task
from newscaster.models.renderer.contract import CropNetwork, check_contract
from newscaster.models.renderer.crop_task import CropTask, RenderingTraining
from newscaster.models.renderer.data import RenderingData
from newscaster.models.renderer.network import RendererConfig
from newscaster.training.budget import Clock
from newscaster.training.checkpoints import Checkpoint, load_network
from newscaster.training.loop import OnReport
from newscaster.training.onnx_export import export_network
from newscaster.training.precision import Device, compute_device
from newscaster.training.processes import ALONE, Processes

__all__ = [
    "RendererConfig",
    "RenderingData",
    "RenderingResult",
    "RenderingTraining",
    "export_renderer",
    "load_renderer",
    "train_renderer",
]


@dataclass(frozen=True, kw_only=True)
class RenderingResult(FrameRun):
    """A finished training."""

    psnr: float
    """Inside the mask, over all held-out frames that were checked together, before blending, dB."""
    grain: float
    """Strength of the grain that rendered crops lack, in levels (`face.grain`)."""
    held_out_frames: int
    """How many frames :attr:`psnr` was taken on."""


def train_renderer(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    renderer: str = DEFAULT_RENDERER,
    resume: bool = True,
    device: Device = "auto",
    seed: int = 0,
    progress: OnReport | None = None,
    clock: Clock = time.monotonic,
    processes: Processes = ALONE,
    **settings: Any,
) -> RenderingResult:
    """Train a renderer for some minutes.

    Args:
        data: face crops and mouths.
        folder: see :func:`train_frames`, also for what is not named here.
        minutes: likewise.
        renderer: one of ``models.registry.RENDERERS``.
        resume: likewise.
        device: where to compute; "auto" takes a GPU if PyTorch has one.
        seed: of the first weights and of the order of frames.
        progress: likewise.
        clock: likewise.
        processes: likewise.
        settings: further arguments of the renderer's task, such as ``config`` and ``training``.

    Returns:
        Where the weights are, and metrics on held-out frames.

    Raises:
        InputError: there is no such renderer, the state in ``folder`` is damaged or of another network, or
            ``device`` is not there; or the network has operators that anchors do not accept.
        ValueError: the renderer breaks the contract of :class:`CropNetwork`.
        OutputError: ``folder`` cannot be written.
    """
    make: Callable[..., CropTask] = renderer_task(renderer)
    task = make(data, device=compute_device(device), seed=seed, **settings)
    check_contract(task.network)
    if renderer not in (DEFAULT_RENDERER, *UNTRAINED):  # an export takes seconds, and tests cover these
        Session(export_renderer(task.network), name=f"the renderer {renderer!r}", remedy="Change its network")
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
    psnr, grain = trainer.metrics["psnr"], trainer.metrics["grain"]
    assert psnr is not None
    assert grain is not None
    return RenderingResult(**vars(run), psnr=psnr, grain=grain, held_out_frames=len(task.checked))


def load_renderer(path: Path, *, renderer: str = DEFAULT_RENDERER) -> CropNetwork:
    """The network of a run's folder, or of its ``weights.safetensors``, on the CPU and in evaluation mode.

    Raises:
        InputError: the file is missing, damaged, or not of this renderer.
    """
    task = renderer_task(renderer)

    def build(stored: Checkpoint) -> CropNetwork:
        return task.network_class.from_config(stored.facts["config"], stored.tensors["hidden"].numpy())

    network, facts = load_network(path, build, kind=task.kind)
    network.calibrate(facts)
    return network


def export_renderer(network: CropNetwork, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """The renderer as an anchor stores it: an ONNX network, checked against PyTorch.

    ``region`` (B, S, S, 3) uint8 and ``face_map`` (B, 4, M, M) uint8 to ``rendered`` (B, S, S, 3) uint8. The
    crop is given whole: what is hidden is taken out inside. A network whose graph the package has is stored
    as its weights, a safetensors file.

    Args:
        network: in evaluation mode.
        metadata: words stored in the network.

    Raises:
        ExportError: the exported network computes something else.
    """
    if (weights := network.weights_alone()) is not None:
        return save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    rng = np.random.default_rng(0)
    side, map_side = network.side, network.map_side
    # Smooth frames, as real ones are: noise would put many values next to a rounding edge.
    waves = np.sin(np.linspace(0, 3 * math.pi, side))[:, None] * np.cos(np.linspace(0, 5, side))[None]
    crop = (127 + 90 * waves[..., None] + rng.uniform(-9, 9, size=(1, 1, 1, 3))).astype(np.uint8)
    landmark_map = rng.integers(0, 256, size=(1, len(CHANNELS), map_side, map_side), dtype=np.uint8)
    inputs = network.example(torch.from_numpy(crop), torch.from_numpy(landmark_map))
    return export_network(
        network,
        inputs,
        names=["rendered"],
        dynamic={name: {0: "B"} for name in inputs},
        metadata=metadata,
    )
