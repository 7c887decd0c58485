"""The interface of all voices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from newscaster.types import ArrayF32


class Voice(Protocol):
    """A voice that speaks sentences."""

    @property
    def language(self) -> str:
        """Code of the voice's language, such as "en" or "de-AT"; "" if unknown."""
        ...

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """Return words and signs that the voice would skip or spell, and the kind of each.

        A kind is, for example, "Cyrillic" or "a sign". The result is as complete as is known in advance.
        """
        ...

    def say(self, sentence: str, *, speed: float) -> tuple[ArrayF32, int]:
        """Speak a sentence.

        Args:
            sentence: on one line, with its punctuation.
            speed: pace; 1 is the voice's own.

        Returns:
            (N,) float32 mono, 1.0 = full scale, and its rate in Hz. N is 0 if nothing is spoken.

        Raises:
            SpeechError: the voice cannot speak it.
        """
        ...
