"""Waveform to the features that drive the mouth, at once or as a stream.

The features of one motion step (25 Hz) are stacked, so that every kind is one matrix (F, width). Files and
streams use the same code: a step depends on a fixed number of samples to either side, and the audio is
surrounded by silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from newscaster.errors import InputError, SpeechError
from newscaster.speech.encoder import STATE_CHANNELS, SpeechEncoder
from newscaster.speech.spectral import (
    HALF_FRAME_SAMPLES,
    HOP_SAMPLES,
    MEL_CHANNELS,
    MFCC_CHANNELS,
    MFCC_REACH,
    SAMPLE_RATE,
    Floats,
    local_log_mel,
    local_mfcc,
    log_mel,
    mfcc,
)
from newscaster.speech.windows import Windowing

MOTION_HZ = 25
"""Steps of the motion network per second of audio."""
STEP_SAMPLES = SAMPLE_RATE // MOTION_HZ
_CHUNK_SAMPLES = 16 * SAMPLE_RATE
"""Samples of complete audio that are processed at once."""

KINDS: dict[str, tuple[int, int]] = {
    "log-mel": (100, MEL_CHANNELS),
    "mfcc": (100, MFCC_CHANNELS),
    "whisper": (50, STATE_CHANNELS),
    "whisper+log-mel": (50, STATE_CHANNELS + 2 * MEL_CHANNELS),
}
"""Rate in Hz and channels of every kind. The joined kind has, per state, the 2 mel frames of its 20 ms."""


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """The features that drive the mouth; stored with every anchor."""

    kind: str = "whisper"
    """One of KINDS."""
    windowing: Windowing = field(default_factory=Windowing)
    """Windows of the speech encoder; the spectral kinds ignore them."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"the feature kind is {self.kind!r:.60}; expected one of {', '.join(KINDS)}")

    @property
    def rate_hz(self) -> int:
        """Feature steps per second."""
        return KINDS[self.kind][0]

    @property
    def channels(self) -> int:
        """Channels of one feature step."""
        return KINDS[self.kind][1]

    @property
    def steps_per_motion_step(self) -> int:
        """Stacked feature steps of one motion step."""
        return self.rate_hz // MOTION_HZ

    @property
    def width(self) -> int:
        """Numbers per motion step."""
        return self.steps_per_motion_step * self.channels

    @property
    def needs_encoder(self) -> bool:
        """Whether the features need the speech encoder."""
        return self.kind.startswith("whisper")

    @property
    def delay_seconds(self) -> float:
        """Largest time from the start of a motion step to the last audio that its features need."""
        lanes = [lane for lane in ("log-mel", "mfcc") if lane in self.kind]
        delays = [(STEP_SAMPLES + _SPECTRAL[lane][1]) / SAMPLE_RATE for lane in lanes]
        if self.needs_encoder:
            delays.append(self.windowing.hop_seconds + self.windowing.right_seconds)
        return max(delays)

    def to_json(self) -> dict[str, object]:
        """Return plain values, for from_json."""
        return {"kind": self.kind, "windowing": self.windowing.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> FeatureSpec:
        """Parse the values of to_json.

        Raises:
            InputError: a field is missing, unknown or out of range.
        """
        kind, windowing = values.get("kind"), values.get("windowing")
        if (
            values.keys() != {"kind", "windowing"}
            or not isinstance(kind, str)
            or not isinstance(windowing, Mapping)
        ):
            raise InputError(
                f"the feature spec is {dict(values)!s:.200}; expected the fields kind and windowing"
            )
        return cls(kind=kind, windowing=Windowing.from_json(windowing))


_LEFT = HALF_FRAME_SAMPLES
_RIGHT = HALF_FRAME_SAMPLES - HOP_SAMPLES
_SPECTRAL: dict[str, tuple[int, int, Callable[[Floats], Floats]]] = {
    "log-mel": (_LEFT, _RIGHT, local_log_mel),
    "mfcc": (_LEFT + MFCC_REACH * HOP_SAMPLES, _RIGHT + MFCC_REACH * HOP_SAMPLES, local_mfcc),
}
"""Samples that a span of frames needs before its start and after its end, and its function.

::

    span of n frames        |----- 160 n -----|
    first and last     |-- 400 --|       |-- 400 --|      left 200, right 40; MFCC: 4 frames more each
"""


class _Lane:
    """One kind of features over a stream of samples. It keeps the samples that later features need."""

    def __init__(
        self,
        compute: Callable[[Floats], Floats],
        *,
        left: int,
        hop: int,
        right: int,
        steps: int,
        channels: int,
    ) -> None:
        self._compute = compute
        self._context = left + right
        self._hop = hop
        self._width = steps * channels
        self._shape = (steps, channels)
        self._held = [np.zeros(left, np.float32)]
        self._held_samples = left
        self._done_samples = self._pushed_samples = 0
        self._rest = np.zeros((0, channels), np.float32)

    def push(self, samples: Floats) -> Floats:
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

    def flush(self) -> Floats:
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
        self._lanes: list[_Lane] = []
        if spec.needs_encoder:
            windowing = spec.windowing
            self._lanes.append(
                _Lane(
                    _require_encoder(encoder, spec).with_windowing(windowing).spans,
                    left=windowing.left_samples,
                    hop=windowing.hop_samples,
                    right=windowing.right_samples,
                    steps=2,
                    channels=STATE_CHANNELS,
                )
            )
        for kind, (left, right, compute) in _SPECTRAL.items():
            if kind in spec.kind:
                channels = KINDS[kind][1]
                self._lanes.append(
                    _Lane(compute, left=left, hop=STEP_SAMPLES, right=right, steps=4, channels=channels)
                )
        self._ready: list[list[Floats]] = [[] for _ in self._lanes]
        self._samples = 0
        self._steps = 0
        self._flushed = False

    def push(self, samples: Floats) -> Floats:
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

    def flush(self) -> Floats:
        """Return the rest, with silence after the audio: ceil(N / 640) motion steps in total."""
        self._flushed = True
        total = -(-self._samples // STEP_SAMPLES)
        rest = self._joined([lane.flush() for lane in self._lanes], total=total)
        self._ready = [[] for _ in self._lanes]
        return rest

    def _joined(self, new_features: list[Floats], total: int | None = None) -> Floats:
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
        joined: Floats = np.concatenate(parts, axis=1).reshape(count, self.spec.width)
        return joined


def extract(samples: Floats, spec: FeatureSpec, encoder: SpeechEncoder | None = None) -> Floats:
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


def extract_windows(windows: Floats, spec: FeatureSpec, encoder: SpeechEncoder | None = None) -> Floats:
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
    lanes = []
    if spec.needs_encoder:
        lanes.append(_require_encoder(encoder, spec).encode_windows(windows))
    for kind, compute in (("log-mel", log_mel), ("mfcc", mfcc)):
        if kind in spec.kind:
            lanes.append(np.stack([compute(window) for window in windows]))
    steps = windows.shape[1] // STEP_SAMPLES
    rows = [lane.reshape(len(windows), steps * spec.steps_per_motion_step, -1) for lane in lanes]
    joined: Floats = np.concatenate(rows, axis=2).reshape(len(windows), steps, spec.width)
    return joined


def _require_encoder(encoder: SpeechEncoder | None, spec: FeatureSpec) -> SpeechEncoder:
    if encoder is None:
        raise InputError(f"features {spec.kind!r} need the speech encoder; pass encoder=load_encoder()")
    return encoder


def check_speech(samples: Floats) -> None:
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
