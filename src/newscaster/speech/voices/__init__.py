"""Text to speech: a text and a voice in, sound out, sentence by sentence.

One module for each kind of voice (`hibari`, `piper`, `program`), and `reading`, which has any of them read a
text. None is fetched from here. The speech is synthetic, and so labelled by whoever stores it.
"""

from __future__ import annotations

from newscaster.speech.voices.reading import (
    FASTEST,
    SLOWEST,
    Reading,
    SpokenSentence,
    resample,
    speak_sentences,
    synthesize,
    voice_names,
    voice_of_a_man,
)

__all__ = [
    "FASTEST",
    "SLOWEST",
    "Reading",
    "SpokenSentence",
    "resample",
    "speak_sentences",
    "synthesize",
    "voice_names",
    "voice_of_a_man",
]
