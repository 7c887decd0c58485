"""A live stream of an anchor: speech in at any pace, frames out one by one, each with its sound.

Knows what each frame shows and when. What is to be heard is kept by `programme`, how speech becomes mouths
and sound by `utterance`, what a picture is made of by `live_rendering`.

::

    pushed         |--- sound ------------- ...
    heard                  |--- sound ------------- ...
    shown          . . . . |### mouth ############# ...      a whole number of frames later
                   |-------|
                    look-ahead, RESERVE_SECONDS, and what is left to the next frame
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from newscaster.errors import InputError, SpeechError
from newscaster.speech.plain_text import plain_text
from newscaster.speech.spectral import SAMPLE_RATE, Floats
from newscaster.synthesis.clock import Clock, Delays, MediaClock, WallClock
from newscaster.synthesis.live_frame import LiveCounts, LiveFrame
from newscaster.synthesis.live_rendering import LiveRenderer
from newscaster.synthesis.live_voice import SharedVoices, TextReader
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.options import LIVE_LOOK_AHEAD_MS, LiveLimits, Style
from newscaster.synthesis.speech_input import Samples, check_magnitudes, check_rate
from newscaster.synthesis.speech_queue import SpeechQueue
from newscaster.synthesis.utterance import Utterance
from newscaster.texts import check_unicode, quoted

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading

Array = npt.NDArray[np.float64]

RESERVE_SECONDS = 0.04
"""Pushed speech begins this much later than its look-ahead asks for: time to compute, and for sound that does
not come evenly."""
GRACE_SECONDS = 0.04
"""How long a frame that is due waits for sound that has not come."""
LATE_SECONDS = 0.08
"""A frame that is later than this before it is painted is left out."""
MAX_LEFT_OUT = 12
"""Frames in a row that are left out: a machine that is far too slow still shows that somebody is there."""
CLOSING_SECONDS = 0.08
"""In which the mouth comes to rest where speech breaks off."""
FADE_SECONDS = 0.02
"""In which sound that is interrupted fades out."""
_TEXT_RATE = 24_000
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What a frame is to show and sound like."""

    shape: Array
    audio: Floats
    utterance: Utterance | None = None


