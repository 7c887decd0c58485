"""Mouth coefficients with bounded look-ahead, from the same networks.

With full context, the encoder and the motion network look ahead by seconds. Here the networks run on short,
independent windows; each ends at the look-ahead of its steps. The motion network has learnt to follow such
windows. For loss and cost see docs/decisions/0061-learn-live-windows-from-full-context.md.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.errors import InputError, SpeechError
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import STEP_SAMPLES, FeatureSpec, check_speech, extract_windows
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.windows import LIVE_STEPS
from newscaster.types import ArrayF32, ArrayF64

STEP_MS = 1000 * STEP_SAMPLES // SAMPLE_RATE
MIN_MS, MAX_MS = 80, 1000
"""Below, there is too little context; above, the window has too little past."""
LOOK_AHEADS_MS = range(MIN_MS, MAX_MS + 1, STEP_MS)
_WINDOWS = ((520, 50, 4), (320, LIVE_STEPS, 4), (200, LIVE_STEPS, 3), (120, LIVE_STEPS, 2), (80, 20, 1))
"""Minimum look-ahead in ms, steps of a window, kept steps of a window. The cost is steps over kept steps."""
_BATCH = 8


def _check(look_ahead_ms: object) -> None:
    if look_ahead_ms not in LOOK_AHEADS_MS or not isinstance(look_ahead_ms, int):
        raise InputError(
            f"look_ahead_ms is {look_ahead_ms!r}; expected a multiple of {STEP_MS} from {MIN_MS} to "
            f"{MAX_MS} milliseconds. Omit it for full context"
        )


class LookAhead:
    """Coefficients of audio that arrives in pieces, each complete as soon as its look-ahead has arrived.

    ::

        steps j, j + 1        |------------ window ------------[ j |j+1]------|
        steps j + 2, j + 3              |------------ window ------------[j+2|j+3]------|
                                                                |-------------|
                                                                 look_ahead_ms

    The first step of a window has the full look-ahead, the next one 40 ms less, and so on. The audio is
    padded with zeros. Memory is one window of samples.

    Args:
        session: the motion network, `features` (B, T, D) to `coefficients` (B, T, K).
        features: input features of the network.
        encoder: the speech encoder, if the features need one.
        look_ahead_ms: step j depends on samples before 640 j + 16 look_ahead_ms only.
        kernel: weights of neighbouring steps, of odd length, applied within each window. If a window has too
            few later steps for it, `look_ahead_ms` must be larger.

    Raises:
        InputError: `look_ahead_ms` is not a multiple of 40 from 80 to 1000; the encoder is missing.
    """

    def __init__(
        self,
        session: Session,
        *,
        features: FeatureSpec,
        encoder: SpeechEncoder | None,
        look_ahead_ms: int,
        kernel: ArrayF64 | None = None,
    ) -> None:
        _check(look_ahead_ms)
        self._session = session
        self._features = features
        self._encoder = encoder
        self._kernel = np.ones(1) if kernel is None else kernel
        self._look_ahead_ms = look_ahead_ms
        self._window, self._at_once = next(row[1:] for row in _WINDOWS if look_ahead_ms >= row[0])
        self._keep = self._window - look_ahead_ms // STEP_MS
        assert len(self._kernel) // 2 <= self._window - self._keep - self._at_once
        self._held: ArrayF32 = np.zeros(self._keep * STEP_SAMPLES, np.float32)
        self._last: ArrayF32 = np.zeros((1, int(session.outputs["coefficients"][2])), np.float32)
        self._samples = 0
        self._steps = 0
        self._flushed = False

    @property
    def delay_seconds(self) -> float:
        """Longest time from the start of a step to the last sample that it depends on."""
        return self._look_ahead_ms / 1000

    @property
    def hop_seconds(self) -> float:
        """Audio between the starts of two windows."""
        return self._at_once * STEP_MS / 1000

    def push(self, samples: ArrayF32, *, skip: bool = False) -> ArrayF32:
        """Return the coefficients (t, K) that are complete with samples (n,), float32 mono at 16 kHz.

        Args:
            samples: of any length.
            skip: repeat the last coefficients instead of running the networks; later ones are the same.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite; or the stream was flushed.
        """
        if self._flushed:
            raise SpeechError("the stream of speech has been flushed; start a new one for more")
        check_speech(samples)
        self._samples += len(samples)
        return self._process(samples, skip=skip)

    def flush(self) -> ArrayF32:
        """Return the rest, with zeros after the audio: ceil(N / 640) steps in all."""
        self._flushed = True
        left = -(-self._samples // STEP_SAMPLES) - self._steps
        windows = -(-left // self._at_once)
        samples = (self._window + (windows - 1) * self._at_once) * STEP_SAMPLES
        return self._process(np.zeros(max(0, samples - len(self._held)), np.float32))[:left]

    def _process(self, samples: ArrayF32, *, skip: bool = False) -> ArrayF32:
        """Return the coefficients of the windows that are complete with these samples, in batches."""
        self._held = np.concatenate([self._held, samples])
        length, hop = self._window * STEP_SAMPLES, self._at_once * STEP_SAMPLES
        parts = []
        while len(self._held) >= length:
            windows = sliding_window_view(self._held, length)[::hop][:_BATCH]
            parts.append(self._repeat(len(windows)) if skip else self._run(windows))
            self._last = parts[-1][-1:]
            self._held = self._held[len(windows) * hop :]
        self._held = self._held.copy()
        coefficients = np.concatenate(parts) if parts else self._none()
        self._steps += len(coefficients)
        return coefficients

    def _run(self, windows: ArrayF32) -> ArrayF32:
        """Return coefficients (B * steps, K) of windows (B, n).

        The network runs window by window: it quantises to steps that the largest values of a call set.
        """
        features = extract_windows(windows, self._features, self._encoder)
        shape = (1, features.shape[1], int(self._session.outputs["coefficients"][2]))
        coefficients = np.concatenate(
            [self._session.run_one("coefficients", shape, features=window[None]) for window in features]
        )
        first = self._keep - len(self._kernel) // 2
        neighbours = coefficients[:, first : first + self._at_once + len(self._kernel) - 1]
        kept = sliding_window_view(neighbours, len(self._kernel), axis=1) @ self._kernel
        return np.asarray(kept.reshape(-1, kept.shape[2]), np.float32)

    def _repeat(self, windows: int) -> ArrayF32:
        """Return the last coefficients for all steps of so many windows."""
        return np.repeat(self._last, windows * self._at_once, axis=0)

    def _none(self) -> ArrayF32:
        return np.zeros((0, int(self._session.outputs["coefficients"][2])), np.float32)
