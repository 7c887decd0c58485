"""Steps that are skipped because their gradient is not finite."""

from __future__ import annotations

import logging

from newscaster.errors import TrainingError

_LOG = logging.getLogger("newscaster.training")
_MAX_SKIPPED = 20


class SkippedSteps:
    """Counts skipped steps; too many of them end the training.

    Args:
        model: name of the network, for messages.
    """

    def __init__(self, model: str) -> None:
        self._model, self._count = model, 0

    @property
    def count(self) -> int:
        """How many steps were skipped so far."""
        return self._count

    def add(self, step: int) -> None:
        """Count one more.

        Raises:
            TrainingError: more than 20 steps were skipped.
        """
        self._count += 1
        if self._count > _MAX_SKIPPED:
            raise diverged(self._model, f"the gradient was not finite {self._count} times")
        _LOG.warning("training the %s: step %d is skipped, its gradient is not finite", self._model, step)


def diverged(model: str, reason: str) -> TrainingError:
    """Return the error of a training whose numbers are not finite any more.

    Args:
        model: name of the network.
        reason: what is not finite.
    """
    return TrainingError(
        f"training the {model} diverged: {reason}. No anchor is written. Run the same command again, which "
        "goes on from the last good state; if it diverges again, name another --work-dir, and report it"
    )
