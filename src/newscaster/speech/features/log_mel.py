"""The log-mel spectrum, 100 frames per second."""

from __future__ import annotations

from newscaster.speech.features.feature import LocalFeature
from newscaster.speech.spectral import HALF_FRAME_SAMPLES, HOP_SAMPLES, MEL_CHANNELS, local_log_mel

# Frames are centred:
#
#     n samples          |----- 160 k -----|
#     first and last |-- 400 --|       |-- 400 --|      left 200, right 40
LOG_MEL = LocalFeature(
    rate_hz=100,
    channels=MEL_CHANNELS,
    compute=local_log_mel,
    left_samples=HALF_FRAME_SAMPLES,
    right_samples=HALF_FRAME_SAMPLES - HOP_SAMPLES,
)
