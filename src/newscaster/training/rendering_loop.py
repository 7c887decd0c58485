"""The loop that trains a renderer: steps, the state on disk, figures and pictures on the way.

About every minute the state is written, and the next sitting goes on from there. What is kept is a moving
average of the weights. Who calls it, and what becomes of the weights, is in ``training.rendering``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from newscaster.errors import InputError
from newscaster.face.facemap import CHANNELS
from newscaster.face.grain import grain_between
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
from newscaster.training.full_frame_losses import LUMA, detail_loss, perceptual_loss
from newscaster.training.networks.kernel_face import KernelFace
from newscaster.training.networks.perceptual import Perceptual
from newscaster.training.networks.renderer import Box, Renderer, RendererConfig
from newscaster.training.opponent import Opponent, OpponentWeights, Sharpening
from newscaster.training.previews import write_preview
from newscaster.training.rendering_data import Batch, Frames, RenderingData, Variation, mouth_box
from newscaster.training.rendering_losses import LossWeights, pixel_weights, psnr, reconstruction_loss
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

GENTLE = Sharpening(detail=0.06, opponent=OpponentWeights(verdict=0.008, matching=0.08))
"""With all of it 2.5 times as strong, its gradients left the error of pixels little to say: edges of the face
were torn."""
_PREVIEW_FRAMES = 6
_MEAN_FRAMES = 400
_START_FRAMES = 6000
_LIGHT, _COLOUR, _LIFT = 0.08, 0.025, 0.03
"""Standard deviations of gains, of colours' gains beside them, and of offsets, of other light."""
_CHECKING_BATCH = 16
_GRAIN_TRIPLES = 40


@dataclass(frozen=True, kw_only=True)
class RenderingTraining:
    """How a renderer is trained."""

    batch: int = 8
    """Frames per step, half of them following the others; within a few minutes, many small steps do more than
    few large ones."""
    gpu_batch: int = 32
    """The same on a GPU, which takes as long for a small step as for a large one."""
    learning_rate: float = 2e-3
    """Its peak; it follows the time budget."""
    warmup_steps: int = 100
    """Steps over which the rate rises."""
    weight_decay: float = 1e-2
    average: float = 0.998
    """Decay per step of the moving average of the weights, once under way."""
    clip_norm: float = 1.0
    """Greatest norm of the gradient."""
    loss: LossWeights = field(default_factory=LossWeights)
    sharpening: Sharpening | None = GENTLE
    """What makes a mouth as sharp as the face around it, and costs some PSNR; None: nothing."""
    variation: Variation = field(default_factory=Variation)
    check_frames: int = 400
    """Held-out frames that figures are taken on, evenly spread."""
    report_seconds: float = 5.0
    """Time between two reports of progress."""
    save_seconds: float = 20.0
    """Time between two writings of the state."""
    preview_seconds: float = 120.0
    """Time between two preview pictures, each with its figures on held-out frames."""


