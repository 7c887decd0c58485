"""Training the motion network: what it learns from, its losses, its loop.

Knows mouths and features, not where they come from: clips are handed in as arrays. Positions and velocities
of the mouth's points are fitted, in outer-eye distances, so that a coefficient counts as much as the points
that it moves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from newscaster.face.mouth import MouthBasis
from newscaster.speech.features import MOTION_HZ
from newscaster.training.checkpoints import (
    PROGRESS,
    STATE,
    WEIGHTS,
    Checkpoint,
    ProgressTable,
    in_parts,
    make_run_folder,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from newscaster.training.networks.motion import MotionConfig, MotionNetwork

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MotionClip:
    """Speech features and the mouth that went with them, 25 steps per second."""

    features: Floats
    """(T, D)."""
    shapes: Floats
    """Mouth shapes less the person's own rest shape, (T, 57, 2), in outer-eye distances."""
    present: npt.NDArray[np.bool_]
    """(T,): steps whose mouth was seen."""

    def __post_init__(self) -> None:
        steps = len(self.features)
        if len(self.shapes) != steps or len(self.present) != steps:
            raise ValueError(
                f"features, shapes and present are of one length, not {steps}, {len(self.shapes)} and "
                f"{len(self.present)}"
            )


def motion_clip(
    features: Floats, shapes: npt.NDArray[np.floating[Any]], present: npt.NDArray[np.bool_], *, fps: Fraction
) -> MotionClip:
    """Bring mouth shapes (F, 57, 2) at ``fps`` to the motion rate, beside features (T, D) already at it.

    Linear between neighbouring frames; a step counts as seen where both of them are.
    """
    count = min(len(features), int((len(shapes) - 1) * MOTION_HZ / fps) + 1)
    position = np.arange(count) * float(fps / MOTION_HZ)
    before = np.minimum(np.floor(position + 1e-9).astype(int), len(shapes) - 1)
    after = np.minimum(before + 1, len(shapes) - 1)
    weight = np.clip(position - before, 0.0, 1.0)
    weight[weight < 1e-6] = 0.0
    seen = present[before] & (present[after] | (weight == 0))
    filled = np.nan_to_num(shapes)
    mixed = filled[before] * (1 - weight)[:, None, None] + filled[after] * weight[:, None, None]
    return MotionClip(features[:count], mixed.astype(np.float32), seen)


@dataclass(frozen=True, kw_only=True)
class MotionTraining:
    """How a motion network is trained."""

    steps: int = 1200
    """Updates in all."""
    batch: int = 16
    """Segments per update."""
    segment: int = 75
    """Steps per segment: 3 s."""
    learning_rate: float = 2e-3
    """The highest; it rises over the first tenth and falls to nothing at the end."""
    weight_decay: float = 1e-2
    velocity: float = 1.0
    """Weight of the velocity loss beside the position loss."""
    hold: float = 0.0
    """Weight of the squared distance to the weights that training starts from (L2-SP, arXiv 1802.01483)."""
    averaging: float = 0.995
    """Decay of the moving average of the weights, which is what is kept."""
    seed: int = 0


@dataclass(frozen=True)
class MotionProgress:
    """Reported every few updates."""

    step: int
    steps: int
    loss: float
    seconds_left: float


