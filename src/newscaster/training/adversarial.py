"""Adversarial training: one :class:`Adversary` for frames and for motion.

Goodfellow et al., arXiv 1406.2661; hinge loss, arXiv 1705.02894; feature matching, Salimans et al., arXiv
1606.03498. An adversary is handed its discriminator, and leaves all other losses to the tasks that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newscaster.training.optimization import GuardedOptimizer
from newscaster.training.precision import autocast, fast_precision

Activations = list[list[Tensor]]
"""Of a discriminator: one list per scale, which ends with the logits."""


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """Weights of the adversarial loss, beside a reconstruction loss that counts 1."""

    realism: float = 0.02
    """Of the discriminator's logits, summed over its scales."""
    matching: float = 0.2
    """Of the distance between activations for generated and for real samples."""
    learning_rate: float = 5e-4
    """Of the discriminator."""


@dataclass(frozen=True)
class Criterion:
    """How logits become losses."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """Of logits for real and for generated samples."""
    generator: Callable[[Tensor], Tensor]
    """Of logits for generated samples."""


HINGE = Criterion(
    lambda real, generated: torch.relu(1 - real).mean() + torch.relu(1 + generated).mean(),
    lambda generated: -generated.mean(),
)


class Adversary:
    """A discriminator in training, and the loss that it gives a generator.

    Args:
        discriminator: takes samples and their conditions, (B, ...) each, to :data:`Activations`.
        loss: its weights and learning rate.
        device: the discriminator is moved there.
        criterion: how logits become losses.
        optimizer: of the discriminator; by default AdamW.
        precise: compute in float32, whatever is faster.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        loss: AdversarialLoss,
        *,
        device: torch.device,
        criterion: Criterion = HINGE,
        optimizer: torch.optim.Optimizer | None = None,
        precise: bool = False,
    ) -> None:
        self.discriminator = discriminator.to(device)
        self.weights, self._criterion, self._device = loss, criterion, device
        self._precision = None if precise else fast_precision(device)
        if optimizer is None:
            parameters = discriminator.parameters()
            optimizer = torch.optim.AdamW(parameters, lr=loss.learning_rate, betas=(0.5, 0.99), fused=True)
        self.optimizer = GuardedOptimizer(self.discriminator, optimizer, name="discriminator")

    def train_step(
        self, generated: Tensor, real: Tensor, condition: Tensor, *, step: int, rate_scale: float = 1.0
    ) -> None:
        """Train the discriminator on generated and real samples (B, ...) of the same conditions (B, ...)."""
        with autocast(self._device, self._precision):
            scales = self.discriminator(
                torch.cat([real, generated.detach()]), torch.cat([condition, condition])
            )
        logits = [scale[-1].float().chunk(2) for scale in scales]
        loss = torch.stack([self._criterion.discriminator(*pair) for pair in logits]).sum()
        self.optimizer.minimize(loss, rate=self.weights.learning_rate * rate_scale, step=step)

    def loss(self, generated: Tensor, real: Tensor, condition: Tensor) -> Tensor:
        """Return the generator's loss; the discriminator gets no gradient."""
        with autocast(self._device, self._precision):
            with self._frozen():
                scales = self.discriminator(generated, condition)
            if self.weights.matching:
                with torch.no_grad():
                    targets = self.discriminator(real, condition)
        realism = torch.stack([self._criterion.generator(scale[-1].float()) for scale in scales]).sum()
        if not self.weights.matching:
            return self.weights.realism * realism
        distances = [
            (ours.float() - theirs.float()).abs().mean()
            for scale, target in zip(scales, targets, strict=True)
            for ours, theirs in zip(scale[:-1], target[:-1], strict=True)
        ]
        return self.weights.realism * realism + self.weights.matching * torch.stack(distances).mean()

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        self.discriminator.requires_grad_(False)
        try:
            yield
        finally:
            self.discriminator.requires_grad_(True)
