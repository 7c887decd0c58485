"""Whether somebody speaks, as the sound comes in: a probability for each motion step.

Silero VAD (Silero Team, MIT licence), a small recurrent network that tells speech from breath, clicks, hum
and room noise, where the energy alone (`activity`) does not. The packaged file is put there by
tools/take_voice_activity.py. It costs 2 ms per second of sound on one thread, in pieces of 100 ms 3 ms.

::

    sound     |------- 640 -------|------- 640 -------|    motion steps: the most of the frames that overlap
    frames    |----- 512 -----|----- 512 -----|----- 512 -----|
    seen   |64|----- 512 -----|                            each frame with the 64 samples before it
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
from newscaster.speech.spectral import SAMPLE_RATE, Floats

FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
LATE_SAMPLES = FRAME_SAMPLES - math.gcd(FRAME_SAMPLES, STEP_SAMPLES)
"""The most that must be heard after a step's end for it to be certain (24 ms): frames end at multiples of 512
samples, steps at multiples of 640."""
_SEEN = CONTEXT_SAMPLES + FRAME_SAMPLES
_STATE = 128
MIN_VOICED_SECONDS = 0.2
_MIN_FRACTION = 0.01
"""Voice activity takes a moment of noise or music for speech now and then."""
_SPEECH_PROBABILITY = 0.5


def is_without_speech(speech_seconds: float, seconds: float) -> bool:
    """Whether voice activity found no speech to speak of in so much audio.

    Args:
        speech_seconds: found by it.
        seconds: of audio in all.
    """
    return speech_seconds < min(MIN_VOICED_SECONDS, seconds / 4) + _MIN_FRACTION * seconds


class VoiceActivity:
    """The network, and streams of what it says.

    Args:
        session: `input` (T, 576), `h` and `c` (1, 1, 128) to `speech_probs` (T,), `hn` and `cn`.

    Raises:
        InputError: the session is another network.
    """

    def __init__(self, session: Session) -> None:
        if session.inputs.get("input", ())[1:] != (_SEEN,) or "speech_probs" not in session.outputs:
            raise InputError(
                f"{session!r} is not a voice activity network; expected input (T, {_SEEN}) -> "
                "speech_probs (T,)"
            )
        self._session = session

    def stream(self) -> VoiceActivityStream:
        """A fresh stream; those of one network do not disturb each other."""
        return VoiceActivityStream(self._session)


class VoiceActivityStream:
    """Probability of speech in sound that comes in pieces; it does not depend on how the sound was cut.

    A step is certain 24 ms after its end at the latest. Memory is that of one step and of the piece pushed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = np.zeros((1, 1, _STATE), np.float32), np.zeros((1, 1, _STATE), np.float32)
        self._held: Floats = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._frames: Floats = np.zeros(0, np.float32)  # probabilities of frames that later steps overlap
        self._first = 0  # number of the first of them
        self._samples = 0
        self._steps = 0
        self._flushed = False

    def push(self, samples: Floats) -> Floats:
        """The steps that have become certain with these samples.

        Args:
            samples: (n,) float32 mono at 16 kHz, n of any size.

        Returns:
            (t,) float32 in [0, 1], one per 40 ms, t >= 0.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite; or come after the end.
        """
        if self._flushed:
            raise SpeechError("the stream of speech has been flushed; begin a new one for more")
        check_speech(samples)
        self._samples += len(samples)
        self._listen(samples)
        return self._given((self._first + len(self._frames)) * FRAME_SAMPLES // STEP_SAMPLES)

    def flush(self) -> Floats:
        """The rest, with silence after the sound: in all ceil(N / 640) steps have then been given."""
        self._flushed = True
        wanted = -(-self._samples // STEP_SAMPLES)
        frames = -(-wanted * STEP_SAMPLES // FRAME_SAMPLES)
        self._listen(np.zeros(frames * FRAME_SAMPLES - self._samples, np.float32))
        return self._given(wanted)

    def _listen(self, samples: Floats) -> None:
        """Run the network on the frames that are whole now."""
        self._held = np.concatenate([self._held, samples])
        count = (len(self._held) - CONTEXT_SAMPLES) // FRAME_SAMPLES
        if count <= 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._held, _SEEN)[::FRAME_SAMPLES]
        h, c = self._state
        found = self._session.run(input=windows, h=h, c=c)
        self._state = found["hn"], found["cn"]
        self._frames = np.concatenate([self._frames, found["speech_probs"].reshape(-1)])
        self._held = self._held[count * FRAME_SAMPLES :].copy()

    def _given(self, stop: int) -> Floats:
        """Probabilities of the steps up to `stop`: the most of the two or three frames that overlap each."""
        steps = np.arange(self._steps, max(stop, self._steps))
        self._steps += len(steps)
        first = steps * STEP_SAMPLES // FRAME_SAMPLES - self._first
        last = ((steps + 1) * STEP_SAMPLES - 1) // FRAME_SAMPLES - self._first
        most = np.maximum(self._frames[first], self._frames[last])
        most = np.maximum(most, self._frames[(first + last) // 2])
        drop = self._steps * STEP_SAMPLES // FRAME_SAMPLES - self._first
        self._frames, self._first = self._frames[drop:].copy(), self._first + drop
        return np.asarray(most, np.float32)


class SpeechMeter:
    """Whether there is speech in audio that comes in pieces, and not only noise or music.

    Quiet speech counts as loud speech does.
    """

    def __init__(self) -> None:
        self._leveller = Leveller()
        self._stream = _packaged().stream()
        self._voiced_steps = self._samples = 0

    def push(self, samples: Floats) -> None:
        """Samples that follow: (n,) float32 mono at 16 kHz, finite."""
        self._samples += len(samples)
        self._count(self._stream.push(self._leveller.push(samples)))

    def finish(self) -> bool:
        """Whether there was speech in all that was pushed; nothing can be pushed after it."""
        self._count(self._stream.flush())
        voiced_seconds = self._voiced_steps * STEP_SAMPLES / SAMPLE_RATE
        return not is_without_speech(voiced_seconds, self._samples / SAMPLE_RATE)

    def _count(self, probabilities: Floats) -> None:
        self._voiced_steps += int((probabilities > _SPEECH_PROBABILITY).sum())


def holds_speech(samples: Floats) -> bool:
    """Whether there is speech in (N,) float32 mono samples at 16 kHz, see `SpeechMeter`."""
    meter = SpeechMeter()
    meter.push(np.ascontiguousarray(samples, np.float32))
    return meter.finish()


@cache
def _packaged() -> VoiceActivity:
    """The packaged network, loaded once in each process."""
    return load_voice_activity()


def load_voice_activity(model: bytes | Path | None = None) -> VoiceActivity:
    """The packaged network (1.2 MB), or the one in `model`, ready to run on one thread.

    Raises:
        InputError: `model` is damaged or is another network.
    """
    if model is None:
        model = resources.files("newscaster").joinpath("data/voice_activity.onnx").read_bytes()
        return VoiceActivity(Session(model, threads=1, name="the voice activity network", trusted=True))
    return VoiceActivity(Session(model, threads=1, name="the voice activity network"))