class _Segments:
    """Clips joined into one long tensor each of features, targets and weights, cut into random segments."""

    def __init__(self, clips: Sequence[MotionClip], shares: Sequence[float] | None, segment: int) -> None:
        rest = np.zeros((segment, clips[0].features.shape[1]), np.float32)
        parts = [part for clip in clips for part in (clip.features, rest)]
        self.features = torch.from_numpy(np.concatenate(parts))
        shapes = [
            part for c in clips for part in (c.shapes.reshape(len(c.shapes), -1), np.zeros((segment, 114)))
        ]
        self.targets = torch.from_numpy(np.concatenate(shapes).astype(np.float32))
        seen = [part for c in clips for part in (c.present, np.zeros(segment, bool))]
        self.weights = torch.from_numpy(np.concatenate(seen).astype(np.float32))[:, None]
        self.lengths = np.array([len(clip.features) for clip in clips])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths + segment)[:-1]])
        shares_array = np.asarray(self.lengths if shares is None else shares, np.float64)
        self.shares = shares_array / shares_array.sum()
        self.segment = segment

    def draw(self, rng: np.random.Generator, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        clip = rng.choice(len(self.lengths), batch, p=self.shares)
        offset = rng.integers(0, np.maximum(1, self.lengths[clip] - self.segment + 1))
        first = torch.from_numpy(self.starts[clip] + offset)
        index = first[:, None] + torch.arange(self.segment)
        return self.features[index], self.targets[index], self.weights[index]


def motion_loss(error: Tensor, seen: Tensor, velocity: float) -> Tensor:
    """Mean absolute error of positions, and of their steps from frame to frame; (B, T, P), (B, T, 1)."""
    error = error * seen
    steps = (error[:, 1:] - error[:, :-1]) * seen[:, 1:] * seen[:, :-1]
    return error.abs().mean() + velocity * steps.abs().mean()


def train_motion(
    network: MotionNetwork,
    clips: Sequence[MotionClip],
    basis: MouthBasis,
    folder: Path,
    *,
    config: MotionTraining,
    shares: Sequence[float] | None = None,
    resume: bool = True,
    progress: Callable[[MotionProgress], None] | None = None,
) -> MotionNetwork:
    """Train ``network`` in place and return it with averaged weights, in evaluation mode.

    Args:
        network: starts from its present weights.
        clips: what is learnt from; their shapes are relative to each person's rest.
        basis: the directions that the network's coefficients refer to; its mean is not used.
        folder: of the run; a checkpoint there is gone on from when ``resume``.
        config: how to train.
        shares: how often each clip is drawn, (len(clips),); by length when not given.
        resume: whether to go on from the folder's checkpoint.
        progress: called now and then.
    """
    make_run_folder(folder)
    torch.manual_seed(config.seed)
    directions = torch.from_numpy(
        basis.components.reshape(basis.size, -1) * basis.deviations[:, None]
    ).float()
    origin = [p.detach().clone() for p in network.parameters()]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    segments = _Segments(clips, shares, config.segment)
    begin = _resume(folder, config, network, segments, optimizer, average) if resume else 0
    table = ProgressTable(folder / PROGRESS, ("step", "loss", "learning_rate"), resume_step=begin)
    network.train()
    started, saved = time.monotonic(), time.monotonic()
    for step in range(begin, config.steps):
        rng = np.random.default_rng((config.seed, step))
        features, targets, seen = segments.draw(rng, config.batch)
        rate = _learning_rate(config, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            coefficients = network(features)
        loss = motion_loss(coefficients.float() @ directions - targets, seen, config.velocity)
        if config.hold:
            pairs = zip(network.parameters(), origin, strict=True)
            loss = loss + config.hold * torch.stack([((p - q) ** 2).sum() for p, q in pairs]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        _average(average, network, min(config.averaging, (1 + step) / (10 + step)))
        done = step + 1
        if done % 25 == 0 or done == config.steps:
            left = (time.monotonic() - started) / (done - begin) * (config.steps - done)
            table.add(step=done, loss=loss.item(), learning_rate=rate)
            if progress:
                progress(MotionProgress(done, config.steps, loss.item(), left))
        if time.monotonic() - saved > 20 and done < config.steps:
            _save_state(folder, config, done, network, segments, optimizer, average)
            saved = time.monotonic()
    network.load_state_dict(average)
    network.eval()
    _save_state(folder, config, config.steps, network, segments, optimizer, average)
    save_motion(folder / WEIGHTS, network)
    return network


def save_motion(path: Path, network: MotionNetwork, **facts: object) -> None:
    """Write a network's weights and configuration; ``facts`` go along."""
    values = {"config": asdict(network.config), **facts}
    write_checkpoint(path, Checkpoint(network.state_dict(), values))


def load_motion(path: Path) -> MotionNetwork:
    """The network that :func:`save_motion` wrote, in evaluation mode."""
    return restore_motion(read_checkpoint(path))


def restore_motion(checkpoint: Checkpoint, *, dropout: float | None = None) -> MotionNetwork:
    """The network in a checkpoint, with another dropout where one is given."""
    values = dict(checkpoint.facts["config"])
    values["dilations"] = tuple(values["dilations"])
    if dropout is not None:
        values["dropout"] = dropout
    network = MotionNetwork(MotionConfig(**values))
    network.load_state_dict({name: checkpoint.tensors[name].float() for name in network.state_dict()})
    return network.eval()


def _learning_rate(config: MotionTraining, step: int) -> float:
    warm = max(1, config.steps // 10)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, config.steps - warm)
    return float(config.learning_rate * 0.5 * (1 + np.cos(np.pi * done)))


@torch.no_grad()
def _average(average: dict[str, Tensor], network: MotionNetwork, decay: float) -> None:
    for name, value in network.state_dict().items():
        average[name].lerp_(value, 1 - decay)


def _facts(
    config: MotionTraining, step: int, network: MotionNetwork, segments: _Segments
) -> dict[str, object]:
    # Through lists and back: what JSON makes of a tuple must compare equal.
    network_config = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(network.config).items()}
    drawn = hashlib.sha256(segments.lengths.tobytes() + segments.shares.tobytes()).hexdigest()
    return {"step": step, "training": asdict(config), "network": network_config, "clips": drawn}


def _save_state(
    folder: Path,
    config: MotionTraining,
    step: int,
    network: MotionNetwork,
    segments: _Segments,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> None:
    tensors = in_parts(network=network.state_dict(), average=average, optimizer=optimizer_tensors(optimizer))
    write_checkpoint(folder / STATE, Checkpoint(tensors, _facts(config, step, network, segments)))


def _resume(
    folder: Path,
    config: MotionTraining,
    network: MotionNetwork,
    segments: _Segments,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> int:
    if not (folder / STATE).is_file():
        return 0
    state = read_checkpoint(folder / STATE)
    step = int(state.facts["step"])
    if dict(state.facts) != _facts(config, step, network, segments):
        return 0
    network.load_state_dict(state.part("network"))
    restore_optimizer(optimizer, state.part("optimizer"))
    average.update(state.part("average"))
    return step