class Live:
    """One listener's stream. Made by :meth:`newscaster.Anchor.live`; a context manager, also an async one.

    Iterating gives a frame every 1/fps seconds, without end, until :meth:`close`. Where nothing is said the
    stage goes on with its mouth at rest, and `sound` is silence.

    - *Pushed sound* is heard and shown `delay_seconds` + 40 ms after its first sample came, and then up to
      the next frame. Large pieces are spoken at their own pace, one after the other.
    - *Sound that does not come*: where a frame is due and its sound has not come 40 ms later, what has come
      is spoken to its end, as if :meth:`flush` had been called. The stage goes on; sound that comes later
      begins anew.
    - *A slow machine*: a frame that is more than 80 ms late before it is painted is left out (`picture` is
      None) and counted, but no more than 12 in a row. Its sound is given all the same, and motion goes on as
      if it had been shown.
    - *Speech that breaks off* with an open mouth closes it within 80 ms.

    One thread, or one task, iterates; everything else may be called from any thread.
    """

    def __init__(
        self,
        live_renderer: LiveRenderer,
        order: Iterator[int],
        new_stream: Callable[[], MotionStream],
        *,
        fps: Fraction,
        rate: int,
        voices: SharedVoices,
        reading: Reading | None,
        limits: LiveLimits,
        clock: Clock | None = None,
    ) -> None:
        if not 8000 <= rate <= 192_000:
            raise InputError(f"rate is {rate} Hz; expected 8000 to 192000")
        self.fps = fps
        self.rate = rate
        self.delay_seconds = new_stream().delay_seconds
        """What a frame's motion waits for."""
        self._live_renderer = live_renderer
        self._order = order
        self._new_stream = new_stream
        self._clock: Clock = clock or WallClock()
        self._media = MediaClock(fps, rate)
        self._programme = SpeechQueue(self._new_utterance, text_rate=_TEXT_RATE, limits=limits)
        self._changed = threading.Condition()  # its lock guards the programme and all flags
        self._turn = threading.Lock()
        self._number = 0
        self._shape = live_renderer.rest  # as last shown
        self._closing: deque[Array] = deque()
        self._interrupted = False
        self._closed = False
        self._shown = self._dropped = self._underrun = 0
        self._left_out = 0  # in a row
        self._begun: Utterance | None = None  # whose first frame has been shown
        self._spoken = 0  # frames of utterances
        self._speech_seconds = self._speech_before = 0.0  # found in all utterances, and in those before
        self._delays, self._late = Delays(), Delays()
        self._reader = TextReader(
            self._programme,
            self._changed,
            voices=voices,
            reading=reading,
            rate=_TEXT_RATE,
            prefetch_seconds=limits.prefetch_seconds,
        )
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="newscaster-live")

    # What is said

    def push(self, samples: Samples, rate: int = SAMPLE_RATE) -> None:
        """Have sound spoken: it follows what was pushed before. Returns at once.

        Args:
            samples: (n,) float mono in [-1, 1], any n; copied.
            rate: in Hz. Another one than before begins anew, as after a flush.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
            InputError: the rate is out of range; more waits than may (nothing of it is taken then); the
                stream is closed.
        """
        checked = _checked(samples, rate)
        if len(checked):
            with self._changed:
                self._check_open()
                self._programme.push(checked, rate, self._clock())
                self._changed.notify_all()

    def say(self, text: str, *, on_note: Callable[[str], None] | None = None) -> Future[None]:
        """Have a text read aloud, behind everything that waits, by sentence. Returns at once.

        Args:
            text: an empty line divides paragraphs; mark-up and control characters are removed.
            on_note: called, in another thread, with a line for each sentence that is left out or lacks words,
                and for what is removed; it is also logged.

        Returns:
            Done when all of it has become sound; it raises what the voice raises, which is also logged.

        Raises:
            SpeechError: there is no word in it.
            InputError: more text waits than may; the stream is closed; the text is not valid UTF-8.
        """
        check_unicode(text, "the text")
        if not any(character.isalnum() for character in plain_text(text).text):
            raise SpeechError(f"the text {quoted(text[:60])} holds no word to speak; give a sentence or more")
        with self._changed:
            self._check_open()
            place = self._programme.read(len(text), self._clock())
            return self._reader.read(text, place, on_note=on_note)

    def change(
        self, *, new_stream: Callable[[], MotionStream] | None = None, reading: Reading | None = None
    ) -> None:
        """Speak otherwise from the next sentence on that has not been made, and from the next pushed sound
        that begins anew. Nothing that is being said ends. From any thread.

        Args:
            new_stream: makes the streams of utterances from now on; None keeps them as they are.
            reading: how texts are read; None keeps it.

        Raises:
            InputError: the stream is closed.
        """
        delay = None if new_stream is None else new_stream().delay_seconds
        with self._changed:
            self._check_open()
            if new_stream is not None and delay is not None:
                self._new_stream, self.delay_seconds = new_stream, delay
            self._reader.change(reading)

    def flush(self) -> None:
        """What was pushed is whole: it is spoken to its end without waiting for more."""
        with self._changed:
            self._programme.flush()
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Drop everything that has not been shown: the next frame's sound fades out within 20 ms, and the
        mouth is at rest 80 ms from now.
        """
        with self._changed:
            self._programme.clear()
            self._interrupted = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream, from any thread and more than once: iterators end, what waits is dropped."""
        with self._changed:
            self._closed = True
            self._programme.clear()
            self._changed.notify_all()
        self._reader.close()
        self._runner.shutdown(wait=False)

    @property
    def busy(self) -> bool:
        """Whether something is being said, or waits to be."""
        with self._changed:
            return self._programme.busy

    @property
    def counts(self) -> LiveCounts:
        """What the stream has given so far."""
        with self._changed:
            waiting = sum(self._programme.waiting_seconds(read=read) for read in (False, True))
            return LiveCounts(
                shown=self._shown,
                dropped=self._dropped,
                underrun=self._underrun,
                audio_seconds=self._media.seconds(self._number),
                spoken_seconds=float(self._spoken / self.fps),
                speech_seconds=self._speech_seconds,
                waiting_seconds=waiting,
                delay_seconds=self._delays.last,
                delay_seconds_p95=self._delays.p95,
                late_seconds=self._late.last,
                late_seconds_p95=self._late.p95,
            )

    # What is shown

    def frames(self, *, paced: bool = True) -> Iterator[LiveFrame]:
        """Frames without end, from where the last iteration stopped.

        Args:
            paced: whether each is given when it is due. Otherwise as fast as they can be made: nothing is
                late, nothing is left out, and speech that has begun waits for its sound as long as it takes.
        """
        while (frame := self._next(paced)) is not None:
            yield frame

    def __iter__(self) -> Iterator[LiveFrame]:
        return self.frames()

    async def __aiter__(self) -> AsyncIterator[LiveFrame]:
        loop = asyncio.get_running_loop()
        while not self._closed:
            try:
                waiting = loop.run_in_executor(self._runner, self._next, True)
            except RuntimeError:  # closed just now
                return
            frame = await waiting
            if frame is None:
                return
            yield frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self, paced: bool) -> LiveFrame | None:
        """Make the next frame, and give it when it is due; None when the stream is closed."""
        with self._turn:
            if self._closed:
                return None
            number = self._number
            if paced:
                self._media.start(self._clock(), number)
            index = next(self._order)
            made: _Made | None = None
            while True:
                made = self._make(number, paced, made)
                if made is None:
                    return None
                late = paced and self._clock() > self._media.due(number) + LATE_SECONDS
                late = late and self._left_out < MAX_LEFT_OUT
                image = None if late else self._live_renderer.image(index, made.shape)
                if self._given(number, paced, made, late):
                    return LiveFrame(
                        number=number,
                        seconds=self._media.seconds(number),
                        image=image,
                        audio=made.audio,
                        synthesised=image is not None and self._live_renderer.synthesises(index),
                        speaking=made.utterance is not None,
                    )

    def _given(self, number: int, paced: bool, made: _Made, late: bool) -> bool:
        """Wait until a frame is due and count it as given; False where it has been interrupted meanwhile."""
        with self._changed:
            while not self._stopped():
                left = self._media.due(number) - self._clock() if paced else 0.0
                if left <= 0:
                    break
                self._clock.wait(self._changed, left)
            if self._stopped():
                return False
            self._number = number + 1
            self._shape = made.shape
            self._left_out = self._left_out + 1 if late else 0
            self._dropped, self._shown = self._dropped + late, self._shown + (not late)
            now = self._clock()
            if paced:
                self._late.add(max(0.0, now - self._media.due(number)))
            if made.utterance is None:
                return True
            if made.utterance is not self._begun:
                self._speech_before = self._speech_seconds
                self._begun = made.utterance
                if not made.utterance.continues:
                    self._delays.add(now - made.utterance.begun_seconds)
            self._spoken += 1
            self._speech_seconds = self._speech_before + made.utterance.speech_seconds
            return True

    def _make(self, number: int, paced: bool, unshown: _Made | None) -> _Made | None:
        """What a frame shows, once that is certain.

        Args:
            number: the frame's.
            paced: whether it is to be shown at its time.
            unshown: what was made for it before an interruption.
        """
        count = self._media.samples(number)
        while True:
            with self._changed:
                if self._closed:
                    return None
                if self._interrupted:
                    return self._broken_off(count, unshown)
                utterance = self._current(number, paced)
            if utterance is None:
                return _Made(shape=self._at_rest(), audio=np.zeros(count, np.float32))
            shape = self._awaited(utterance, number, paced)
            with self._changed:
                if self._stopped():
                    continue
                if shape is not None:
                    self._closing.clear()
                    return _Made(shape=shape, audio=utterance.audio(count), utterance=utterance)
                if not self._closing:
                    self._close_mouth()
                if not utterance.over:  # less than half a frame of sound is left, which has none of its own
                    return _Made(shape=self._at_rest(), audio=utterance.audio(count), utterance=utterance)
                self._programme.current = None

    def _current(self, number: int, paced: bool) -> Utterance | None:
        """The utterance that frame `number` belongs to."""
        programme = self._programme
        if programme.current is not None:
            return programme.current
        coming = programme.next
        if coming is None or (coming.is_empty and not coming.ended):
            return None
        if paced and not coming.ended and not coming.read:
            begin = coming.begun_seconds + coming.delay_seconds + RESERVE_SECONDS
            if self._media.due(number) < begin:
                return None
        return programme.begin()

    def _awaited(self, utterance: Utterance, number: int, paced: bool) -> Array | None:
        """The next shape of an utterance; None at its end, and where it is interrupted."""
        while True:
            shape = utterance.shape()
            if shape is not None:
                return shape
            with self._changed:
                if self._stopped():
                    return None
                if utterance.unheard:
                    continue
                if utterance.ended:
                    return None
                left = _POLL_SECONDS
                if paced:
                    left = self._media.due(number) + GRACE_SECONDS - self._clock()
                if left > 0:
                    self._changed.notify_all()  # whoever makes sound ahead may wait for this
                    self._clock.wait(self._changed, left)
                else:
                    self._underrun += 1
                    self._programme.underrun(utterance)

    def _stopped(self) -> bool:
        """Whether what is being made is not to be shown."""
        return self._interrupted or self._closed

    def _broken_off(self, count: int, unshown: _Made | None) -> _Made:
        """The first frame after an interruption."""
        self._interrupted = False
        current, self._programme.current = self._programme.current, None
        audio = np.zeros(count, np.float32)
        if unshown is not None:
            audio = unshown.audio.copy()
        elif current is not None:
            audio = current.audio(count)
        fade = round(FADE_SECONDS * self.rate)
        weights = np.clip(1 - (np.arange(count) + 0.5) / fade, 0, 1).astype(np.float32)
        if not self._closing:
            self._close_mouth()
        return _Made(shape=self._at_rest(), audio=audio * weights)

    def _close_mouth(self) -> None:
        """Shapes on the way from the one last shown to rest, by a raised cosine; rest follows them."""
        rest = self._live_renderer.rest
        if np.array_equal(self._shape, rest):
            return
        steps = max(1, int(CLOSING_SECONDS * self.fps))
        gains = (1 + np.cos(np.pi * np.arange(1, steps) / steps)) / 2
        self._closing.extend(rest + gain * (self._shape - rest) for gain in gains)

    def _at_rest(self) -> Array:
        """The mouth of a frame without speech: on its way to rest, or there."""
        return self._closing.popleft() if self._closing else self._live_renderer.rest

    def _new_utterance(self, rate: int, begun_seconds: float, read: bool) -> Utterance:
        return Utterance(
            # A text takes what is set when its mouth first moves, pushed sound what it has been waiting for.
            (lambda: self._new_stream()) if read else self._new_stream,
            rate=rate,
            heard_rate=self.rate,
            fps=self.fps,
            begun_seconds=begun_seconds,
            read=read,
            delay_seconds=self.delay_seconds,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("the stream is closed, and says nothing more; begin a new one: anchor.live()")


def open_live(
    anchor: LoadedAnchor,
    voices: SharedVoices,
    *,
    rate: int,
    style: Style | None = None,
    limits: LiveLimits | None = None,
    clock: Clock | None = None,
) -> Live:
    """Start a stream. See :meth:`newscaster.Anchor.live`."""
    style = style or Style()
    look_ahead_ms = LIVE_LOOK_AHEAD_MS if style.look_ahead_ms is None else style.look_ahead_ms
    return Live(
        anchor.live_painter.marked(anchor.marks(style)),
        anchor.order(style.target_start),
        partial(anchor.motion_stream, articulation=style.articulation, look_ahead_ms=look_ahead_ms),
        fps=anchor.info.fps,
        rate=rate,
        voices=voices,
        reading=style.reading,
        limits=limits or LiveLimits(),
        clock=clock,
    )


def _checked(samples: Samples, rate: int) -> Floats:
    """A copy of pushed samples, if they can be spoken."""
    check_rate(rate)
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise SpeechError(
            f"the samples are {samples.dtype} {samples.shape}; expected float (n,): mono, in [-1, 1]. "
            "Take the mean of the channels; divide 16-bit integers by 32768"
        )
    check_magnitudes(samples)
    return np.array(samples, np.float32)
