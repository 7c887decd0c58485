"""One piece of live speech: sound goes in at any pace, mouth shapes and the sound to hear come out by frame.

Knows nothing of time: when it begins, and what is done where its sound does not come, is for `live`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.speech.spectral import SAMPLE_RATE, Floats
from newscaster.synthesis.motion import MotionStream, frame_count

Array = npt.NDArray[np.float64]

_PIECE_SECONDS = Fraction(2, 25)
"""Sound that is heard at a time: a window of the look-ahead, so that no frame pays for more than it needs."""


class Utterance:
    """Speech that may still be coming in.

    `add` and `end` may be called by one thread while another takes shapes and sound.

    Args:
        new_stream: makes the stream that hears it, when the first shape is wanted.
        rate: of the sound that comes in, in Hz.
        heard_rate: of the sound that goes out, in Hz.
        fps: frames per second.
        begun_seconds: when it was first heard of, on the stream's clock.
        read: whether it is a text that is read aloud.
        delay_seconds: what the motion of its stream waits for.
    """

    def __init__(
        self,
        new_stream: Callable[[], MotionStream],
        *,
        rate: int,
        heard_rate: int,
        fps: Fraction,
        begun_seconds: float,
        read: bool = False,
        delay_seconds: float = 0.0,
    ) -> None:
        self.rate = rate
        self.begun_seconds = begun_seconds
        self.read = read
        self.delay_seconds = delay_seconds
        self.continues = False
        """Whether it goes on with a text that has begun before."""
        self.ended = False
        self._new_stream = new_stream
        self._heard_rate = heard_rate
        self._fps = fps
        self._stream: MotionStream | None = None
        self._pieces: deque[Floats] = deque()
        self._to_motion = media.Resampler(rate, SAMPLE_RATE)
        self._to_ear = media.Resampler(rate, heard_rate)
        self._piece_samples = round(_PIECE_SECONDS * rate)
        self._samples = 0
        self._taken = 0  # of the sound that goes out
        self._shapes: deque[Array] = deque()
        self._audio: Floats = np.zeros(0, np.float32)
        self._finished = False

    def add(self, samples: Floats) -> None:
        """Sound that follows: (n,) float32 mono at `rate`."""
        assert not self.ended
        self._samples += len(samples)
        for first in range(0, len(samples), self._piece_samples):
            self._pieces.append(samples[first : first + self._piece_samples])

    def end(self) -> None:
        """All of it has come."""
        self.ended = True

    @property
    def is_empty(self) -> bool:
        """Whether no sound has come yet."""
        return self._samples == 0

    @property
    def unheard(self) -> bool:
        """Whether there is more that `shape` can go by than it has heard."""
        return bool(self._pieces) or (self.ended and not self._finished)

    @property
    def waiting_seconds(self) -> float:
        """Sound that has come in and not gone out."""
        return max(0.0, self._samples / self.rate - self._taken / self._heard_rate)

    @property
    def speech_seconds(self) -> float:
        """Speech found in what has been heard."""
        return 0.0 if self._stream is None else self._stream.speech_seconds

    @property
    def over(self) -> bool:
        """Whether all of it has been taken, sound and shapes."""
        return self._finished and not self._shapes and not len(self._audio)

    def shape(self) -> Array | None:
        """The mouth (57, 2) of the next frame, in head units; None where that is not certain yet, and after
        the last one.
        """
        while not self._shapes and self.unheard:
            self._hear(self._pieces.popleft() if self._pieces else None)
        return self._shapes.popleft() if self._shapes else None

    def audio(self, count: int) -> Floats:
        """The next `count` samples (n,) at `heard_rate`; with silence after the last."""
        given, self._audio = self._audio[:count], self._audio[count:]
        self._taken += len(given)
        return np.pad(given, (0, count - len(given)))

    def _hear(self, piece: Floats | None) -> None:
        """Hear a piece, or the end."""
        stream = self._stream = self._stream or self._new_stream()
        if piece is not None:
            shapes = stream.push(self._to_motion.push(piece))
            audio = np.clip(self._to_ear.push(piece), -1.0, 1.0)
        else:
            rest = stream.push(self._to_motion.flush())
            total = frame_count(self._samples, self.rate, self._fps)
            shapes = np.concatenate([rest, stream.flush(total_frames=total)])
            audio = np.clip(self._to_ear.flush(), -1.0, 1.0)
            self._finished = True
        self._shapes.extend(shapes)
        self._audio = np.concatenate([self._audio, audio])
