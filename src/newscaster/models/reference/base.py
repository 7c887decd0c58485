"""The base reference renderer: weights that fit people whom it was not trained on.

The package stores them as one safetensors file, in half precision. ``tools/train_base_renderer.py`` makes it.
The training of every person's renderer starts from them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from newscaster.errors import InputError
from newscaster.face.hidden_box import Box, cell_box
from newscaster.face.references import CELLS
from newscaster.models.frame_task import FrameTask, FrameTraining
from newscaster.models.reference.data import LightVariation, ReferenceBatch, ReferenceFrames
from newscaster.models.reference.losses import ReferenceWeights, reference_loss
from newscaster.models.reference.network import BlendingUNet, ReferenceConfig
from newscaster.models.reference.streamed import StreamedPeople
from newscaster.models.renderer.data import RenderingClip
from newscaster.models.renderer.losses import psnr
from newscaster.training.budget import TimeBudget
from newscaster.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from newscaster.training.loop import History, Metrics, OnReport, Trainer
from newscaster.training.precision import Device, compute_device
from newscaster.training.processes import ALONE, Processes, Shard
from newscaster.training.shards import ShardSet
from newscaster.types import ArrayBool

NAME = "base_renderer.safetensors"
_CHECKED_FRAMES = 24
"""Held-out frames of each person."""


@dataclass(frozen=True)
class Person:
    """Frames of one person."""

    name: str
    clips: Sequence[RenderingClip]
    hidden: ArrayBool
    """(S, S), the pixels to replace."""


@dataclass(frozen=True, kw_only=True)
class BaseTraining(FrameTraining):
    """How the base renderer is trained."""

    batch: int = 8
    """Frames per step of crops of 256 pixels; twice as many of smaller ones."""
    sharpening: None = None
    weights: ReferenceWeights = field(default_factory=ReferenceWeights)
    variation: LightVariation = field(default_factory=LightVariation)


class BaseRendererTask(FrameTask[ReferenceBatch]):
    """The base renderer in training.

    Args:
        people: to train on, in memory or in shards.
        checked: other people; each is rendered from the first four fifths of their own frames.
        start: the network to begin with; None: a new one.
        training: how it is trained.
        device: where it computes.
        seed: of the first weights of a new network.
    """

    kind = "base renderer"
    metric_names = ("psnr",)
    training: BaseTraining
    network: BlendingUNet

    def __init__(
        self,
        people: Sequence[Person] | ShardSet,
        checked: Sequence[Person],
        *,
        device: torch.device,
        seed: int,
        start: BlendingUNet | None = None,
        training: BaseTraining | None = None,
    ) -> None:
        training, config = training or BaseTraining(), ReferenceConfig() if start is None else start.config
        super().__init__(training, device=device, seed=seed, samples=(training.batch, training.batch))
        self._streamed: StreamedPeople | None = None
        self._frames: list[ReferenceFrames] = []
        if isinstance(people, ShardSet):
            self._streamed = StreamedPeople(people, training.variation)
            masks = {side: [hidden] for side, hidden in self._streamed.hidden.items()}
        else:
            self._frames = [
                ReferenceFrames(person.clips, person.hidden, variation=training.variation)
                for person in people
            ]
            masks = {
                side: [person.hidden for person in people if person.hidden.shape[0] == side]
                for side in {person.hidden.shape[0] for person in people}
            }
        self._sides = sorted(masks)
        self._boxes = {side: _common_box(masks[side], config) for side in self._sides}
        self._checked = [(person, _last_fifth(person)) for person in checked]
        self.network = self.build(lambda: BlendingUNet(config) if start is None else copy.deepcopy(start))
        self.optimizer = self.adamw(self.network.parameters())

    def identity(self) -> dict[str, Any]:
        """The shape of the network, and which shards it is trained on."""
        shards = {} if self._streamed is None else {"shards": self._streamed.fingerprint}
        return {"config": self.network.config.to_json(), **shards}

    def batch(self, *, seed: int, step: int) -> ReferenceBatch:
        """Pairs of frames of several people, whose crops have one size."""
        generator = np.random.default_rng((seed, step))
        side = self._sides[step % len(self._sides)]
        pool = [frames for frames in self._frames if frames.side == side]
        chances = np.sqrt([len(frames) for frames in pool])
        shard = self.processes.shard
        pairs = self._pairs(side) * shard.count
        drawn = generator.choice(len(pool), size=pairs, p=chances / chances.sum())
        own, batches = range(pairs)[shard.rows(pairs)], []
        for turn, number in enumerate(drawn):
            if turn in own:
                batches.append(pool[number].random(2, generator))
            else:
                pool[number].pass_over(2, generator)
        return ReferenceBatch.joined(batches)

    def batches(
        self, steps: Iterator[int], *, seed: int, maker: Shard, history: History
    ) -> Iterable[ReferenceBatch]:
        """As :meth:`batch`; those of shards are streamed."""
        if self._streamed is None:
            return super().batches(steps, seed=seed, maker=maker, history=history)
        return self._streamed.batches(
            steps,
            {side: self._pairs(side) for side in self._sides},
            seed=seed,
            process=self.processes.shard,
            maker=maker,
            history=history,
        )

    def _pairs(self, side: int) -> int:
        """Return the number of pairs per step of crops of a side."""
        return self.samples_per_step // 2 * (2 if side < 256 else 1)

    def loss(self, batch: ReferenceBatch, *, step: int, fraction: float) -> Tensor:
        """See :func:`reference_loss`."""
        boxes = batch.on(self.device, self._boxes[batch.crops.shape[1]])
        with self.autocast():
            rendering = self.network(boxes.sight)
        return reference_loss(rendering, boxes, self.training.weights, self.processes.mean)

    @torch.inference_mode()
    def evaluate(self, network: nn.Module) -> Metrics:
        """Mean PSNR over the checked people, inside their masks, dB."""
        network.eval()
        values = []
        for person, frames in self._checked:
            box = _box(person.hidden, self.network.config)
            squared, count = 0.0, 0
            for number in frames.spread(_CHECKED_FRAMES):
                target, hidden, sight = frames.batch(np.array([number])).on(self.device, box)
                error = (network(sight).image.clamp(0, 1) - target) * 255
                squared += float((error.square() * hidden).sum())
                count += 3 * int(hidden.sum())
            values.append(psnr(squared, count))
        return {"psnr": float(np.mean(values)) if values else None}


def _last_fifth(person: Person) -> ReferenceFrames:
    """Return the last fifth of a person's frames, with references from the rest."""
    known, new = [], []
    for clip in person.clips:
        cut = len(clip) * 4 // 5
        known.append(RenderingClip(clip.crops[:cut], clip.points[:cut]))
        new.append(RenderingClip(clip.crops[cut:], clip.points[cut:]))
    return ReferenceFrames(new, person.hidden, sources=known)


