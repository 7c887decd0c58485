"""Coefficients of the mouth that wait for little sound, from the same networks.

The encoder's windows and the motion network look ahead by seconds where they can. Here the networks hear
short windows on their own, each of which ends where the look-ahead of its steps does. How much is lost by
that, and what it costs, is in docs/decisions/0022-live-motion-on-short-windows.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.errors import InputError, SpeechError
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.features import STEP_SAMPLES, FeatureSpec, check_speech, extract_windows
from newscaster.speech.spectral import SAMPLE_RATE, Floats

STEP_MS = 1000 * STEP_SAMPLES // SAMPLE_RATE
MIN_MS, MAX_MS = 80, 1000
"""Below, there is next to nothing to go by; above, the window holds too little of what came before."""
LOOK_AHEADS_MS = range(MIN_MS, MAX_MS + 1, STEP_MS)
_CUTS = ((320, 50, 3), (120, 30, 2), (80, 20, 1))
"""From so many ms on: the steps of a window, and how many of them are kept. All cost about the same."""
_WINDOWS_AT_ONCE = 8


def _check(look_ahead_ms: object) -> None:
    if look_ahead_ms not in LOOK_AHEADS_MS or not isinstance(look_ahead_ms, int):
        raise InputError(
            f"look_ahead_ms is {look_ahead_ms!r}; expected a multiple of {STEP_MS} from {MIN_MS} to "
            f"{MAX_MS} milliseconds, or None (no --look-ahead) for all the sound that the motion can use"
        )


class LookAhead:
    """Coefficients of sound that comes in pieces, each certain as soon as what it may look ahead to is heard.

    ::

        steps j, j + 1        |------------ window ------------[ j |j+1]------|
        steps j + 2, j + 3              |------------ window ------------[j+2|j+3]------|
                                                                |-------------|
                                                                 look_ahead_ms

    The first of the steps that share a window looks ahead as far as it may, the next 40 ms less, and so on.
    Outside the sound there are zeros. What is held is one window of samples.

    Args:
        session: the motion network, `features` (B, T, D) to `coefficients` (B, T, K).
        features: what the network hears.
        encoder: the speech encoder, where the features need one.
        look_ahead_ms: step j depends on samples before 640 j + 16 look_ahead_ms only.
        kernel: weights of neighbouring steps, of odd length, taken within each window. Where more neighbours
            follow than the window has, `look_ahead_ms` must be larger.

    Raises:
        InputError: `look_ahead_ms` is no multiple of 40 from 80 to 1000; there is no encoder.
    """

    def __init__(
        self,
        session: Session,
        *,
        features: FeatureSpec,
        encoder: SpeechEncoder | None,
        look_ahead_ms: int,
        kernel: npt.NDArray[np.float64] | None = None,
    ) -> None:
        _check(look_ahead_ms)
        self._session = session
        self._features = features
        self._encoder = encoder
        self._kernel = np.ones(1) if kernel is None else kernel
        self._look_ahead_ms = look_ahead_ms
        self._window, self._at_once = next(cut[1:] for cut in _CUTS if look_ahead_ms >= cut[0])
        self._keep = self._window - look_ahead_ms // STEP_MS
        assert len(self._kernel) // 2 <= self._window - self._keep - self._at_once
        self._held: Floats = np.zeros(self._keep * STEP_SAMPLES, np.float32)
        self._samples = 0
        self._steps = 0
        self._flushed = False

    @property
    def delay_seconds(self) -> float:
        """The longest from a step's begin to the sample that makes it certain."""
        return self._look_ahead_ms / 1000

    def push(self, samples: Floats) -> Floats:
        """The coefficients (t, K) that have become certain with samples (n,), float32 mono at 16 kHz.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite; or come after the end.
        """
        if self._flushed:
            raise SpeechError("the stream of speech has been flushed; begin a new one for more")
        check_speech(samples)
        self._samples += len(samples)
        return self._spoken(samples)

    def flush(self) -> Floats:
        """The rest, with zeros after the sound: in all ceil(N / 640) steps have then been given."""
        self._flushed = True
        left = -(-self._samples // STEP_SAMPLES) - self._steps
        windows = -(-left // self._at_once)
        wanted = (self._window + (windows - 1) * self._at_once) * STEP_SAMPLES
        return self._spoken(np.zeros(max(0, wanted - len(self._held)), np.float32))[:left]

    def _spoken(self, samples: Floats) -> Floats:
        """Coefficients of the windows that are whole with these samples, in batches."""
        self._held = np.concatenate([self._held, samples])
        length, hop = self._window * STEP_SAMPLES, self._at_once * STEP_SAMPLES
        parts = []
        while len(self._held) >= length:
            windows = sliding_window_view(self._held, length)[::hop][:_WINDOWS_AT_ONCE]
            parts.append(self._kept(windows))
            self._held = self._held[len(windows) * hop :]
        self._held = self._held.copy()
        given = np.concatenate(parts) if parts else self._none()
        self._steps += len(given)
        return given

    def _kept(self, windows: Floats) -> Floats:
        """Coefficients (B * steps, K) of windows (B, n)."""
        features = extract_windows(windows, self._features, self._encoder)
        shape = (*features.shape[:2], int(self._session.outputs["coefficients"][2]))
        coefficients = self._session.run_one("coefficients", shape, features=features)
        first = self._keep - len(self._kernel) // 2
        near = coefficients[:, first : first + self._at_once + len(self._kernel) - 1]
        kept = sliding_window_view(near, len(self._kernel), axis=1) @ self._kernel
        return np.asarray(kept.reshape(-1, kept.shape[2]), np.float32)

    def _none(self) -> Floats:
        return np.zeros((0, int(self._session.outputs["coefficients"][2])), np.float32)
