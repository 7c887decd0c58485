"""The speech model whose states drive the mouth: Whisper tiny.en's encoder, cut after its third block.

Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022. Middle layers carry more
of the mouth than the last one, and carry it to voices that were never seen; hence blocks 2 and 3, joined.
The packaged file is made by tools/convert_speech_encoder.py.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.speech.spectral import MEL_CHANNELS, Floats, whisper_log_mel
from newscaster.speech.windows import STATE_SAMPLES, Windowing

STATE_CHANNELS = 768
WINDOWS_AT_ONCE = 4
"""Windows computed in one call: bounds the memory, whatever the length of the sound."""


class SpeechEncoder:
    """States of speech at 50 Hz, window by window.

    Args:
        session: the encoder, `mel` (B, 80, T) to `states` (B, T/2, 768).
        windowing: how the sound is cut; the states depend on it, so it is the same in training and in use.

    Raises:
        InputError: the session is another network.
    """

    def __init__(self, session: Session, windowing: Windowing | None = None) -> None:
        mel, states = session.inputs.get("mel", ()), session.outputs.get("states", ())
        if mel[1:2] != (MEL_CHANNELS,) or states[2:] != (STATE_CHANNELS,):
            raise InputError(
                f"{session!r} is not a speech encoder; expected mel (B, {MEL_CHANNELS}, T) -> states "
                f"(B, S, {STATE_CHANNELS})"
            )
        self.session = session
        self.windowing = windowing or Windowing()

    def with_windowing(self, windowing: Windowing) -> SpeechEncoder:
        """The same network, cut otherwise; nothing is loaded again."""
        return SpeechEncoder(self.session, windowing)

    def spans(self, samples: Floats) -> Floats:
        """States of as many whole hops as `samples` holds, context included: (left + n*hop + right,) samples
        to (n * hop_states, 768). Memory besides the result is that of WINDOWS_AT_ONCE windows.
        """
        cut = self.windowing
        windows = sliding_window_view(samples, cut.window_samples)[:: cut.hop_samples]
        kept = np.empty((len(windows), cut.hop_states, STATE_CHANNELS), np.float32)
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            some = slice(first, first + WINDOWS_AT_ONCE)
            states = self.heard_alone(windows[some])
            kept[some] = states[:, cut.left_states : cut.left_states + cut.hop_states]
        return kept.reshape(-1, STATE_CHANNELS)

    def heard_alone(self, windows: Floats) -> Floats:
        """All states of windows that are each heard on their own: (B, n) to (B, n / 320, 768).

        One after the other: the encoder rounds to steps that the loudest value of all that it is given sets.
        """
        shape = (1, windows.shape[1] // STATE_SAMPLES, STATE_CHANNELS)
        states = np.empty((len(windows), *shape[1:]), np.float32)
        for index, mel in enumerate(whisper_log_mel(windows)):
            states[index] = self.session.run_one("states", shape, mel=mel[None])[0]
        return states

    def states(self, samples: Floats) -> Floats:
        """States of a whole sound, silence around it: (N,) to (ceil(N / 320), 768) at 50 Hz.

        State t belongs to the time t * 20 ms. Long sounds are better streamed (features.FeatureStream): here
        they are copied once.
        """
        cut = self.windowing
        hops = -(-len(samples) // cut.hop_samples)
        if hops == 0:
            return np.zeros((0, STATE_CHANNELS), np.float32)
        padded = np.zeros(cut.left_samples + hops * cut.hop_samples + cut.right_samples, np.float32)
        padded[cut.left_samples : cut.left_samples + len(samples)] = samples
        return self.spans(padded)[: -(-len(samples) // STATE_SAMPLES)]


def packaged_encoder() -> bytes:
    """The encoder that comes with newscaster, as ONNX (7 MB); an anchor carries a copy."""
    return resources.files("newscaster").joinpath("data/speech_encoder.onnx").read_bytes()


def load_encoder(
    model: bytes | Path | None = None, *, windowing: Windowing | None = None, threads: int | None = None
) -> SpeechEncoder:
    """The packaged encoder, or the one in `model`, ready to run.

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
