"""How a motion network is trained, alone or against its adversary.

The loop is :class:`newscaster.training.loop.Trainer`; :func:`train_motion` calls it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.data import MotionClip, MotionTraining, motion_loss, network_values
from newscaster.models.motion.discriminator import MotionDiscriminator
from newscaster.models.motion.network import MotionNetwork, RecurrentMotion
from newscaster.models.motion.streamed import MotionBatch, Segments, StreamedSegments, at_least
from newscaster.speech.windows import LIVE_STEPS
from newscaster.training.adversarial import Adversary
from newscaster.training.budget import Clock, StepBudget
from newscaster.training.loop import History, OnReport, Trainer, TrainTask
from newscaster.training.precision import autocast, fast_precision
from newscaster.training.processes import ALONE, WHOLE, Processes, Shard
from newscaster.training.seeds import seeded

_Network = TypeVar("_Network", MotionNetwork, RecurrentMotion)


def train_motion(
    network: _Network,
    clips: Sequence[MotionClip] | StreamedSegments,
    basis: MouthBasis,
    folder: Path,
    *,
    config: MotionTraining,
    fractions: Sequence[float] | None = None,
    live: Sequence[MotionClip] = (),
    live_fractions: Sequence[float] | None = None,
    adapted: bool = False,
    resume: bool = True,
    progress: OnReport | None = None,
    clock: Clock = time.monotonic,
    processes: Processes = ALONE,
) -> _Network:
    """Train ``network`` in place and return it with averaged weights, in evaluation mode.

    Args:
        network: starts from its present weights.
        clips: training data, in memory or in shards; shapes are relative to each person's rest shape.
        basis: the directions that the network's coefficients refer to; its mean is not used.
        folder: of the run; training resumes from its checkpoint when ``resume``.
        config: how to train.
        fractions: how often each clip in memory is drawn, (len(clips),); by length when not given.
        live: windows of live speech (`models.motion.live`), for training in memory.
        live_fractions: how often each window is drawn, (len(live),); all alike when not given.
        adapted: whether ``network`` was trained before: a checkpoint that began with others is refused.
        resume: whether to resume from the checkpoint in ``folder``; otherwise it is replaced.
        progress: called with each report.
        clock: returns seconds from some point in time on; for tests.
        processes: those that train it together; each calls this with equal arguments.

    Raises:
        InputError: the checkpoint in ``folder`` is damaged or belongs to another training.
        OutputError: ``folder`` cannot be written.
    """
    segments: _Drawn | StreamedSegments
    if isinstance(clips, StreamedSegments):
        segments = clips
    else:
        segments = segments_of(
            clips, config.segment, fractions=fractions, live=live, live_fractions=live_fractions
        )
    task = MotionTask(network, segments, basis, config, adapted=adapted)
    budget = StepBudget(config.steps, clock=clock)
    trainer = Trainer(task, folder, budget=budget, seed=config.seed, processes=processes)
    trainer.run(resume=resume, progress=progress)
    network.load_state_dict(trainer.average.state_dict())
    return network.eval()


class MotionTask(TrainTask[MotionBatch]):
    """A motion network in training.

    Args:
        network: starts from its present weights.
        segments: of the clips that it is trained on.
        basis: the directions that its coefficients refer to.
        how: how it is trained.
        adapted: whether it was trained before.
    """

    kind = "motion"
    network: MotionNetwork | RecurrentMotion

    def __init__(
        self,
        network: MotionNetwork | RecurrentMotion,
        segments: _Drawn | StreamedSegments,
        basis: MouthBasis,
        how: MotionTraining,
        *,
        adapted: bool = False,
    ) -> None:
        self.network, self.segments, self.how = network, segments, how
        self._start = _weights_fingerprint(network) if adapted else None
        self.optimization, self.intervals = how.optimization, how.intervals
        self.samples_per_step, self.device = how.batch, torch.device("cpu")
        self._precision = fast_precision(self.device)
        components = torch.from_numpy(basis.components.reshape(basis.size, -1)).float()
        stds = torch.from_numpy(basis.stds).float()
        self._directions = components * stds[:, None]
        self._measure = (components / stds[:, None]).T
        self._origin = [p.detach().clone() for p in network.parameters()] if how.hold else []
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay, fused=True
        )
        if how.pair is not None:
            if isinstance(segments, StreamedSegments):
                raise ValueError("the adversarial pair is trained on clips in memory, not on shards")
            whole = segments.whole
            motion = whole.targets[whole.weights[:, 0] > 0] @ self._measure
            with seeded(how.seed):
                discriminator = MotionDiscriminator(
                    coefficients=motion.shape[1], inputs=network.config.inputs
                )
            discriminator.normalise_with([motion])
            self.adversary = Adversary(discriminator, how.pair.loss, device=self.device)

    def identity(self) -> dict[str, Any]:
        """The network's shape, all settings, the lengths and shares of the clips, and weights to adapt."""
        training = {"config": network_values(self.network), "training": asdict(self.how)}
        start = {} if self._start is None else {"initial network": self._start}
        return {**training, "clips": self.segments.fingerprint, **start}

    def batch(self, *, seed: int, step: int) -> MotionBatch:
        """Random segments of clips in memory, and windows of live speech."""
        assert isinstance(self.segments, _Drawn)
        rng, (whole, live) = np.random.default_rng((seed, step)), self.segments
        shard = self.processes.shard
        segments = whole.draw(rng, self.samples_per_step, shard)
        return MotionBatch(segments, None if live is None else live.draw(rng, self.how.live_batch, shard))

    def batches(
        self, steps: Iterator[int], *, seed: int, maker: Shard, history: History
    ) -> Iterable[MotionBatch]:
        """Random segments and windows; segments of shards are streamed."""
        if not isinstance(self.segments, StreamedSegments):
            return super().batches(steps, seed=seed, maker=maker, history=history)
        count, shard = self.samples_per_step, self.processes.shard
        streamed = self.segments.batches(steps, count, seed=seed, process=shard, maker=maker, history=history)
        return map(MotionBatch, streamed)

    def learning_rate(self, step: int, fraction: float) -> float:
        """Warm-up, then cosine decay to 0."""
        return self.how.learning_rate * self.how.rate_scale(step)

    def loss(self, batch: MotionBatch, *, step: int, fraction: float) -> Tensor:
        """Positions and velocities, the adversary's loss, and the distance to the first weights."""
        how, (features, targets, seen) = self.how, batch.segments
        predicted = self._predict(features)
        loss = motion_loss(predicted @ self._directions - targets, seen, how.velocity)
        if self.adversary is not None and how.pair is not None:
            real, generated = targets @ self._measure * seen, predicted * seen
            net = self.network
            condition = (features - net.feature_mean) / net.feature_deviation
            scale = how.rate_scale(step)
            self.adversary.train_step(generated, real, condition, step=step, rate_scale=scale)
            weight = how.pair.ramp.weight(fraction)
            if weight > 0:
                loss = loss + weight * self.adversary.loss(generated, real, condition)
        if batch.live is not None:
            loss = loss + how.live_weight * self._live_loss(batch.live)
        if how.hold:
            pairs = zip(self.network.parameters(), self._origin, strict=True)
            loss = loss + how.hold * torch.stack([((p - q) ** 2).sum() for p, q in pairs]).sum()
        return loss

    def _predict(self, features: Tensor) -> Tensor:
        """Return coefficients (B, T, K) of features (B, T, D) with noise."""
        net = self.network
        if self.how.feature_noise:
            noise = self.processes.shard.randn(features.shape)
            features = features + self.how.feature_noise * noise * net.feature_deviation
        with autocast(self.device, self._precision):
            predicted: Tensor = net(features)
        return predicted.float()

    def _live_loss(self, windows: Segments) -> Tensor:
        """Return the loss of the last steps of windows, whose later audio is missing."""
        features, targets, seen = windows
        last = slice(-self.how.live_steps, None)
        error = self._predict(features)[:, last] @ self._directions - targets[:, last]
        return motion_loss(error, seen[:, last], self.how.velocity)


