"""Waveform to the features that drive the mouth, at once or as audio comes in.

The features of one motion step (25 Hz) are stacked, so that every kind is one matrix (F, width). Whole audio
and streams are computed alike: a step depends on a fixed number of samples to either side, and outside the
audio there is silence.
"""

from __future__ import annotations

import numpy as np

from newscaster.errors import SpeechError
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features.feature import MOTION_HZ, STEP_SAMPLES, Feature, Span
from newscaster.speech.features.spec import FeatureSpec
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayF32

_CHUNK_SAMPLES = 16 * SAMPLE_RATE
"""Samples of complete audio that are processed at once."""


class _Lane:
    """One kind of features over a stream of samples. It keeps the samples that later features need."""

    def __init__(self, feature: Feature, span: Span) -> None:
        self._compute = span.compute
        self._context = span.left_samples + span.right_samples
        self._hop = span.hop_samples
        self._shape = (feature.rate_hz // MOTION_HZ, feature.channels)
        self._width = self._shape[0] * self._shape[1]
        self._held = [np.zeros(span.left_samples, np.float32)]
        self._held_samples = span.left_samples
        self._done_samples = self._pushed_samples = 0
        self._rest = np.zeros((0, feature.channels), np.float32)

    def push(self, samples: ArrayF32) -> ArrayF32:
        """Return the newly complete motion steps, (f, width)."""
        self._held.append(samples)
        self._held_samples += len(samples)
        self._pushed_samples += len(samples)
        hops = (self._held_samples - self._context) // self._hop
        if hops <= 0:
            return np.zeros((0, self._width), np.float32)
        joined = np.concatenate(self._held)
        features = self._compute(joined[: self._context + hops * self._hop])
        self._held = [joined[hops * self._hop :].copy()]
        self._held_samples = len(self._held[0])
        self._done_samples += hops * self._hop
        features = np.concatenate([self._rest, features]) if len(self._rest) else features
        steps = len(features) // self._shape[0]
        self._rest = features[steps * self._shape[0] :].copy()
        return features[: steps * self._shape[0]].reshape(steps, self._width)

    def flush(self) -> ArrayF32:
        """As push, with silence after the audio, so that its last motion step is complete."""
        total_samples = -(-self._pushed_samples // STEP_SAMPLES) * STEP_SAMPLES
        hops = -(-(total_samples - self._done_samples) // self._hop)
        missing = self._context + hops * self._hop - self._held_samples
        return self.push(np.zeros(max(0, missing), np.float32))


class FeatureStream:
    """Features of streamed speech; the result does not depend on the chunking.

    Memory is that of one window and of the pushed chunks.

    Args:
        spec: the features.
        encoder: the speech encoder, if the spec needs one; its network runs with the spec's windowing.

    Raises:
        InputError: the spec needs an encoder, and `encoder` is None.
    """

    def __init__(self, spec: FeatureSpec, encoder: SpeechEncoder | None = None) -> None:
        self.spec = spec
        self._lanes = [_Lane(part, part.span(spec.windowing, encoder)) for part in spec.parts]
        self._ready: list[list[ArrayF32]] = [[] for _ in self._lanes]
        self._samples = 0
        self._steps = 0
        self._flushed = False

    def push(self, samples: ArrayF32) -> ArrayF32:
        """Push samples and return the newly complete motion steps.

        Args:
            samples: (n,) float32 mono at 16 kHz, n of any size.

        Returns:
            (f, width) float32, f >= 0.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
        """
        if self._flushed:
            raise SpeechError(
                "the feature stream has been flushed. Create a new FeatureStream for more speech"
            )
        check_speech(samples)
        self._samples += len(samples)
        return self._joined([lane.push(samples) for lane in self._lanes])

    def flush(self) -> ArrayF32:
        """Return the rest, with silence after the audio: ceil(N / 640) motion steps in total."""
        self._flushed = True
        total = -(-self._samples // STEP_SAMPLES)
        rest = self._joined([lane.flush() for lane in self._lanes], total=total)
        self._ready = [[] for _ in self._lanes]
        return rest

    def _joined(self, new_features: list[ArrayF32], total: int | None = None) -> ArrayF32:
        """Return the motion steps that all lanes have, concatenated; further steps of a lane wait."""
        for ready, new in zip(self._ready, new_features, strict=True):
            ready.append(new)
        lanes = [np.concatenate(ready) if len(ready) > 1 else ready[0] for ready in self._ready]
        count = min(len(lane) for lane in lanes)
        if total is not None:
            count = min(count, total - self._steps)
        self._ready = [[lane[count:].copy()] for lane in lanes]
        self._steps += count
        if len(lanes) == 1:
            return lanes[0][:count]
        per_step = self.spec.steps_per_motion_step
        parts = [lane[:count].reshape(count * per_step, lane.shape[1] // per_step) for lane in lanes]
        joined: ArrayF32 = np.concatenate(parts, axis=1).reshape(count, self.spec.width)
        return joined


def extract(samples: ArrayF32, spec: FeatureSpec, encoder: SpeechEncoder | None = None) -> ArrayF32:
    """Return the features of complete audio, stacked per motion step.

    Args:
        samples: (N,) float32 mono at 16 kHz.
        spec: the features.
        encoder: the speech encoder, if the spec needs one (load_encoder()).

    Returns:
        (ceil(N / 640), spec.width) float32; row j: the feature steps of the 40 ms from j / 25 s on.

    Raises:
        InputError: the spec needs an encoder, and `encoder` is None.
        SpeechError: the samples are of another type or shape, or not finite.
    """
    check_speech(samples)
    stream = FeatureStream(spec, encoder)
    features = np.empty((-(-len(samples) // STEP_SAMPLES), spec.width), np.float32)
    filled = 0
    for first in range(0, len(samples), _CHUNK_SAMPLES):
        steps = stream.push(samples[first : first + _CHUNK_SAMPLES])
        features[filled : filled + len(steps)] = steps
        filled += len(steps)
    features[filled:] = stream.flush()
    return features


def extract_windows(windows: ArrayF32, spec: FeatureSpec, encoder: SpeechEncoder | None = None) -> ArrayF32:
    """Return the features of independent windows, each with silence around it.

    The features of a window depend on nothing but the window; the spec's windowing is ignored.

    Args:
        windows: (B, n) float32 mono at 16 kHz, n a multiple of 640, at most the encoder's limit.
        spec: the features.
        encoder: the speech encoder, if the spec needs one.

    Returns:
        (B, n / 640, spec.width) float32.

    Raises:
        InputError: the spec needs an encoder, and `encoder` is None.
    """
    lanes = [part.of_windows(windows, encoder) for part in spec.parts]
    steps = windows.shape[1] // STEP_SAMPLES
    rows = [lane.reshape(len(windows), steps * spec.steps_per_motion_step, -1) for lane in lanes]
    joined: ArrayF32 = np.concatenate(rows, axis=2).reshape(len(windows), steps, spec.width)
    return joined


def check_speech(samples: ArrayF32) -> None:
    """Raise SpeechError unless `samples` are (N,) float32 and finite."""
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise SpeechError(
            f"speech is {samples.dtype} {samples.shape}; expected float32 (N,): mono, 16 kHz, in [-1, 1]"
        )
    if not np.isfinite(samples).all():
        index = int(np.flatnonzero(~np.isfinite(samples))[0])
        raise SpeechError(
            f"speech is not finite: sample {index} is {samples[index]}; every sample must be finite. Export "
            "the audio again, for instance as 16-bit WAV"
        )
