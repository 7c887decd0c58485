"""Training data, settings and losses of motion networks.

Clips are plain arrays; this module does not depend on their source. The loss compares positions and
velocities of the mouth's points, in IOD, so that a coefficient counts as much as the points that it moves.
``MotionTraining.pair`` trains a discriminator against the network, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from newscaster.models.motion.network import AnyMotion, restored
from newscaster.speech.features import MOTION_HZ
from newscaster.training.adversarial import AdversarialLoss
from newscaster.training.budget import Ramp
from newscaster.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from newscaster.training.loop import Intervals
from newscaster.training.optimization import Optimization
from newscaster.types import ArrayBool, ArrayF32, ArrayFloat


@dataclass(frozen=True)
class MotionClip:
    """Speech features and the mouth that went with them, 25 steps per second."""

    features: ArrayFloat
    """(T, D); half precision for large data sets."""
    shapes: ArrayF32
    """Mouth shapes minus the person's own rest shape, (T, 57, 2), in IOD (outer corners)."""
    present: ArrayBool
    """(T,): steps whose mouth was seen."""

    def __post_init__(self) -> None:
        steps = len(self.features)
        if len(self.shapes) != steps or len(self.present) != steps:
            raise ValueError(
                f"features, shapes and present are of one length, not {steps}, {len(self.shapes)} and "
                f"{len(self.present)}"
            )


@dataclass(frozen=True)
class Mouth:
    """A mouth and its audio, from which clips are made: with other audio, or for live speech."""

    shapes: ArrayF32
    """Mouth shapes minus the person's own rest shape, (T, 57, 2), in IOD (outer corners)."""
    present: ArrayBool
    """(T,): steps whose mouth was seen."""
    speech: ArrayF32
    """(N,) at 16 kHz; the first sample is that of the first step."""


def motion_clip(features: ArrayF32, shapes: ArrayFloat, present: ArrayBool, *, fps: Fraction) -> MotionClip:
    """Bring mouth shapes (F, 57, 2) at ``fps`` to the motion rate, beside features (T, D) already at it.

    Interpolation is linear between neighbouring frames; a step counts as seen if both of them do.
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
class PairTraining:
    """How a motion network and its discriminator are trained against each other."""

    loss: AdversarialLoss = field(
        default_factory=lambda: AdversarialLoss(realism=5e-5 / 3, matching=5e-4, learning_rate=4e-4)
    )
    """Beside the error of positions, about 0.006; the discriminator's rate falls with the generator's."""
    ramp: Ramp = field(default_factory=lambda: Ramp(start=0.25, duration=0.15))
    """When the loss comes in. The discriminator is trained from the first step on."""


@dataclass(frozen=True, kw_only=True)
class MotionTraining:
    """How a motion network is trained."""

    steps: int = 1200
    """Updates in all."""
    batch: int = 16
    """Segments per update."""
    segment: int = 75
    """Steps per segment: 3 s."""
    live_batch: int = 48
    """Windows of live speech per update, if there are any, beside the segments."""
    live_steps: int = 12
    """The last steps of each such window, on which the network is trained: those with up to 480 ms of
    look-ahead."""
    live_weight: float = 1.0
    """Weight of their loss beside that of the segments."""
    learning_rate: float = 2e-3
    """The highest; it rises over the first tenth and falls to nothing at the end."""
    weight_decay: float = 1e-2
    velocity: float = 1.0
    """Weight of the velocity loss beside the position loss."""
    hold: float = 0.0
    """Weight of the squared distance to the weights that training starts from (L2-SP, arXiv 1802.01483)."""
    optimization: Optimization = field(default_factory=lambda: Optimization(ema_decay=0.995))
    feature_noise: float = 0.0
    """Noise added to the features, in standard deviations of each."""
    pair: PairTraining | None = None
    """The discriminator that the network is trained against; None trains it alone."""
    intervals: Intervals = field(default_factory=lambda: Intervals(report_seconds=1.0))
    seed: int = 0

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> MotionTraining:
        """Make settings from plain values; ``optimization`` is a mapping of its fields."""
        plain = dict(values)
        if "optimization" in plain:
            plain["optimization"] = replace(cls().optimization, **plain["optimization"])
        return cls(**plain)

    def rate_scale(self, step: int) -> float:
        """Factor of the peak learning rate: it rises over the first tenth and falls like a cosine."""
        warm = max(1, self.steps // 10)
        if step < warm:
            return (step + 1) / warm
        return float(0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, self.steps - warm))))


def motion_loss(error: Tensor, seen: Tensor, velocity: float) -> Tensor:
    """Mean absolute error of positions, and of their steps from frame to frame; (B, T, P), (B, T, 1)."""
    error = error * seen
    steps = (error[:, 1:] - error[:, :-1]) * seen[:, 1:] * seen[:, :-1]
    return error.abs().mean() + velocity * steps.abs().mean()


def network_values(network: AnyMotion) -> dict[str, object]:
    """Return a network's configuration as JSON restores it: lists for tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(network.config).items()}


def save_motion(path: Path, network: AnyMotion, **facts: object) -> None:
    """Write a network's weights and configuration, with ``facts`` as extra metadata."""
    values = {"config": network_values(network), **facts}
    write_checkpoint(path, Checkpoint(network.state_dict(), values))


def load_motion(path: Path) -> AnyMotion:
    """Load a network that :func:`save_motion` wrote, in evaluation mode."""
    return restore_motion(read_checkpoint(path))


def restore_motion(checkpoint: Checkpoint, *, dropout: float | None = None) -> AnyMotion:
    """Restore the network in a checkpoint; ``dropout`` replaces the stored one."""
    values = dict(checkpoint.facts["config"])
    if dropout is not None:
        values["dropout"] = dropout
    network = restored(values)
    network.load_state_dict({name: checkpoint.tensors[name].float() for name in network.state_dict()})
    return network.eval()
