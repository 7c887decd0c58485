"""The opponent of a painting network: a discriminator, how it learns, and what it says of a picture.

Knows adversarial training (Goodfellow et al., arXiv 1406.2661) with feature matching; leaves all other losses
and what is painted to the loops that use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from newscaster.training.checkpoints import in_parts, optimizer_tensors, part_of, restore_optimizer
from newscaster.training.networks.full_frame import PatchDiscriminator
from newscaster.training.running import LeftOutSteps, autocast, fast_precision

Seen = list[list[Tensor]]
"""Activations of a discriminator, per scale."""


@dataclass(frozen=True, kw_only=True)
class OpponentWeights:
    """What the opponent says counts so much, beside the error of pixels, which counts 1."""

    verdict: float = 0.02
    """Whether a picture looks real,"""
    matching: float = 0.2
    """and whether it looks like the real one: its activations (Salimans et al., arXiv 1606.03498)."""
    learning_rate: float = 5e-4
    """Of the discriminator, all the time."""


@dataclass(frozen=True, kw_only=True)
class Sharpening:
    """What asks for sharp pictures, and when: a picture is sharpened when it is otherwise right."""

    detail: float = 0.15
    """Weight of how much fine detail there is about every place, wherever exactly it is (detail_loss)."""
    opponent: OpponentWeights = field(default_factory=OpponentWeights)
    start: float = 0.35
    """The share of the budget from which on all this counts,"""
    over: float = 0.1
    """and over what share of it it comes in."""

    def share(self, used: float) -> float:
        """How much it counts, 0 to 1, when so much of the budget is spent."""
        return min(1.0, max(0.0, (used - self.start) / self.over))


class Opponent:
    """A discriminator of pictures and the maps that they were painted from, in training.

    Args:
        maps: channels of the maps.
        weights: how much it counts.
        device: where it computes.
        seed: of its first weights.
    """

    def __init__(self, maps: int, *, weights: OpponentWeights, device: torch.device, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = PatchDiscriminator(maps)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights, self._device, self._precision = weights, device, fast_precision(device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=weights.learning_rate, betas=(0.5, 0.99), fused=True
        )
        self._left_out = LeftOutSteps("the discriminator")

    def teach(self, painted: Tensor, real: Tensor, maps: Tensor, *, step: int) -> None:
        """One step on pictures (B, 3, h, w) of 0 to 1 with their maps (B, M, h, w): hinge loss."""
        with autocast(self._device, self._precision):
            seen = self.network(torch.cat([real, painted.detach()]), torch.cat([maps, maps]))
        self._optimizer.zero_grad(set_to_none=True)
        _hinge(seen).backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            self._optimizer.step()
        else:
            self._left_out.add(step)

    def loss(self, painted: Tensor, real: Tensor, maps: Tensor) -> Tensor:
        """What the painting network has to answer for; the opponent itself gets no gradient."""
        with autocast(self._device, self._precision):
            with torch.no_grad():
                wanted = self.network(real, maps)
            with self._frozen():
                seen = self.network(painted, maps)
        verdict = torch.stack([scale[-1].float().mean() for scale in seen]).sum()
        apart = [
            (a.float() - b.float()).abs().mean()
            for one, other in zip(seen, wanted, strict=True)
            for a, b in zip(one[:-1], other[:-1], strict=True)
        ]
        return self.weights.matching * torch.stack(apart).mean() - self.weights.verdict * verdict

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it; the way back is :meth:`restore`."""
        return in_parts(network=self.network.state_dict(), optimizer=optimizer_tensors(self._optimizer))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`tensors` gave; KeyError or RuntimeError where that was of another network."""
        self.network.load_state_dict(part_of(tensors, "network"))
        restore_optimizer(self._optimizer, part_of(tensors, "optimizer"))

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.network.requires_grad_(False)
        try:
            yield
        finally:
            self.network.requires_grad_(True)


def _hinge(seen: Seen) -> Tensor:
    """Hinge loss (arXiv 1705.02894) of a discriminator that saw real pictures, then as many painted ones."""
    losses = []
    for scale in seen:
        verdict = scale[-1].float()
        count = len(verdict) // 2
        losses += [torch.relu(1 - verdict[:count]).mean(), torch.relu(1 + verdict[count:]).mean()]
    return torch.stack(losses).sum()
