"""The speech model whose states drive the mouth: Whisper base's encoder, cut after its third block of six.

Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022. Middle layers predict the
mouth better than the last one and generalise to unseen voices; hence blocks 2 and 3, concatenated. The model
was trained on 99 languages. tools/convert_speech_encoder.py makes the packaged file.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.speech.spectral import MEL_CHANNELS, whisper_log_mel
from newscaster.speech.windows import STATE_SAMPLES, Windowing
from newscaster.types import ArrayF32

STATE_CHANNELS = 1024
WINDOWS_AT_ONCE = 4
"""Windows computed in one call. It bounds the memory for audio of any length."""


class SpeechEncoder:
    """States of speech at 50 Hz, window by window.

    Args:
        session: the encoder, `mel` (B, 80, T) to `states` (B, T/2, 1024).
        windowing: windows of the audio. The states depend on it, so it must be the same in training and use.

    Raises:
        InputError: the session is another network.
    """

    def __init__(self, session: Session, windowing: Windowing | None = None) -> None:
        mel, states = session.inputs.get("mel", ()), session.outputs.get("states", ())
        if mel[1:2] != (MEL_CHANNELS,) or states[2:] != (STATE_CHANNELS,):
            raise InputError(
                f"{session!r} is not the speech encoder of this version; expected mel (B, {MEL_CHANNELS}, T) "
                f"-> states (B, S, {STATE_CHANNELS}). If it is part of an anchor, train the anchor again"
            )
        self.session = session
        self.windowing = windowing or Windowing()

    def with_windowing(self, windowing: Windowing) -> SpeechEncoder:
        """Return an encoder of the same network with other windows; nothing is loaded again."""
        return SpeechEncoder(self.session, windowing)

    def spans(self, samples: ArrayF32) -> ArrayF32:
        """Encode all complete hops of samples with context: (left + n*hop + right,) to (n * hop_states, C).

        Memory besides the result is that of WINDOWS_AT_ONCE windows.
        """
        windowing = self.windowing
        windows = sliding_window_view(samples, windowing.window_samples)[:: windowing.hop_samples]
        kept = np.empty((len(windows), windowing.hop_states, STATE_CHANNELS), np.float32)
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            batch = slice(first, first + WINDOWS_AT_ONCE)
            states = self.encode_windows(windows[batch])
            kept[batch] = states[:, windowing.left_states : windowing.left_states + windowing.hop_states]
        return kept.reshape(-1, STATE_CHANNELS)

    def encode_windows(self, windows: ArrayF32) -> ArrayF32:
        """Return all states of independent windows: (B, n) to (B, n / 320, STATE_CHANNELS).

        The windows run one by one: the encoder quantises to steps that the loudest value of its input sets.
        """
        shape = (1, windows.shape[1] // STATE_SAMPLES, STATE_CHANNELS)
        states = np.empty((len(windows), *shape[1:]), np.float32)
        for index, mel in enumerate(whisper_log_mel(windows)):
            states[index] = self.session.run_one("states", shape, mel=mel[None])[0]
        return states

    def states(self, samples: ArrayF32) -> ArrayF32:
        """Return the states of complete audio with silence around it: (N,) to (ceil(N / 320), 1024) at 50 Hz.

        State t belongs to the time t * 20 ms. Stream long audio with features.FeatureStream: this function
        copies it once.
        """
        windowing = self.windowing
        left, hop = windowing.left_samples, windowing.hop_samples
        hops = -(-len(samples) // hop)
        if hops == 0:
            return np.zeros((0, STATE_CHANNELS), np.float32)
        padded = np.zeros(left + hops * hop + windowing.right_samples, np.float32)
        padded[left : left + len(samples)] = samples
        return self.spans(padded)[: -(-len(samples) // STATE_SAMPLES)]


def packaged_encoder() -> bytes:
    """Return the packaged encoder as ONNX (11 MB)."""
    return resources.files("newscaster").joinpath("data/speech_encoder.onnx").read_bytes()


def load_encoder(
    model: bytes | Path | None = None, *, windowing: Windowing | None = None, threads: int | None = None
) -> SpeechEncoder:
    """Load the packaged encoder, or the one in `model`.

    Raises:
        InputError: `model` is damaged or is another network.
    """
    packaged = model is None
    session = Session(
        packaged_encoder() if model is None else model,
        threads=threads,
        name="the speech encoder",
        trusted=packaged,
        remedy=None if packaged else "Export it again, or use the packaged encoder",
    )
    return SpeechEncoder(session, windowing)
