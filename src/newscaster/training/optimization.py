"""Steps of an optimizer: clipped, guarded against gradients that are not finite, and averaged."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from newscaster.errors import TrainingError
from newscaster.training.checkpoints import in_parts, optimizer_tensors, part_of, restore_optimizer
from newscaster.training.processes import ALONE, Processes, join_modules

_LOG = logging.getLogger("newscaster.training")
_MAX_SKIPPED = 20


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How gradients change the weights."""

    ema_decay: float | None = 0.998
    """Decay per step of the moving average of the weights, which is what is kept; None keeps the weights."""
    clip_norm: float | None = 1.0
    """Upper bound of the gradient's norm; None leaves gradients as they are."""


PLAIN = Optimization(ema_decay=None, clip_norm=None)
"""Neither an average nor a bound."""


class GuardedOptimizer:
    """The optimizer of a network. It skips a step whose gradient is not finite; too many end the training.

    Args:
        network: its gradient's norm is taken over all parameters.
        optimizer: a parameter group may hold ``rate_scale``, a factor of its learning rate.
        name: of the network, for messages.
        how: average and bound.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        name: str,
        how: Optimization = PLAIN,
    ) -> None:
        self.network, self._optimizer, self._name = network, optimizer, name
        self._max_norm, self._decay = how.clip_norm or math.inf, how.ema_decay
        self.average = network if how.ema_decay is None else copy.deepcopy(network).requires_grad_(False)
        """The network with averaged weights; the network itself if there is no average."""
        self.skipped = 0
        """Steps that were skipped so far."""
        self._processes: Processes = ALONE

    def join(self, processes: Processes) -> None:
        """Train the network together with these processes. All skip the same steps."""
        self._processes = processes
        join_modules(self.network, processes)

    def start(self) -> None:
        """Take the weights of the first process, and start the average from them."""
        self._processes.copy_first(self.network)
        if self._decay is not None:
            self.average.load_state_dict(self.network.state_dict())

    def minimize(self, loss: Tensor, *, rate: float, step: int) -> None:
        """Take one step that lowers ``loss``.

        Raises:
            TrainingError: more than 20 steps were skipped.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("rate_scale", 1.0)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average_gradients(self.network.parameters())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._max_norm)
        if bool(torch.isfinite(norm)):
            self._optimizer.step()
            if self._decay is not None:
                update_ema(self.average, self.network, decay=self._decay, step=step)
            return
        self.skipped += 1
        if self.skipped > _MAX_SKIPPED:
            raise diverged(self._name, f"the gradient was not finite {self.skipped} times")
        _LOG.warning("training the %s: step %d is skipped, its gradient is not finite", self._name, step)

    def check_finite(self, step: int) -> None:
        """Check the weights and their average.

        Raises:
            TrainingError: one of them is not finite.
        """
        for network in (self.network, self.average):
            for name, value in network.state_dict().items():
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    raise diverged(self._name, f"its weights '{name}' are not finite at step {step}")

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint stores of network and optimizer; :meth:`restore` is the inverse."""
        return in_parts(network=self.network.state_dict(), optimizer=optimizer_tensors(self._optimizer))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what :meth:`tensors` returned.

        Raises:
            KeyError, RuntimeError: the tensors belong to another network.
        """
        self.network.load_state_dict(part_of(tensors, "network"))
        restore_optimizer(self._optimizer, part_of(tensors, "optimizer"))


def update_ema(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the exponential moving average towards the network: parameters and floating-point buffers.

    The average is shorter during the first steps, so that it forgets the first weights.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(_floats(average), _floats(network), strict=True):
            mean.lerp_(value, weight)


def _floats(network: nn.Module) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]


def diverged(name: str, reason: str) -> TrainingError:
    """Return the error of a training whose numbers are not finite any more.

    Args:
        name: of the network.
        reason: what is not finite.
    """
    return TrainingError(
        f"training the {name} diverged: {reason}. No anchor is written. Run the same command again, which "
        "goes on from the last good state; if it diverges again, name another --work-dir, and report it"
    )
