"""The loop that trains a motion network, alone or against its opponent.

Knows updates, averages and checkpoints; what is learnt from and how is said in ``training.motion``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from newscaster.face.mouth import MouthBasis
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
from newscaster.training.motion import (
    MotionClip,
    MotionProgress,
    MotionTraining,
    motion_loss,
    network_values,
    save_motion,
)
from newscaster.training.motion_opponent import MotionOpponent
from newscaster.training.networks.motion import AnyMotion, MotionNetwork, RecurrentMotion
from newscaster.training.running import autocast, fast_precision

_Network = TypeVar("_Network", MotionNetwork, RecurrentMotion)
_SAVE_SECONDS = 20


def train_motion(
    network: _Network,
    clips: Sequence[MotionClip],
    basis: MouthBasis,
    folder: Path,
    *,
    config: MotionTraining,
    shares: Sequence[float] | None = None,
    resume: bool = True,
    progress: Callable[[MotionProgress], None] | None = None,
) -> _Network:
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
    run = _Run(network, _Segments(clips, shares, config.segment), basis, config)
    begin = run.resume(folder) if resume else 0
    columns = ("step", "loss", "learning_rate")
    table = ProgressTable(folder / PROGRESS, columns, resume_step=begin)
    network.train()
    started, saved = time.monotonic(), time.monotonic()
    for step in range(begin, config.steps):
        loss = run.update(step)
        done = step + 1
        if done % 25 == 0 or done == config.steps:
            left = (time.monotonic() - started) / (done - begin) * (config.steps - done)
            table.add(step=done, loss=loss.item(), learning_rate=config.learning_rate * config.pace(step))
            if progress:
                progress(MotionProgress(done, config.steps, loss.item(), left))
        if time.monotonic() - saved > _SAVE_SECONDS and done < config.steps:
            run.save(folder, done)
            saved = time.monotonic()
    network.load_state_dict(run.average)
    network.eval()
    run.save(folder, config.steps)
    save_motion(folder / WEIGHTS, network)
    return network


class _Run:
    """A training under way: the network, its average, its opponent, and what they learn from."""

    def __init__(
        self, network: AnyMotion, segments: _Segments, basis: MouthBasis, config: MotionTraining
    ) -> None:
        self.network, self.segments, self.config = network, segments, config
        components = torch.from_numpy(basis.components.reshape(basis.size, -1)).float()
        deviations = torch.from_numpy(basis.deviations).float()
        self._directions = components * deviations[:, None]
        self._measure = (components / deviations[:, None]).T
        self._origin = [p.detach().clone() for p in network.parameters()] if config.hold else []
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self._device = torch.device("cpu")
        self._precision = fast_precision(self._device)
        self._opponent = None
        if config.pair is not None:
            seen = segments.targets[segments.weights[:, 0] > 0] @ self._measure
            self._opponent = MotionOpponent(
                [seen], inputs=network.config.inputs, training=config.pair, seed=config.seed
            )

    def update(self, step: int) -> Tensor:
        """One update; its loss."""
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        features, targets, seen = self.segments.draw(rng, config.batch)
        if config.feature_noise:
            noise = torch.randn(features.shape) * self.network.feature_deviation
            features = features + config.feature_noise * noise
        pace = config.pace(step)
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * pace
        with autocast(self._device, self._precision):
            made = self.network(features)
        made = made.float()
        loss = motion_loss(made @ self._directions - targets, seen, config.velocity)
        if self._opponent is not None and config.pair is not None:
            real, shown = targets @ self._measure * seen, made * seen
            heard = (features - self.network.feature_mean) / self.network.feature_deviation
            self._opponent.teach(shown, real, heard, pace=pace)
            share = config.pair.share(step / config.steps)
            if share > 0:
                loss = loss + share * self._opponent.loss(shown, real, heard)
        if config.hold:
            pairs = zip(self.network.parameters(), self._origin, strict=True)
            loss = loss + config.hold * torch.stack([((p - q) ** 2).sum() for p, q in pairs]).sum()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        decay = min(config.averaging, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return loss.detach()

    def save(self, folder: Path, step: int) -> None:
        """Write what :meth:`resume` goes on from."""
        tensors = in_parts(
            network=self.network.state_dict(),
            average=self.average,
            optimizer=optimizer_tensors(self._optimizer),
            opponent={} if self._opponent is None else self._opponent.tensors(),
        )
        write_checkpoint(folder / STATE, Checkpoint(tensors, self._facts(step)))

    def resume(self, folder: Path) -> int:
        """Take up the folder's checkpoint where it is one of the same training; the step that comes next."""
        if not (folder / STATE).is_file():
            return 0
        state = read_checkpoint(folder / STATE)
        step = int(state.facts["step"])
        if dict(state.facts) != self._facts(step):
            return 0
        self.network.load_state_dict(state.part("network"))
        restore_optimizer(self._optimizer, state.part("optimizer"))
        self.average.update(state.part("average"))
        if self._opponent is not None:
            self._opponent.restore(state.part("opponent"))
        return step

    def _facts(self, step: int) -> dict[str, object]:
        drawn = hashlib.sha256(self.segments.lengths.tobytes() + self.segments.shares.tobytes()).hexdigest()
        network = network_values(self.network)
        return {"step": step, "training": asdict(self.config), "network": network, "clips": drawn}


class _Segments:
    """Clips joined into one long tensor each of features, targets and weights, cut into random segments."""

    def __init__(self, clips: Sequence[MotionClip], shares: Sequence[float] | None, segment: int) -> None:
        self.features = torch.from_numpy(np.concatenate([_at_least(c.features, segment) for c in clips]))
        shapes = [_at_least(c.shapes.reshape(len(c.shapes), -1), segment) for c in clips]
        self.targets = torch.from_numpy(np.concatenate(shapes))
        seen = [_at_least(c.present.astype(np.float32), segment) for c in clips]
        self.weights = torch.from_numpy(np.concatenate(seen))[:, None]
        self.lengths = np.array([len(clip.features) for clip in clips])
        self.starts = np.concatenate([[0], np.cumsum(np.maximum(self.lengths, segment))[:-1]])
        shares_array = np.asarray(self.lengths if shares is None else shares, np.float64)
        self.shares = shares_array / shares_array.sum()
        self.segment = segment

    def draw(self, rng: np.random.Generator, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        clip = rng.choice(len(self.lengths), batch, p=self.shares)
        offset = rng.integers(0, np.maximum(1, self.lengths[clip] - self.segment + 1))
        first = torch.from_numpy(self.starts[clip] + offset)
        index = first[:, None] + torch.arange(self.segment)
        return self.features[index].float(), self.targets[index], self.weights[index]


def _at_least(steps: npt.NDArray[np.floating[Any]], count: int) -> npt.NDArray[np.floating[Any]]:
    """Steps (T, ...), followed by zeros where they are fewer than ``count``."""
    missing = np.zeros((max(0, count - len(steps)), *steps.shape[1:]), steps.dtype)
    return np.concatenate([steps, missing])