def _common_box(hidden: Sequence[ArrayBool], config: ReferenceConfig) -> Box:
    """Return the box of several masks of one size together, in cells."""
    return _box(np.any(np.stack(list(hidden)), axis=0), config)


def _box(hidden: ArrayBool, config: ReferenceConfig) -> Box:
    return cell_box(hidden, cells=CELLS, multiple=config.multiple)


def train_base_renderer(
    people: Sequence[Person] | ShardSet,
    checked: Sequence[Person],
    folder: Path,
    *,
    minutes: float,
    device: Device = "auto",
    seed: int = 0,
    progress: OnReport | None = None,
    processes: Processes = ALONE,
    **settings: Any,
) -> tuple[BlendingUNet, Mapping[str, object]]:
    """Train the base renderer for some minutes, or resume its training, in one process or several together.

    Returns:
        The network, and facts about its training.
    """
    task = BaseRendererTask(people, checked, device=compute_device(device), seed=seed, **settings)
    budget = TimeBudget(minutes)
    trainer: Trainer[ReferenceBatch] = Trainer(task, folder, budget=budget, seed=seed, processes=processes)
    trainer.run(progress=progress)
    network = trainer.average
    assert isinstance(network, BlendingUNet)
    if isinstance(people, ShardSet):
        facts: dict[str, object] = {"samples": sum(group.samples for group in people.groups)}
    else:
        facts = {"people": len(people)}
    facts |= {"steps": trainer.step, "minutes": round(trainer.budget.used_seconds / 60)}
    return network.cpu(), {**facts, **trainer.metrics}


def save_base_renderer(path: Path, network: BlendingUNet, facts: Mapping[str, object]) -> None:
    """Write the weights of a base renderer."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    write_checkpoint(path, Checkpoint(tensors, {"config": network.config.to_json(), "facts": dict(facts)}))


def load_base_renderer(path: Path | None = None) -> BlendingUNet:
    """Load the base renderer of the package, or of a file, in evaluation mode.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path is None:
        with resources.as_file(resources.files("newscaster") / "data" / NAME) as packaged:
            return load_base_renderer(packaged)
    stored = read_checkpoint(path)
    try:
        network = BlendingUNet(ReferenceConfig.from_json(stored.facts["config"]))
        values: dict[str, Tensor] = {
            k: v.float() if v.is_floating_point() else v for k, v in stored.tensors.items()
        }
        network.load_state_dict(values)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' does not hold a base renderer ({error}). Install newscaster again, or make the file "
            "with: make base-renderer"
        ) from error
    return network.eval()
