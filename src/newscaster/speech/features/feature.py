"""What a kind of speech features is: rate, channels, and how it is computed from samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from newscaster.errors import InputError
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.windows import Windowing
from newscaster.types import ArrayF32

MOTION_HZ = 25
"""Steps of the motion network per second of audio."""
STEP_SAMPLES = SAMPLE_RATE // MOTION_HZ
"""Samples of one motion step, 640."""


@dataclass(frozen=True)
class Span:
    """How a stream of samples becomes features.

    ::

        samples    |-- left --|------ n * hop ------|-- right --|
        features              |=====================|
    """

    compute: Callable[[ArrayF32], ArrayF32]
    """(left + n * hop + right,) samples to the features of the n hops, (n * hop * rate / 16000, channels)."""
    left_samples: int
    hop_samples: int
    right_samples: int


@dataclass(frozen=True, kw_only=True)
class Feature(ABC):
    """One kind of features."""

    rate_hz: int
    """Steps per second, a multiple of 25."""
    channels: int
    """Numbers per step."""

    @property
    def needs_encoder(self) -> bool:
        """Whether the speech encoder takes part."""
        return False

    @abstractmethod
    def span(self, windowing: Windowing, encoder: SpeechEncoder | None) -> Span:
        """Return how features are computed along a stream."""

    @abstractmethod
    def delay_samples(self, windowing: Windowing) -> int:
        """Return how many samples after its own start a motion step depends on, at most."""

    @abstractmethod
    def of_windows(self, windows: ArrayF32, encoder: SpeechEncoder | None) -> ArrayF32:
        """Return features of separate windows (B, n), with silence around each: (B, steps, channels)."""


@dataclass(frozen=True, kw_only=True)
class LocalFeature(Feature):
    """Features that depend on a fixed number of samples to either side."""

    compute: Callable[[ArrayF32], ArrayF32]
    """(left + n + right,) samples to the features of the n samples, n a multiple of 640."""
    left_samples: int = 0
    """Samples before a motion step that its features depend on."""
    right_samples: int = 0
    """Samples after it."""

    def span(self, windowing: Windowing, encoder: SpeechEncoder | None) -> Span:
        """See :class:`Feature`."""
        return Span(self.compute, self.left_samples, STEP_SAMPLES, self.right_samples)

    def delay_samples(self, windowing: Windowing) -> int:
        """See :class:`Feature`."""
        return STEP_SAMPLES + self.right_samples

    def of_windows(self, windows: ArrayF32, encoder: SpeechEncoder | None) -> ArrayF32:
        """See :class:`Feature`."""
        around = (self.left_samples, self.right_samples)
        return np.stack([self.compute(np.pad(window, around)) for window in windows])


@dataclass(frozen=True, kw_only=True)
class EncoderFeature(Feature):
    """States of the speech encoder, which depend on how the audio is cut into windows."""

    @property
    def needs_encoder(self) -> bool:
        """See :class:`Feature`."""
        return True

    def span(self, windowing: Windowing, encoder: SpeechEncoder | None) -> Span:
        """See :class:`Feature`."""
        states = _needed(encoder).with_windowing(windowing).spans
        return Span(states, windowing.left_samples, windowing.hop_samples, windowing.right_samples)

    def delay_samples(self, windowing: Windowing) -> int:
        """See :class:`Feature`."""
        return windowing.hop_samples + windowing.right_samples

    def of_windows(self, windows: ArrayF32, encoder: SpeechEncoder | None) -> ArrayF32:
        """See :class:`Feature`."""
        return _needed(encoder).encode_windows(windows)


def _needed(encoder: SpeechEncoder | None) -> SpeechEncoder:
    if encoder is None:
        raise InputError("these features need the speech encoder; pass encoder=load_encoder()")
    return encoder
