"""The kinds of speech features by name. A kind of several parts holds them side by side."""

from __future__ import annotations

from newscaster.speech.features.feature import Feature
from newscaster.speech.features.log_mel import LOG_MEL
from newscaster.speech.features.mfcc import MFCC
from newscaster.speech.features.whisper import WHISPER

KINDS: dict[str, tuple[Feature, ...]] = {
    "log-mel": (LOG_MEL,),
    "mfcc": (MFCC,),
    "whisper": (WHISPER,),
    "whisper+log-mel": (WHISPER, LOG_MEL),
}
"""The parts of every kind. Its rate is that of the slowest part; faster parts are stacked."""
