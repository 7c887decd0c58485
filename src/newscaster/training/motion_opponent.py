"""The opponent of a motion network: the other half of the adversarial pair, and what it says of a motion.

Knows adversarial training (Goodfellow et al., arXiv 1406.2661; hinge loss, arXiv 1705.02894) with feature
matching (Salimans et al., arXiv 1606.03498); positions, velocities and the loop are in
``training.motion_loop``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from newscaster.training.checkpoints import in_parts, optimizer_tensors, part_of, restore_optimizer
from newscaster.training.networks.motion_discriminator import MotionDiscriminator
from newscaster.training.running import autocast, fast_precision


@dataclass(frozen=True, kw_only=True)
class PairTraining:
    """How a motion network and its opponent are trained against each other."""

    verdict: float = 5e-5
    """Weight of looking real, beside the error of positions, about 0.006, which counts 1,"""
    matching: float = 5e-4
    """and of looking to the opponent like the motion that was seen: the distance of its activations."""
    learning_rate: float = 4e-4
    """Of the opponent; it falls with the generator's."""
    start: float = 0.25
    """The share of all updates from which on the opponent counts (it learns from the first one),"""
    over: float = 0.15
    """and over what share of them it comes in."""

    def share(self, done: float) -> float:
        """How much the opponent counts, 0 to 1, when so much of the training is done."""
        return min(1.0, max(0.0, (done - self.start) / self.over))


class MotionOpponent:
    """A discriminator of motion, in training.

    Args:
        motion: real courses of coefficients (T, K) that its input is scaled by.
        inputs: features per step.
        training: how much it counts and how it learns.
        seed: of its first weights.
    """

    def __init__(self, motion: Sequence[Tensor], *, inputs: int, training: PairTraining, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = MotionDiscriminator(coefficients=motion[0].shape[1], inputs=inputs)
        self.network.normalise_with(motion)
        self.training = training
        self._device = torch.device("cpu")
        self._precision = fast_precision(self._device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, betas=(0.5, 0.99), fused=True
        )

    def teach(self, made: Tensor, seen: Tensor, features: Tensor, *, pace: float) -> None:
        """One step on motions (B, T, K) with normalised features (B, T, D), at ``pace`` of the full rate."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.training.learning_rate * pace
        with autocast(self._device, self._precision):
            found = self.network(torch.cat([seen, made.detach()]), torch.cat([features, features]))
        losses = []
        for scale in found:
            real, painted = scale[-1].float().chunk(2)
            losses += [torch.relu(1 - real).mean(), torch.relu(1 + painted).mean()]
        self._optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def loss(self, made: Tensor, seen: Tensor, features: Tensor) -> Tensor:
        """What the generator has to answer for; the opponent itself gets no gradient."""
        self.network.requires_grad_(False)
        with autocast(self._device, self._precision):
            found = self.network(torch.cat([made, seen.detach()]), torch.cat([features, features]))
        self.network.requires_grad_(True)
        verdicts, apart = [], []
        for scale in found:
            verdicts.append(scale[-1].float().chunk(2)[0].mean())
            pairs = (activation.float().chunk(2) for activation in scale[:-1])
            apart += [(ours - theirs.detach()).abs().mean() for ours, theirs in pairs]
        matching, verdict = torch.stack(apart).mean(), torch.stack(verdicts).mean()
        return self.training.matching * matching - self.training.verdict * verdict

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it; the way back is :meth:`restore`."""
        return in_parts(network=self.network.state_dict(), optimizer=optimizer_tensors(self._optimizer))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`tensors` gave; KeyError or RuntimeError where that was of another network."""
        self.network.load_state_dict(part_of(tensors, "network"))
        restore_optimizer(self._optimizer, part_of(tensors, "optimizer"))
