"""One utterance of live speech: audio goes in at any speed, mouth shapes and audio come out frame by frame.

Independent of time: `live` schedules its start and handles underruns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from newscaster import media
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.motion import MotionStream, frame_count
from newscaster.types import ArrayF32, ArrayF64

MAX_SECONDS_AT_ONCE = Fraction(4, 25)
"""Motion that one piece completes, at most: a window of three steps, and one step of interpolation."""
_RESAMPLING_SECONDS = 0.005
"""How late resampled audio is, at most."""


class Utterance:
    """Speech that may be incomplete.

    One thread may call `add` and `end` while another one takes shapes and audio.

    Args:
        new_stream: makes the motion stream, at the first shape. Its argument: whether a text continues.
        rate: sampling rate of the input, in Hz.
        output_rate: sampling rate of the output, in Hz.
        fps: frames per second.
        start_seconds: arrival of its first audio or its text, on the clock of the live stream.
        read: whether it is a text that is read aloud.
        delay_seconds: look-ahead of its motion stream.
        lead_seconds: how long before its audio the mouth may open; see :meth:`start_before`.
    """

    def __init__(
        self,
        new_stream: Callable[[bool], MotionStream],
        *,
        rate: int,
        output_rate: int,
        fps: Fraction,
        start_seconds: float,
        read: bool = False,
        delay_seconds: float = 0.0,
        lead_seconds: float = 0.0,
    ) -> None:
        self.rate = rate
        self.start_seconds = start_seconds
        self.read = read
        self.delay_seconds = delay_seconds
        self.lead_seconds = lead_seconds
        self.continues = False
        """Whether it continues a text of an earlier utterance."""
        self.ended = False
        self.id = 0
        """Number of the speech that it is, or is a part of: see `LiveFrame.utterance`."""
        self.is_last = False
        """Whether it is the last part of that speech."""
        self._new_stream = new_stream
        self._output_rate = output_rate
        self._fps = fps
        self._stream: MotionStream | None = None
        self._pieces: deque[ArrayF32] = deque()
        self._to_motion = media.Resampler(rate, SAMPLE_RATE)
        self._to_output = media.Resampler(rate, output_rate)
        self._samples = 0
        self._taken = 0  # samples of the output
        self._shapes: deque[ArrayF64] = deque()
        self._audio: ArrayF32 = np.zeros(0, np.float32)
        self._finished = False
        self._lead = self._lead_left = 0  # frames before the audio

    def start_before(self, frames: int) -> bool:
        """Start so many frames before the audio: the mouth opens in them. Before the first shape.

        ::

            audio     . . . . . . |######## speech ########
            frames    | -3| -2| -1| 0 | 1 | 2 |
            mouth     . o o O O O O O O O O O                  the gate opens it before speech

        Returns:
            False, and nothing is changed, if they are too many, or need audio that has not arrived.
        """
        assert self._stream is None
        seconds = float(frames / self._fps)
        needed = self.delay_seconds + _RESAMPLING_SECONDS - seconds
        if seconds > self.lead_seconds or self._samples < needed * self.rate:
            return False
        self._lead = self._lead_left = frames
        return True

    def add(self, samples: ArrayF32) -> None:
        """Append samples (n,), float32 mono at `rate`."""
        assert not self.ended
        self._samples += len(samples)
        self._pieces.append(samples)

    def end(self) -> None:
        """Mark the input as complete."""
        self.ended = True

    @property
    def is_empty(self) -> bool:
        """Whether no audio has arrived yet."""
        return self._samples == 0

    @property
    def has_input(self) -> bool:
        """Whether `shape` can make progress without further input."""
        return bool(self._pieces) or (self.ended and not self._finished)

    @property
    def waiting_seconds(self) -> float:
        """Input audio that has not been output yet."""
        return max(0.0, self._samples / self.rate - self._taken / self._output_rate)

    @property
    def speech_seconds(self) -> float:
        """Speech in the processed audio by voice activity detection."""
        return 0.0 if self._stream is None else self._stream.speech_seconds

    @property
    def over(self) -> bool:
        """Whether all audio and all shapes have been taken."""
        return self._finished and not self._shapes and not len(self._audio)

    @property
    def is_audible(self) -> bool:
        """Whether its audio starts with the next frame, or has started."""
        return not self._lead_left

    def shape(self, *, skip: bool = False) -> ArrayF64 | None:
        """Return the mouth (57, 2) of the next frame, in head units.

        None if it needs more audio, and after the last frame.

        Args:
            skip: whether it, and those computed with it, may be repeated ones: they will not be shown.
        """
        while not self._shapes and self.has_input:
            self._process(skip=skip)
        return self._shapes.popleft() if self._shapes else None

    def audio(self, count: int) -> ArrayF32:
        """Return the next `count` samples at `output_rate`: silence before the audio and after its end."""
        if self._lead_left:
            self._lead_left -= 1
            return np.zeros(count, np.float32)
        samples, self._audio = self._audio[:count], self._audio[count:]
        self._taken += len(samples)
        return np.pad(samples, (0, count - len(samples)))

    def _process(self, *, skip: bool) -> None:
        """Compute shapes and output audio of the next piece, or of the end of the input."""
        stream = self._stream or self._start_stream()
        if self._pieces:
            piece = self._next_piece(round(stream.hop_seconds * self.rate))
            shapes = stream.push(self._to_motion.push(piece), skip=skip)
            audio = np.clip(self._to_output.push(piece), -1.0, 1.0)
        else:
            rest = stream.push(self._to_motion.flush())
            total = self._lead + frame_count(self._samples, self.rate, self._fps)
            shapes = np.concatenate([rest, stream.flush(total_frames=total)])
            audio = np.clip(self._to_output.flush(), -1.0, 1.0)
            self._finished = True
        self._shapes.extend(shapes)
        self._audio = np.concatenate([self._audio, audio])

    def _start_stream(self) -> MotionStream:
        stream = self._stream = self._new_stream(self.continues)
        if self._lead:
            lead = np.zeros(round(self._lead * SAMPLE_RATE / self._fps), np.float32)
            self._shapes.extend(stream.push(lead))
        return stream

    def _next_piece(self, most: int) -> ArrayF32:
        """Return all waiting samples, but at most `most`: no frame computes more than it needs.

        Audio is pushed in small pieces, and each call of the stream has costs of its own.
        """
        taken, count = [], 0
        while self._pieces and count < most:
            piece = self._pieces.popleft()
            if count + len(piece) > most:
                self._pieces.appendleft(piece[most - count :])
                piece = piece[: most - count]
            taken.append(piece)
            count += len(piece)
        return taken[0] if len(taken) == 1 else np.concatenate(taken)
