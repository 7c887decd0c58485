"""The loop that trains a full-frame network against a discriminator: steps, state on disk, figures, pictures.

The state is large, for looks are pictures: it is written as often as little time allows, and the next sitting
goes on from there. What is kept is a moving average of the weights. Who calls it, and what becomes of the
weights, is in ``training.full_frame``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import InputError
from newscaster.face.framemap import CHANNELS
from newscaster.training.ahead import ahead, maker_processes
from newscaster.training.checkpoints import (
    STATE,
    WEIGHTS,
    Checkpoint,
    in_parts,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)
from newscaster.training.full_frame_data import FullFrameData, PairBatch, Pairs, Sight
from newscaster.training.full_frame_losses import (
    FullFrameWeights,
    detail_loss,
    error_loss,
    perceptual_loss,
    pixel_weights,
)
from newscaster.training.full_frame_painting import PictureQuality, evaluate, paint
from newscaster.training.full_frame_start import start_from
from newscaster.training.networks.full_frame import FullFrame, FullFrameConfig
from newscaster.training.networks.perceptual import Perceptual
from newscaster.training.opponent import Opponent, Sharpening
from newscaster.training.previews import write_comparison
from newscaster.training.running import (
    PREVIEW,
    LeftOutSteps,
    Pace,
    Progress,
    autocast,
    fast_precision,
    follow,
    run_sitting,
)
from newscaster.training.schedule import TimeBudget, learning_rate

KIND = "full frame"
_PREVIEW_FRAMES = 5


@dataclass(frozen=True, kw_only=True)
class FullFrameTraining:
    """How a full-frame network is trained."""

    pairs: int = 4
    """Pairs of successive frames per step."""
    gpu_pairs: int = 16
    """The same on a GPU, which takes as long for a small step as for a large one."""
    learning_rate: float = 1.5e-3
    """Its peak; it follows the time budget."""
    look_rate: float = 0.15
    """The learning rate of backdrops and textures, as a share of the others': they start as good pictures."""
    warmup_steps: int = 200
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    """Of all but backdrops and textures."""
    average: float = 0.998
    """Decay per step of the moving average of the weights, once under way."""
    clip_norm: float = 1.0
    """Greatest norm of the gradient."""
    look_sharpness: float = 6.0
    """How sharply looks give way to each other at first."""
    start_frames: int = 2000
    """Frames that the first looks are made of."""
    loss: FullFrameWeights = field(default_factory=FullFrameWeights)
    sharpening: Sharpening = field(default_factory=Sharpening)
    sight: Sight = field(default_factory=Sight)
    check_frames: int = 60
    """Held-out frames that figures are taken on along the way, evenly spread."""
    last_check_frames: int = 300
    """And at the end."""
    report_seconds: float = 5.0
    """Time between two reports of progress."""
    save_seconds: float = 20.0
    """Least time between two writings of the state,"""
    save_share: float = 0.02
    """and the share of all time that they may take."""
    preview_seconds: float = 120.0
    """Time between two preview pictures, each with its figures on held-out frames."""


