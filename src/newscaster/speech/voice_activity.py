"""Streaming voice activity: a probability of speech for each motion step.

Silero VAD (Silero Team, MIT licence), a small recurrent network that separates speech from breath, clicks,
hum and room noise, which energy alone (`activity`) does not. tools/take_voice_activity.py stores the packaged
file. It costs 2 ms per second of audio on one thread, or 3 ms in chunks of 100 ms.

::

    steps     |------- 640 -------|------- 640 -------|    motion steps: maximum of the overlapping frames
    frames    |----- 512 -----|----- 512 -----|----- 512 -----|
    input  |64|----- 512 -----|                            each frame with the 64 samples before it
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from newscaster.errors import InputError, SpeechError
from newscaster.inference import Session
from newscaster.speech.features import STEP_SAMPLES, check_speech
from newscaster.speech.level import Leveller
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.types import ArrayBool, ArrayF32

FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
LATE_SAMPLES = FRAME_SAMPLES - math.gcd(FRAME_SAMPLES, STEP_SAMPLES)
"""Largest number of samples needed after a step's end (24 ms): frames end at multiples of 512 samples, steps
at multiples of 640."""
_INPUT_SAMPLES = CONTEXT_SAMPLES + FRAME_SAMPLES
_STATE = 128
MIN_VOICED_SECONDS = 0.2
_MIN_FRACTION = 0.01
"""Voice activity sometimes detects speech in short parts of noise or music."""
_SPEECH_PROBABILITY = 0.5


def is_without_speech(speech_seconds: float, seconds: float) -> bool:
    """Return whether audio counts as without speech.

    Args:
        speech_seconds: speech found by voice activity.
        seconds: length of the audio.
    """
    return speech_seconds < min(MIN_VOICED_SECONDS, seconds / 4) + _MIN_FRACTION * seconds


class VoiceActivity:
    """The network, and streams of its probabilities.

    Args:
        session: `input` (T, 576), `h` and `c` (1, 1, 128) to `speech_probs` (T,), `hn` and `cn`.

    Raises:
        InputError: the session is another network.
    """

    def __init__(self, session: Session) -> None:
        inputs = session.inputs.get("input", ())
        if inputs[1:] != (_INPUT_SAMPLES,) or "speech_probs" not in session.outputs:
            raise InputError(
                f"{session!r} is not a voice activity network; expected input (T, {_INPUT_SAMPLES}) -> "
                "speech_probs (T,)"
            )
        self._session = session

    def stream(self) -> VoiceActivityStream:
        """Return a new stream. Streams of one network are independent."""
        return VoiceActivityStream(self._session)


class VoiceActivityStream:
    """Probability of speech in streamed audio; it does not depend on the chunking.

    A step is final at most 24 ms after its end. Memory is that of one step and of the pushed chunk.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = np.zeros((1, 1, _STATE), np.float32), np.zeros((1, 1, _STATE), np.float32)
        self._held: ArrayF32 = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._frames: ArrayF32 = np.zeros(0, np.float32)  # probabilities of frames that later steps overlap
        self._first = 0  # number of the first of them
        self._samples = 0
        self._steps = 0
        self._flushed = False

    def push(self, samples: ArrayF32) -> ArrayF32:
        """Push samples and return the newly final steps.

        Args:
            samples: (n,) float32 mono at 16 kHz, n of any size.

        Returns:
            (t,) float32 in [0, 1], one per 40 ms, t >= 0.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite; or come after the end.
        """
        if self._flushed:
            raise SpeechError("the voice activity stream has been flushed. Create a new one for more speech")
        check_speech(samples)
        self._samples += len(samples)
        self._run_frames(samples)
        return self._pop_steps((self._first + len(self._frames)) * FRAME_SAMPLES // STEP_SAMPLES)

    def flush(self) -> ArrayF32:
        """Return the rest, with silence after the audio: ceil(N / 640) steps in total."""
        self._flushed = True
        steps = -(-self._samples // STEP_SAMPLES)
        frames = -(-steps * STEP_SAMPLES // FRAME_SAMPLES)
        self._run_frames(np.zeros(frames * FRAME_SAMPLES - self._samples, np.float32))
        return self._pop_steps(steps)

    def _run_frames(self, samples: ArrayF32) -> None:
        """Run the network on the newly complete frames."""
        self._held = np.concatenate([self._held, samples])
        count = (len(self._held) - CONTEXT_SAMPLES) // FRAME_SAMPLES
        if count <= 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._held, _INPUT_SAMPLES)[::FRAME_SAMPLES]
        h, c = self._state
        outputs = self._session.run(input=windows, h=h, c=c)
        self._state = outputs["hn"], outputs["cn"]
        self._frames = np.concatenate([self._frames, outputs["speech_probs"].reshape(-1)])
        self._held = self._held[count * FRAME_SAMPLES :].copy()

    def _pop_steps(self, stop: int) -> ArrayF32:
        """Pop the steps up to `stop`: the maximum of the two or three frames that overlap each."""
        steps = np.arange(self._steps, max(stop, self._steps))
        self._steps += len(steps)
        first = steps * STEP_SAMPLES // FRAME_SAMPLES - self._first
        last = ((steps + 1) * STEP_SAMPLES - 1) // FRAME_SAMPLES - self._first
        maxima = np.maximum(self._frames[first], self._frames[last])
        maxima = np.maximum(maxima, self._frames[(first + last) // 2])
        drop = self._steps * STEP_SAMPLES // FRAME_SAMPLES - self._first
        self._frames, self._first = self._frames[drop:].copy(), self._first + drop
        return np.asarray(maxima, np.float32)


class SpeechDetector:
    """A streaming detector of speech, as opposed to noise or music. Quiet speech counts like loud speech."""

    def __init__(self) -> None:
        self._leveller = Leveller()
        self._stream = _packaged().stream()

    def push(self, samples: ArrayF32) -> ArrayBool:
        """Push (n,) float32 mono at 16 kHz, finite; return which newly final steps of 40 ms have speech."""
        return self._stream.push(self._leveller.push(samples)) > _SPEECH_PROBABILITY

    def flush(self) -> ArrayBool:
        """Return the rest: ceil(N / 640) steps in total."""
        return self._stream.flush() > _SPEECH_PROBABILITY


class SpeechMeter:
    """A streaming test for speech, see `SpeechDetector`."""

    def __init__(self) -> None:
        self._detector = SpeechDetector()
        self._voiced_steps = self._samples = 0

    def push(self, samples: ArrayF32) -> None:
        """Push the next samples: (n,) float32 mono at 16 kHz, finite."""
        self._samples += len(samples)
        self._voiced_steps += int(self._detector.push(samples).sum())

    def finish(self) -> bool:
        """Return whether the pushed audio has speech. Nothing can be pushed afterwards."""
        self._voiced_steps += int(self._detector.flush().sum())
        voiced_seconds = self._voiced_steps * STEP_SAMPLES / SAMPLE_RATE
        return not is_without_speech(voiced_seconds, self._samples / SAMPLE_RATE)


def holds_speech(samples: ArrayF32) -> bool:
    """Return whether (N,) float32 mono samples at 16 kHz have speech, see `SpeechMeter`."""
    meter = SpeechMeter()
    meter.push(np.ascontiguousarray(samples, np.float32))
    return meter.finish()


@cache
def _packaged() -> VoiceActivity:
    """Return the packaged network, loaded once per process."""
    return load_voice_activity()


def load_voice_activity(model: bytes | Path | None = None) -> VoiceActivity:
    """Load the packaged network (1.2 MB), or the one in `model`, for one thread.

    Raises:
        InputError: `model` is damaged or is another network.
    """
    if model is None:
        model = resources.files("newscaster").joinpath("data/voice_activity.onnx").read_bytes()
        return VoiceActivity(Session(model, threads=1, name="the voice activity network", trusted=True))
    return VoiceActivity(Session(model, threads=1, name="the voice activity network"))
