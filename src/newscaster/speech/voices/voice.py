"""What every voice can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from newscaster.speech.spectral import Floats


class Voice(Protocol):
    """Says one sentence after the other."""

    @property
    def language(self) -> str:
        """Code of the language that it reads, such as "en" or "de-AT"; "" if it is not known."""
        ...

    def unread(self, sentence: str) -> Sequence[tuple[str, str]]:
        """Words and signs of a sentence that the voice would skip or spell, as far as it can tell beforehand;
        and what each is, such as "Cyrillic" or "a sign".
        """
        ...

    def say(self, sentence: str, *, speed: float) -> tuple[Floats, int]:
        """Speak a sentence.

        Args:
            sentence: on one line, with its punctuation.
            speed: pace; 1 is the voice's own.

        Returns:
            (N,) float32 mono, 1.0 = full scale, and its rate in Hz. N is 0 where there is nothing to say.

        Raises:
            SpeechError: the voice cannot say it.
        """
        ...