class Trainer:
    """One training: network, average, discriminator, optimizers, and the step that they have come to."""

    def __init__(
        self,
        data: FullFrameData,
        folder: Path,
        *,
        config: FullFrameConfig,
        how: FullFrameTraining,
        device: torch.device,
        seed: int,
        perceptual: Perceptual,
    ) -> None:
        if config.size != data.learn.size:
            raise InputError(f"config.size is {config.size}; the pictures are {data.learn.size}. Give that")
        self.data, self.folder, self.how, self.device, self.seed = data, folder, how, device, seed
        self.count = how.pairs if device.type == "cpu" else how.gpu_pairs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = self._placed(FullFrame(config))
        self.opponent = Opponent(len(CHANNELS), weights=how.sharpening.opponent, device=device, seed=seed)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.perceptual = self._placed(perceptual)
        self.optimizer = _optimizer(self.network, how)
        self.pairs = Pairs(data.learn, config, how.sight)
        self.precision = fast_precision(device)
        self.left_out = LeftOutSteps("the full-frame network")
        self.step, self.quality = 0, None  # type: int, PictureQuality | None

    def _placed(self, network: Any) -> Any:
        return network.to(self.device, memory_format=torch.channels_last)

    # -- state -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Give the network its first looks."""
        network = copy.deepcopy(self.network).cpu()
        how = self.how
        start_from(
            network,
            self.data.learn,
            sharpness=how.look_sharpness,
            most_frames=how.start_frames,
            seed=self.seed,
        )
        for one in (self.network, self.average):
            one.load_state_dict(network.state_dict())

    def save(self, used_seconds: float) -> None:
        """Write the weights that can be used, then the state.

        In this order: killed between the two, training goes on from the older state and replaces the weights.
        """
        config = self.network.config.to_json()
        tensors = in_parts(
            network=self.network.state_dict(),
            average=self.average.state_dict(),
            optimizer=optimizer_tensors(self.optimizer),
            opponent=self.opponent.tensors(),
        )
        facts = {"kind": KIND, "step": self.step, "seed": self.seed, "config": config}
        figures = {"psnr": self.psnr, **self.figures()}
        write_checkpoint(self.folder / WEIGHTS, Checkpoint(self.average.state_dict(), {**facts, **figures}))
        write_checkpoint(self.folder / STATE, Checkpoint(tensors, {**facts, "used_seconds": used_seconds}))

    def resume(self) -> float:
        """Take up the state in the folder; gives the seconds that were used."""
        path = self.folder / STATE
        state = read_checkpoint(path)
        try:
            if state.facts.get("kind") != KIND:
                raise ValueError(f"it is of a {state.facts.get('kind')!r}")
            if FullFrameConfig.from_json(state.facts["config"]) != self.network.config:
                raise ValueError(f"it is of a network of another shape: {state.facts['config']}")
            for part in ("network", "average"):
                getattr(self, part).load_state_dict(state.part(part))
            restore_optimizer(self.optimizer, state.part("optimizer"))
            self.opponent.restore(state.part("opponent"))
            self.step, self.seed = int(state.facts["step"]), int(state.facts["seed"])
            return float(state.facts["used_seconds"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"'{path}' cannot be resumed: {error}. Train without resuming, or into another folder"
            ) from error

    # -- the loop --------------------------------------------------------------------------------------------

    def run(self, budget: TimeBudget, progress: Progress) -> None:
        """Train until the budget is spent; the state is saved on the way and at the end."""
        self.network.train()
        pairs, count = self.pairs, self.count
        run_sitting(
            self,
            lambda first: ahead(
                lambda step: pairs.random(count, seed=self.seed, step=step),
                first_step=first,
                processes=maker_processes(self.device),
            ),
            budget,
            progress,
        )

    @property
    def pace(self) -> Pace:
        """When what is done beside training."""
        how = self.how
        return Pace(
            images_per_step=2 * self.count,
            report_seconds=how.report_seconds,
            save_seconds=how.save_seconds,
            preview_seconds=how.preview_seconds,
            save_share=how.save_share,
        )

    def update(self, batch: PairBatch, used: float) -> Tensor:
        """One step on a batch, when the share ``used`` of the budget is spent; gives its loss."""
        how = self.how
        rate = learning_rate(how.learning_rate, step=self.step, used=used, warmup_steps=how.warmup_steps)
        for group, share in zip(self.optimizer.param_groups, (1.0, how.look_rate), strict=True):
            group["lr"] = rate * share
        real, maps, planes, looks = map(self._to_device, _arrays(batch))
        real = real.permute(0, 3, 1, 2).float() / 255
        with autocast(self.device, self.precision):
            painted = self.network(maps, planes, looks, batch.window)
        loss = self._loss(painted.float(), real, self._fine(maps, real), how.sharpening.share(used))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), how.clip_norm)
        if not bool(torch.isfinite(norm)):
            self.left_out.add(self.step)
            return loss.detach()
        self.optimizer.step()
        follow(self.average, self.network, decay=how.average, step=self.step)
        return loss.detach()

    def _loss(self, painted: Tensor, real: Tensor, maps: Tensor, sharpening: float) -> Tensor:
        weights = self.how.loss
        loss = error_loss(painted, real, pixel_weights(maps[:, :1], weights), weights)
        with autocast(self.device, self.precision):
            loss = loss + weights.perceptual * perceptual_loss(self.perceptual, painted, real)
        if sharpening > 0:
            self.opponent.teach(painted, real, maps, step=self.step)
            asked = self.how.sharpening.detail * detail_loss(painted, real)
            loss = loss + sharpening * (asked + self.opponent.loss(painted, real, maps))
        return loss

    def _fine(self, maps: Tensor, real: Tensor) -> Tensor:
        """Maps as coverage of 0 to 1 on the grid of pixels."""
        fine = functional.interpolate(maps.float() / 255, scale_factor=float(self.network.config.cell))
        return fine[..., : real.shape[2], : real.shape[3]]

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # -- held-out frames -------------------------------------------------------------------------------------

    @property
    def psnr(self) -> float | None:
        """Of whole held-out pictures, dB, when last measured."""
        return self.quality.psnr if self.quality else None

    def figures(self) -> dict[str, float | None]:
        """What the table of progress gets besides the columns that all have."""
        quality = self.quality
        return {
            "face_psnr": quality.face_psnr if quality else None,
            "sharpness": quality.sharpness if quality else None,
        }

    def check(self, frames: int | None = None) -> PictureQuality:
        """Figures on so many held-out frames."""
        self.average.eval()
        numbers = self.data.held_out.spread(frames or self.how.check_frames)
        self.quality = evaluate(self.average, self.data.held_out, numbers, precision=self.precision)
        return self.quality

    def preview(self) -> None:
        """Write the preview picture of fixed held-out frames."""
        self.average.eval()
        some = self.data.held_out[self.data.held_out.spread(_PREVIEW_FRAMES)]
        painted = paint(self.average, some.landmarks, some.planes, some.looks, precision=self.precision)
        real = np.stack([some.picture(number) for number in range(len(some))])
        write_comparison(self.folder / PREVIEW, real=real, painted=np.stack(list(painted)))


def _optimizer(network: FullFrame, how: FullFrameTraining) -> torch.optim.AdamW:
    looks = [network.backdrops, network.textures]
    own = {id(parameter) for parameter in looks}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in own]
    groups = [{"params": rest, "weight_decay": how.weight_decay}, {"params": looks, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=how.learning_rate, betas=(0.9, 0.99), fused=True)


def _arrays(batch: PairBatch) -> tuple[npt.NDArray[Any], ...]:
    return batch.pictures, batch.maps, batch.planes, batch.looks
