"""Steps that are skipped because their gradient is not finite."""

from __future__ import annotations

import logging

_LOG = logging.getLogger("newscaster.training")
_MAX_SKIPPED = 20


class SkippedSteps:
    """Counts skipped steps; too many of them end the training.

    Args:
        model: name of the network, for messages.
    """

    def __init__(self, model: str) -> None:
        self._model, self._count = model, 0

    def add(self, step: int) -> None:
        """Count one more.

        Raises:
            FloatingPointError: more than 20 steps were skipped.
        """
        self._count += 1
        if self._count > _MAX_SKIPPED:
            raise FloatingPointError(
                f"training the {self._model}: the gradient was not finite {self._count} times"
            )
        _LOG.warning("training the %s: step %d is skipped, its gradient is not finite", self._model, step)
