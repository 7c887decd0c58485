"""Mel-frequency cepstral coefficients with first and second differences, 100 frames per second."""

from __future__ import annotations

from newscaster.speech.features.feature import LocalFeature
from newscaster.speech.features.log_mel import LOG_MEL
from newscaster.speech.spectral import HOP_SAMPLES, MFCC_CHANNELS, MFCC_REACH, local_mfcc

MFCC = LocalFeature(
    rate_hz=100,
    channels=MFCC_CHANNELS,
    compute=local_mfcc,
    left_samples=LOG_MEL.left_samples + MFCC_REACH * HOP_SAMPLES,
    right_samples=LOG_MEL.right_samples + MFCC_REACH * HOP_SAMPLES,
)
