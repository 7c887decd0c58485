"""Text to speech: a text and a voice to audio, sentence by sentence.

One module for each kind of voice (`hibari`, `piper`, `program`), and `reading`, which reads a text with any
of them. No voice is downloaded. The speech is synthetic; callers that store it must label it so.
"""

from __future__ import annotations

from newscaster.speech.voices.reading import (
    FASTEST,
    SLOWEST,
    Reading,
    ReadSentence,
    SpokenSentence,
    read_sentences,
    resample,
    speak_sentences,
    synthesize,
    voice_names,
    voice_of_a_man,
)

__all__ = [
    "FASTEST",
    "SLOWEST",
    "ReadSentence",
    "Reading",
    "SpokenSentence",
    "read_sentences",
    "resample",
    "speak_sentences",
    "synthesize",
    "voice_names",
    "voice_of_a_man",
]