class Trainer:
    """One training: network, average, optimizer, and the step that they have come to."""

    def __init__(
        self,
        data: RenderingData,
        folder: Path,
        *,
        config: RendererConfig,
        how: RenderingTraining,
        device: torch.device,
        seed: int,
    ) -> None:
        self.folder, self.how, self.device, self.seed = folder, how, device, seed
        self.batch = how.batch if device.type == "cpu" else how.gpu_batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Renderer(config, data.hidden)
        map_side = network.map_side
        self.frames = Frames(data.clips, map_side=map_side, variation=how.variation)
        self.held_out = Frames(data.held_out, map_side=map_side)
        self.checked = self.held_out.spread(how.check_frames)
        network.fill_with(_mean_region(self.frames))
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=how.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=how.weight_decay,
            fused=True,
        )
        self.opponent = (
            Opponent(len(CHANNELS), weights=how.sharpening.opponent, device=device, seed=seed)
            if how.sharpening
            else None
        )
        self.perceptual = self._pretrained() if how.sharpening and how.loss.perceptual else None
        self.mouth = _inside(network.box, mouth_box(data.clips))
        self.precision = fast_precision(device)
        self.hidden: npt.NDArray[np.bool_] = data.hidden
        self.left_out = LeftOutSteps("the renderer")
        self.step, self.psnr = 0, None  # type: int, float | None

    def _pretrained(self) -> Perceptual:
        placed: Perceptual = Perceptual.pretrained().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    # -- state -----------------------------------------------------------------------------------------------

    def save(self, used_seconds: float) -> None:
        """Write the weights that can be exported, then the state.

        In this order: killed between the two, training goes on from the older state and replaces the weights.
        """
        config = self.network.config.to_json()
        tensors = in_parts(
            network=self.network.state_dict(),
            average=self.average.state_dict(),
            optimizer=optimizer_tensors(self.optimizer),
            opponent={} if self.opponent is None else self.opponent.tensors(),
        )
        facts = {"kind": "renderer", "config": config, "step": self.step}
        facts |= {"psnr": self.psnr, "grain": self.average.grain}
        write_checkpoint(self.folder / WEIGHTS, Checkpoint(self.average.state_dict(), facts))
        facts = {"step": self.step, "used_seconds": used_seconds, "seed": self.seed, "config": config}
        write_checkpoint(self.folder / STATE, Checkpoint(tensors, facts))

    def resume(self) -> float:
        """Take up the state in the folder; gives the seconds that were used."""
        path = self.folder / STATE
        state = read_checkpoint(path)
        try:
            if RendererConfig.from_json(state.facts["config"]) != self.network.config:
                raise ValueError(f"it is of a network of another shape: {state.facts['config']}")
            if not torch.equal(state.part("network")["hidden"], self.network.hidden.cpu()):
                raise ValueError("it is of another mask: the footage was prepared anew")
            self.network.load_state_dict(state.part("network"))
            self.average.load_state_dict(state.part("average"))
            restore_optimizer(self.optimizer, state.part("optimizer"))
            if self.opponent is not None:
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
        batch, frames = self.batch, self.frames
        if self.step == 0 and self.network.kernel is not None:
            self._fit_start(self.network.kernel)
            self.save(budget.used_seconds)  # where that was all the time there is, it is what was learnt
        run_sitting(
            self,
            lambda first: ahead(
                lambda step: frames.pairs(batch // 2, seed=self.seed, step=step),
                first_step=first,
                processes=maker_processes(self.device),
            ),
            budget,
            progress,
        )

    @torch.no_grad()
    def _fit_start(self, kernel: KernelFace) -> None:
        """Give the network its start, from frames as they are, and once more in other light."""
        net, numbers = self.network, self.frames.spread(_START_FRAMES)
        generator = torch.Generator().manual_seed(self.seed)
        maps, contexts, wanted, folds = [], [], [], []
        for first in range(0, len(numbers), _CHECKING_BATCH):
            batch = self.frames.batch(numbers[first : first + _CHECKING_BATCH])
            target, face_map = self._seen(batch)
            for seen in (target, _in_other_light(target, generator)):
                map_part, context = kernel.pooled(face_map, net.surroundings(seen))
                maps.append(map_part.cpu())
                contexts.append(context.cpu())
                wanted.append(kernel.elements((seen - net.fill) * net.covered).half().cpu())
                folds.append(torch.from_numpy(batch.folds))
        fitted = copy.deepcopy(kernel).cpu()
        fitted.fit(torch.cat(maps), torch.cat(contexts), torch.cat(wanted), torch.cat(folds))
        for network in (self.network, self.average):
            assert network.kernel is not None
            network.kernel.load_state_dict(fitted.state_dict())

    @property
    def pace(self) -> Pace:
        """When what is done beside training."""
        how = self.how
        return Pace(
            images_per_step=self.batch,
            report_seconds=how.report_seconds,
            save_seconds=how.save_seconds,
            preview_seconds=how.preview_seconds,
        )

    def figures(self) -> dict[str, float | None]:
        """What the table of progress gets besides the columns that all have: nothing."""
        return {}

    def update(self, batch: Batch, used: float) -> Tensor:
        """One step on a batch, when the share ``used`` of the budget is spent; gives its loss."""
        how = self.how
        rate = learning_rate(how.learning_rate, step=self.step, used=used, warmup_steps=how.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._loss(batch, how.sharpening.share(used) if how.sharpening else 0.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), how.clip_norm)
        if not bool(torch.isfinite(norm)):
            self.left_out.add(self.step)
            return loss.detach()
        self.optimizer.step()
        follow(self.average, self.network, decay=how.average, step=self.step)
        return loss.detach()

    def _loss(self, batch: Batch, sharpening: float) -> Tensor:
        net, (target, face_map) = self.network, self._seen(batch)
        with autocast(self.device, self.precision):
            output = net.predict(target, face_map, self._to_device(batch.folds))
        pixels = pixel_weights(net.covered, face_map[:, :1], self.how.loss)
        loss = reconstruction_loss(output.float(), target, pixels, self.how.loss)
        if sharpening > 0:
            loss = loss + sharpening * self._sharp_loss(output.float(), target, face_map)
        return loss

    def _sharp_loss(self, output: Tensor, target: Tensor, face_map: Tensor) -> Tensor:
        """What asks for sharpness about the mouth: detail, an opponent, a network that has learnt to see."""
        how, net = self.how.sharpening, self.network
        assert how is not None
        assert self.opponent is not None
        # What is not hidden is given: only what replaces the rest is judged.
        painted = torch.where(net.covered, output, target)
        maps = functional.interpolate(face_map, size=target.shape[-2:], mode="bilinear")
        t, b, l, r = self.mouth  # noqa: E741
        painted, target, maps = (x[..., t:b, l:r] for x in (painted, target, maps))
        self.opponent.teach(painted, target, maps, step=self.step)
        asked = how.detail * detail_loss(painted, target)
        loss = asked + self.opponent.loss(painted, target, maps)
        if self.perceptual is not None:
            with autocast(self.device, self.precision):
                seen = perceptual_loss(self.perceptual, painted, target)
            loss = loss + self.how.loss.perceptual * seen
        return loss

    def _seen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The box of a batch's regions, varied, and of its face maps."""
        regions, face_maps, gain, offset = map(self._to_device, _arrays(batch))
        return self.network.cut(regions) * gain + offset, self.network.cut_map(face_maps)

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # -- held-out frames -------------------------------------------------------------------------------------

    def render(self, numbers: npt.NDArray[np.int64]) -> tuple[Batch, npt.NDArray[np.uint8]]:
        """Held-out frames and what the averaged network makes of them."""
        batch = self.held_out.batch(numbers)
        self.average.eval()
        with torch.inference_mode(), autocast(self.device, self.precision):
            out = self.average(self._to_device(batch.regions), self._to_device(batch.face_maps))
        return batch, out.cpu().numpy()

    def check(self) -> float:
        """PSNR inside the mask over all checked frames together, dB; notes what grain is missing, too."""
        squared, count = 0.0, 0
        for start in range(0, len(self.checked), _CHECKING_BATCH):
            batch, rendered = self.render(self.checked[start : start + _CHECKING_BATCH])
            difference = rendered[:, self.hidden].astype(np.float64) - batch.regions[:, self.hidden]
            squared, count = squared + float((difference**2).sum()), count + difference.size
        self.psnr = psnr(squared, count)
        self.average.grain = missing_grain(self.render, self.held_out, self.hidden)
        return self.psnr

    def preview(self) -> None:
        """Write the preview picture of fixed held-out frames."""
        batch, rendered = self.render(self.held_out.openings(_PREVIEW_FRAMES))
        write_preview(
            self.folder / PREVIEW,
            regions=batch.regions,
            face_maps=batch.face_maps,
            rendered=rendered,
            hidden=self.hidden,
        )


def _in_other_light(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, 3, h, w), each with a gain and an offset of its own."""
    light, colour, lift = (
        torch.randn(len(pictures), channels, 1, 1, generator=generator).to(pictures.device)
        for channels in (1, 3, 1)
    )
    return pictures * (1 + _LIGHT * light + _COLOUR * colour) + _LIFT * lift


def missing_grain(
    render: Callable[[npt.NDArray[np.int64]], tuple[Batch, npt.NDArray[np.uint8]]],
    frames: Frames,
    hidden: npt.NDArray[np.bool_],
) -> float:
    """Strength of the grain that frames have and painted ones lack, in levels.

    Args:
        render: what gives frames by their numbers, and what is painted in their place, (B, S, S, 3).
        frames: that were not learnt from.
        hidden: (S, S), the pixels that count.
    """
    triples = frames.triples(_GRAIN_TRIPLES)
    if not len(triples):
        return 0.0
    pixels = [
        [
            pictures[:, hidden].astype(np.float32) @ np.array(LUMA, np.float32)
            for pictures in (batch.regions, rendered)
        ]
        for batch, rendered in map(render, triples)
    ]
    real, made = (np.stack(brightness) for brightness in zip(*pixels, strict=True))
    return round(grain_between(made, real), 3)


def _arrays(batch: Batch) -> tuple[npt.NDArray[Any], ...]:
    return batch.regions, batch.face_maps, batch.gain, batch.offset


def _inside(box: Box, mouth: tuple[int, int, int, int]) -> Box:
    """The part of the box that shows the mouth, in pixels of the box, its sides multiples of 16."""
    sides = []
    for low, high, first, last in ((box.top, box.bottom, *mouth[:2]), (box.left, box.right, *mouth[2:])):
        room = high - low
        size = min(room, -(-(last - first) // 16) * 16)
        start = min(max(0, (first + last - size) // 2 - low), room - size)
        sides += [start, start + size]
    return Box(*sides)


def _mean_region(frames: Frames) -> Tensor:
    numbers = frames.spread(_MEAN_FRAMES)
    total = sum(frames.batch(numbers[i : i + 1]).regions[0].astype(np.float64) for i in range(len(numbers)))
    return torch.from_numpy(np.asarray(total / len(numbers), np.float32))
