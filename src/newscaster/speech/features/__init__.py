"""Speech features: a file for each kind, `kinds` with their names, `spec` and `stream` for all of them."""

from __future__ import annotations

from newscaster.speech.features.feature import MOTION_HZ, STEP_SAMPLES
from newscaster.speech.features.kinds import KINDS
from newscaster.speech.features.spec import FeatureSpec
from newscaster.speech.features.stream import FeatureStream, check_speech, extract, extract_windows

__all__ = [
    "KINDS",
    "MOTION_HZ",
    "STEP_SAMPLES",
    "FeatureSpec",
    "FeatureStream",
    "check_speech",
    "extract",
    "extract_windows",
]