def _weights_fingerprint(network: MotionNetwork | RecurrentMotion) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.float().numpy().tobytes())
    return digest.hexdigest()


class _Segments:
    """Clips joined into one long tensor each of features, targets and weights, cut into random segments."""

    def __init__(self, clips: Sequence[MotionClip], fractions: Sequence[float] | None, segment: int) -> None:
        self.features = torch.from_numpy(np.concatenate([at_least(c.features, segment) for c in clips]))
        shapes = [at_least(c.shapes.reshape(len(c.shapes), -1), segment) for c in clips]
        self.targets = torch.from_numpy(np.concatenate(shapes))
        seen = [at_least(c.present.astype(np.float32), segment) for c in clips]
        self.weights = torch.from_numpy(np.concatenate(seen))[:, None]
        self.lengths = np.array([len(clip.features) for clip in clips])
        self.starts = np.concatenate([[0], np.cumsum(np.maximum(self.lengths, segment))[:-1]])
        fractions_array = np.asarray(self.lengths if fractions is None else fractions, np.float64)
        self.fractions = fractions_array / fractions_array.sum()
        self.segment = segment

    @property
    def fingerprint(self) -> str:
        """A hash of the lengths and fractions of the clips."""
        return hashlib.sha256(self.lengths.tobytes() + self.fractions.tobytes()).hexdigest()

    def draw(self, rng: np.random.Generator, count: int, shard: Shard = WHOLE) -> Segments:
        """Return a shard of ``count`` segments."""
        total = count * shard.count
        clip = rng.choice(len(self.lengths), total, p=self.fractions)
        offset = rng.integers(0, np.maximum(1, self.lengths[clip] - self.segment + 1))
        first = torch.from_numpy(self.starts[clip] + offset)[shard.rows(total)]
        index = first[:, None] + torch.arange(self.segment)
        return self.features[index].float(), self.targets[index], self.weights[index]


class _Drawn(NamedTuple):
    """Clips in memory, and windows of live speech if there are any."""

    whole: _Segments
    live: _Segments | None

    @property
    def fingerprint(self) -> str:
        """A hash of the lengths and fractions of the clips and windows."""
        return self.whole.fingerprint + ("" if self.live is None else self.live.fingerprint)


def segments_of(
    clips: Sequence[MotionClip],
    segment: int,
    *,
    fractions: Sequence[float] | None = None,
    live: Sequence[MotionClip] = (),
    live_fractions: Sequence[float] | None = None,
) -> _Drawn:
    """Return segments of ``segment`` steps, and windows, drawn by fractions, by default by length."""
    windows = _Segments(live, live_fractions, LIVE_STEPS) if live else None
    return _Drawn(_Segments(clips, fractions, segment), windows)
