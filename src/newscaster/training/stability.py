"""Optimizer steps that are guarded against gradients that are not finite."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from newscaster.errors import TrainingError
from newscaster.training.checkpoints import in_parts, optimizer_tensors, part_of, restore_optimizer
from newscaster.training.processes import ALONE, Processes

_LOG = logging.getLogger("newscaster.training")
_MAX_SKIPPED = 20


class GuardedOptimizer:
    """The optimizer of a network. It skips a step whose gradient is not finite; too many end the training.

    Args:
        network: its gradient's norm is taken over all parameters.
        optimizer: a parameter group may hold ``rate_scale``, a factor of its learning rate.
        name: of the network, for messages.
        clip_norm: upper bound of the norm; None leaves gradients as they are.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        name: str,
        clip_norm: float | None = None,
    ) -> None:
        self._network, self._optimizer, self._name = network, optimizer, name
        self._max_norm = clip_norm or math.inf
        self.skipped = 0
        """Steps that were skipped so far."""
        self.processes: Processes = ALONE
        """Those that train the network. All skip the same steps, as their gradients are averaged."""

    def minimize(self, loss: Tensor, *, rate: float, step: int) -> bool:
        """Take one step that lowers ``loss``, and return whether it was taken.

        Raises:
            TrainingError: more than 20 steps were skipped.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("rate_scale", 1.0)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average_gradients(self._network.parameters())
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self._max_norm)
        if bool(torch.isfinite(norm)):
            self._optimizer.step()
            return True
        self.skipped += 1
        if self.skipped > _MAX_SKIPPED:
            raise diverged(self._name, f"the gradient was not finite {self.skipped} times")
        _LOG.warning("training the %s: step %d is skipped, its gradient is not finite", self._name, step)
        return False

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint stores of network and optimizer; :meth:`restore` is the inverse."""
        return in_parts(network=self._network.state_dict(), optimizer=optimizer_tensors(self._optimizer))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what :meth:`tensors` returned.

        Raises:
            KeyError, RuntimeError: the tensors belong to another network.
        """
        self._network.load_state_dict(part_of(tensors, "network"))
        restore_optimizer(self._optimizer, part_of(tensors, "optimizer"))


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
