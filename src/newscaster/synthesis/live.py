"""A live stream of an anchor: speech in at any speed, frames out one by one, each with its audio.

Schedules the frames. `speech_queue` holds the speech, `utterance` turns it into mouths and audio,
`closing_mouth` ends what breaks off, `live_rendering` renders the frames, `live_account` counts them.

::

    pushed         |--- audio ------------- ...
    output                 |--- audio ------------- ...
    shown          . . . ooo### mouth ############# ...      an integer number of frames later
                   |-------|
                    look-ahead, RESERVE_SECONDS, and the rest of the frame

The mouth opens before the audio (`ooo`), in the frames that the gate looks ahead. Audio that has arrived by
then is enough for them. They belong to no speech.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from newscaster.errors import InputError, SpeechError
from newscaster.media import YuvFrame
from newscaster.speech.plain_text import plain_text
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.actions import ActionOrder
from newscaster.synthesis.background import Background
from newscaster.synthesis.clock import Clock, MediaClock, WallClock
from newscaster.synthesis.closing_mouth import ClosingMouth
from newscaster.synthesis.live_account import LiveAccount
from newscaster.synthesis.live_frame import Interruption, LiveCounts, LiveFrame
from newscaster.synthesis.live_rendering import LiveRenderer
from newscaster.synthesis.live_voice import OnSentence, SharedVoices, TextReader, TextSpeech
from newscaster.synthesis.loading import LoadedAnchor
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.options import LIVE_LOOK_AHEAD_MS, LiveLimits, Style
from newscaster.synthesis.speech_input import check_magnitudes, check_rate
from newscaster.synthesis.speech_queue import SpeechQueue
from newscaster.synthesis.utterance import MAX_SECONDS_AT_ONCE, Utterance
from newscaster.texts import check_unicode, quoted
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading


RESERVE_SECONDS = 0.04
"""Delay of pushed speech beyond its look-ahead: time for computation and for jitter."""
GRACE_SECONDS = 0.04
"""How long a due frame waits for audio that has not arrived."""
LATE_SECONDS = 0.08
"""A frame that is later than this before rendering is dropped."""
MAX_DROPPED_IN_A_ROW = 12
"""Limit for consecutive drops: a machine that is far too slow still shows some frames."""
FADE_SECONDS = 0.02
"""Duration of the fade-out of interrupted audio."""
_TEXT_RATE = 24_000
_INT16_SCALE = np.float32(32768)
Samples = ArrayFloat | npt.NDArray[np.int16]
"""Audio of a client: float in [-1, 1], or int16."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Mouth shape and audio of a frame, before rendering."""

    shape: ArrayF64
    audio: ArrayF32
    utterance: Utterance | None = None


class Live:
    """The stream of one client. Made by :meth:`newscaster.Anchor.live`; a context manager, also an async one.

    Iterating yields a frame every 1/fps seconds, without end, until :meth:`close`. Without speech the target
    video continues with its mouth at rest, and `audio` is silence.

    - *Pushed audio* is output `delay_seconds` + 40 ms after the arrival of its first sample, at the start of
      the next frame. Large pieces play in real time, in order. The mouth may open before, by as
      long as the gate looks ahead: 120 ms with 200 ms of look-ahead.
    - *An underrun*: if a frame is due and its audio has not arrived 40 ms later, the utterance ends, as if
      :meth:`flush` had been called. The target video continues. Later audio starts a new utterance.
    - *A slow machine*: a frame that is more than 80 ms late before rendering is dropped (`image` is None) and
      counted, but no more than 12 in a row. Its audio is still output, and motion continues as if the frame
      had been shown.
    - *Speech that breaks off* with an open mouth closes it within 80 ms.

    ::

        silent ──push, say──► waiting ──its first frame is due──► speaking ──its last frame──► silent
                                 ▲                                 │    │
                                 └────────────underrun─────────────┘    └──interrupt──► closing ──80 ms──►
                                 silent

    Each speech has a number, which :meth:`push` and the future of :meth:`say` tell: a text, or the audio
    between two flushes, underruns included. Frames have the number of their speech, and the one with its end
    says so.

    One thread or one task iterates. All other methods may be called from any thread.
    """

    def __init__(
        self,
        live_renderer: LiveRenderer,
        order: ActionOrder,
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
        stream = new_stream()
        self.delay_seconds = stream.delay_seconds
        """Look-ahead of the motion of a frame."""
        self._lead_seconds = stream.lead_seconds
        self._live_renderer = live_renderer
        self._order = order
        self._new_stream = new_stream
        self._clock: Clock = clock or WallClock()
        self._media = MediaClock(fps, rate)
        self._queue = SpeechQueue(self._new_utterance, text_rate=_TEXT_RATE, limits=limits)
        guard = threading.RLock()  # of the queue and of all flags
        self._changed = threading.Condition(guard)
        self._stopping = threading.Condition(guard)  # a frame that waits for its time need not know of audio
        self._lock = threading.Lock()
        self._number = 0
        self._shape = live_renderer.rest  # as last shown
        self._mouth = ClosingMouth(live_renderer.rest, fps)
        self._interrupted = False
        self._closed = False
        self._account = LiveAccount(fps)
        self._levelled: dict[bool, MotionStream] = {}  # last stream of pushed audio, and of texts
        self._reader = TextReader(
            self._queue,
            self._changed,
            voices=voices,
            reading=reading,
            rate=_TEXT_RATE,
            prefetch_seconds=limits.prefetch_seconds,
        )
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="newscaster-live")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, in pixels."""
        return self._live_renderer.size

    def first_image(self) -> YuvFrame:
        """Return the image that the next frame has without speech; for a still before the stream begins."""
        with self._lock:
            return self._live_renderer.image(
                self._order.peek(), self._live_renderer.rest, number=self._number
            )

    # Input

    def push(self, samples: Samples, rate: int = SAMPLE_RATE) -> int | None:
        """Speak audio, after the audio pushed before. Returns immediately.

        Args:
            samples: (n,) mono, any n; copied. Float in [-1, 1], or int16 PCM.
            rate: sampling rate in Hz. A change of the rate starts a new utterance, as after a flush.

        Returns:
            Number of the speech that it belongs to; None for no samples.

        Raises:
            SpeechError: the samples are of another type or shape, or not finite.
            InputError: the rate is out of range; the queue is full (none of the samples are accepted then);
                the stream is closed.
        """
        checked = _check_samples(samples, rate)
        if not len(checked):
            return None
        with self._changed:
            self._check_open()
            number = self._queue.push(checked, rate, self._clock())
            self._changed.notify_all()
            return number

    def say(
        self,
        text: str,
        *,
        on_note: Callable[[str], None] | None = None,
        on_sentence: OnSentence | None = None,
    ) -> TextSpeech:
        """Read a text aloud sentence by sentence, after all queued speech. Returns immediately.

        Args:
            text: an empty line separates paragraphs; mark-up and control characters are removed.
            on_note: called in another thread with a line for each sentence that is skipped or lacks words,
                and for removed text. The lines are also logged.
            on_sentence: called in another thread with each sentence before it is queued, and its time in the
                audio of this text: of the frames with the number of the speech.

        Returns:
            A future that is done when all of the text is audio; it has the number of the speech. It raises
            the error of the voice, which is also logged.

        Raises:
            SpeechError: the text has no words.
            InputError: the queue is full; the stream is closed; the text is not valid UTF-8.
        """
        check_unicode(text, "the text")
        if not any(character.isalnum() for character in plain_text(text).text):
            raise SpeechError(f"the text {quoted(text[:60])} holds no word to speak; give a sentence or more")
        with self._changed:
            self._check_open()
            place = self._queue.read(len(text), self._clock())
            reading = self._reader.read(text, place, on_note=on_note, on_sentence=on_sentence)
            return TextSpeech(reading, place.id)

    def change(
        self, *, new_stream: Callable[[], MotionStream] | None = None, reading: Reading | None = None
    ) -> None:
        """Change motion and voice for later speech. May be called from any thread.

        The change applies from the next sentence that is not synthesised yet, and from the next pushed
        utterance. Current speech continues unchanged.

        Args:
            new_stream: makes the motion streams of later utterances; None: no change.
            reading: voice and speed of texts; None: no change.

        Raises:
            InputError: the stream is closed.
        """
        stream = None if new_stream is None else new_stream()
        with self._changed:
            self._check_open()
            if new_stream is not None and stream is not None:
                self._new_stream, self.delay_seconds = new_stream, stream.delay_seconds
                self._lead_seconds = stream.lead_seconds
            if reading is not None:
                self._levelled.pop(True, None)  # another voice has another level
            self._reader.change(reading)

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the anchor's clips, for :meth:`play`."""
        return self._order.names

    def play(self, name: str) -> None:
        """Show a named clip of the anchor once, after those that wait. Returns immediately; speech goes on.

        The clip starts when a cut into it does not show, after three seconds at the latest. See `LiveFrame`
        for the frames that belong to it.

        Args:
            name: one of :attr:`actions`.

        Raises:
            InputError: there is no such clip; 16 wait; the stream is closed.
        """
        self._check_open()
        self._order.play(name)

    def listen(self, listening: bool = True) -> None:
        """Tell whether the user speaks: meanwhile, an anchor with a clip `listening` shows that in a loop.

        A clip `idle` is shown in a loop when no one has spoken for a second. Both end when speech starts.
        """
        self._order.listening = listening

    def flush(self) -> None:
        """End the pushed utterance: it is spoken to its end without waiting for more audio."""
        with self._changed:
            self._queue.flush()
            self._changed.notify_all()

    def interrupt(self) -> Interruption:
        """Drop all speech that has not been shown, and actions that have not started.

        The audio of the next frame fades out within 20 ms. The mouth is at rest within 80 ms.

        Returns:
            How much of the current speech has been output, in seconds, with the number of that speech in
            `utterance`; 0 and None if there is none.
        """
        with self._changed:
            self._queue.clear()
            self._order.clear()
            self._interrupted = True
            self._changed.notify_all()
            self._stopping.notify_all()
            return self._account.interrupt()

    def close(self) -> None:
        """Close the stream: iterators end, and queued speech is dropped. May be called repeatedly."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
            self._stopping.notify_all()
        self._reader.close()
        self._runner.shutdown(wait=False)

    @property
    def busy(self) -> bool:
        """Whether speech is playing or queued."""
        with self._changed:
            return self._queue.busy

    @property
    def counts(self) -> LiveCounts:
        """Statistics of the stream so far."""
        with self._changed:
            waiting = sum(self._queue.waiting_seconds(read=read) for read in (False, True))
            seconds = self._media.seconds(self._number)
            return self._account.counts(audio_seconds=seconds, waiting_seconds=waiting)

    # Output

    def frames(self, *, paced: bool = True) -> Iterator[LiveFrame]:
        """Yield frames without end, from the end of the last iteration.

        Args:
            paced: whether each frame is yielded when it is due. Otherwise as fast as possible: no frame is
                late or dropped, and speech that has started waits for its audio without a limit.
        """
        while (frame := self._next(paced)) is not None:
            yield frame

    def __iter__(self) -> Iterator[LiveFrame]:
        return self.frames()

    def __aiter__(self) -> AsyncIterator[LiveFrame]:
        return self.frames_async()

    async def frames_async(self, *, paced: bool = True, ahead: int = 0) -> AsyncIterator[LiveFrame]:
        """Yield frames without blocking the event loop; otherwise as :meth:`frames`.

        Unpaced frames are made when they are asked for: whoever takes them sets the pace.

        Args:
            paced: see :meth:`frames`.
            ahead: how many frames are made before they are asked for, while the consumer handles one. They
                count as output: an interruption does not change them. They are lost if the iteration ends.
        """
        if ahead < 0:
            raise InputError(f"ahead is {ahead}; expected 0 or more")
        loop = asyncio.get_running_loop()
        coming: deque[asyncio.Future[LiveFrame | None]] = deque()
        try:
            while not self._closed or coming:
                with suppress(RuntimeError):  # closed meanwhile
                    while len(coming) <= ahead and not self._closed:
                        coming.append(loop.run_in_executor(self._runner, self._next, paced))
                if not coming or (frame := await coming.popleft()) is None:
                    return
                yield frame
        finally:
            for waiting in coming:
                waiting.cancel()

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
        """Render the next frame, and return it when it is due; None if the stream is closed."""
        with self._lock:
            if self._closed:
                return None
            number = self._number
            if paced:
                self._media.start(self._clock(), number)
            index = self._order.next(speaking=self.busy)
            action = self._order.action
            plan: _Plan | None = None
            while True:
                plan = self._plan(number, paced, plan)
                if plan is None:
                    return None
                late = paced and self._clock() > self._media.due(number) + LATE_SECONDS
                late = late and self._account.dropped_in_a_row < MAX_DROPPED_IN_A_ROW
                image, render_seconds = (None, None) if late else self._render(index, plan.shape, number)
                ended = self._wait_and_count(number, paced, plan, late)
                if ended is not None:
                    return LiveFrame(
                        number=number,
                        seconds=self._media.seconds(number),
                        image=image,
                        audio=plan.audio,
                        synthesised=image is not None and self._live_renderer.synthesises(index),
                        speaking=plan.utterance is not None,
                        utterance=None if plan.utterance is None else plan.utterance.id,
                        ended=ended,
                        action=action,
                        render_seconds=render_seconds,
                    )

    def _render(self, index: int, shape: ArrayF64, number: int) -> tuple[YuvFrame, float]:
        """Return an image, and how long it took without the wait for a turn."""
        started = time.perf_counter()
        self._live_renderer.load(index)
        load_seconds = time.perf_counter() - started
        with self._live_renderer.turns:
            started = time.perf_counter()
            image = self._live_renderer.image(index, shape, number=number)
            return image, load_seconds + time.perf_counter() - started

    def _wait_and_count(self, number: int, paced: bool, plan: _Plan, late: bool) -> tuple[int, ...] | None:
        """Wait until a frame is due, and count it.

        Returns:
            Numbers of the speeches that it ends; None if it was interrupted meanwhile.
        """
        with self._changed:
            while not self._stopped():
                left = self._media.due(number) - self._clock() if paced else 0.0
                if left <= 0:
                    break
                self._clock.wait(self._stopping, left)
            if self._stopped():
                return None
            self._number = number + 1
            self._shape = plan.shape
            now = self._clock()
            late_seconds = max(0.0, now - self._media.due(number)) if paced else None
            self._account.add_frame(dropped=late, late_seconds=late_seconds)
            if plan.utterance is not None:
                self._account.add_speech(plan.utterance, now)
                if plan.utterance.over:
                    self._queue.finish(plan.utterance)
            ended = self._queue.pop_finished()
            self._account.end(ended)
            return ended

    def _plan(self, number: int, paced: bool, interrupted: _Plan | None) -> _Plan | None:
        """Return mouth and audio of a frame, once its speech is known; None if the stream is closed.

        Args:
            number: of the frame.
            paced: whether the frame is shown when it is due.
            interrupted: an earlier plan for the frame, before an interruption.
        """
        count = self._media.samples(number)
        while True:
            with self._changed:
                if self._closed:
                    return None
                if self._interrupted:
                    return self._plan_interruption(count, interrupted)
                utterance = self._current(number, paced)
            if utterance is None:
                return _Plan(shape=self._mouth.next(), audio=np.zeros(count, np.float32))
            shape = self._wait_for_shape(utterance, number, paced)
            with self._changed:
                if self._stopped():
                    continue
                if shape is not None:
                    self._mouth.stop()
                    is_audible = utterance.is_audible
                    audio = utterance.audio(count)
                    return _Plan(shape=shape, audio=audio, utterance=utterance if is_audible else None)
                if not self._mouth.is_closing:
                    self._mouth.start(self._shape)
                if not utterance.over:  # less than half a frame of audio is left, which has no shape
                    shape = self._mouth.next()
                    return _Plan(shape=shape, audio=utterance.audio(count), utterance=utterance)
                self._queue.finish(utterance)

    def _current(self, number: int, paced: bool) -> Utterance | None:
        """Return the utterance of frame `number`; None if there is none."""
        queue = self._queue
        if queue.current is not None:
            return queue.current
        coming = queue.next
        if coming is None or (coming.is_empty and not coming.ended):
            return None
        if paced and not coming.ended and not coming.read:
            start = coming.start_seconds + coming.delay_seconds + RESERVE_SECONDS
            frames = math.ceil((start - self._media.due(number)) * self.fps)
            if frames > 0 and (self._mouth.is_closing or not coming.start_before(frames)):
                return None
        return queue.start_next()

    def _wait_for_shape(self, utterance: Utterance, number: int, paced: bool) -> ArrayF64 | None:
        """Return the next shape of an utterance; None at its end, or if it is interrupted."""
        while True:
            with self._live_renderer.turns:
                shape = utterance.shape(skip=paced and self._will_be_dropped(number))
            if shape is not None:
                return shape
            with self._changed:
                if self._stopped():
                    return None
                if utterance.has_input:
                    continue
                if utterance.ended:
                    return None
                left = _POLL_SECONDS
                if paced:
                    left = self._media.due(number) + GRACE_SECONDS - self._clock()
                if left > 0:
                    self._changed.notify_all()  # the reader may wait for this
                    self._clock.wait(self._changed, left)
                else:
                    self._account.add_underrun()
                    self._queue.underrun(utterance)

    def _will_be_dropped(self, number: int) -> bool:
        """Return whether frame `number`, and those whose motion is computed with it, will be dropped."""
        count = math.ceil(MAX_SECONDS_AT_ONCE * self.fps)
        late = self._clock() > self._media.due(number + count - 1) + LATE_SECONDS
        return late and self._account.dropped_in_a_row + count <= MAX_DROPPED_IN_A_ROW

    def _stopped(self) -> bool:
        """Return whether the current plan is obsolete."""
        return self._interrupted or self._closed

    def _plan_interruption(self, count: int, interrupted: _Plan | None) -> _Plan:
        """Return the first frame after an interruption: its audio fades out."""
        self._interrupted = False
        current, self._queue.current = self._queue.current, None
        audio = np.zeros(count, np.float32)
        if interrupted is not None:
            audio = interrupted.audio.copy()
        elif current is not None:
            audio = current.audio(count)
        fade = round(FADE_SECONDS * self.rate)
        weights = np.clip(1 - (np.arange(count) + 0.5) / fade, 0, 1).astype(np.float32)
        if not self._mouth.is_closing:
            self._mouth.start(self._shape)
        return _Plan(shape=self._mouth.next(), audio=audio * weights)

    def _new_utterance(self, rate: int, start_seconds: float, read: bool) -> Utterance:
        # A text uses the settings at its first shape, pushed audio those at its arrival.
        new_stream = (lambda: self._new_stream()) if read else self._new_stream
        return Utterance(
            partial(self._continued, new_stream, read),
            rate=rate,
            output_rate=self.rate,
            fps=self.fps,
            start_seconds=start_seconds,
            read=read,
            delay_seconds=self.delay_seconds,
            lead_seconds=self._lead_seconds,
        )

    def _continued(self, new_stream: Callable[[], MotionStream], read: bool, continues: bool) -> MotionStream:
        """Return a new stream with the level of the speech before; unless it continues, it starts closed."""
        stream = new_stream()
        if not continues:
            stream.start_closed(at_rest=self._number > 0)
        if read in self._levelled:
            stream.continue_level(self._levelled[read])
        self._levelled[read] = stream
        return stream

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("the stream is closed; start a new one with anchor.live()")


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
    order, marks = anchor.live_order(style.target_start), anchor.marks(style)
    compositor = anchor.compositor(Background.of(style.background), start=style.target_start)
    return Live(
        anchor.live_renderer.marked(marks, compositor),
        order,
        partial(anchor.motion_stream, articulation=style.articulation, look_ahead_ms=look_ahead_ms),
        fps=anchor.info.fps,
        rate=rate,
        voices=voices,
        reading=style.reading,
        limits=limits or LiveLimits(),
        clock=clock,
    )


def _check_samples(samples: Samples, rate: int) -> ArrayF32:
    """Return a copy of pushed samples as float32. Raise an error if they cannot be spoken."""
    check_rate(rate)
    pushed: npt.NDArray[Any] = np.asarray(samples)
    if pushed.ndim != 1 or not (pushed.dtype.kind == "f" or pushed.dtype == np.int16):
        raise SpeechError(
            f"the samples are {pushed.dtype} {pushed.shape}; expected (n,), mono: float in [-1, 1], or "
            "int16. Take the mean of the channels"
        )
    if pushed.dtype == np.int16:
        return pushed.astype(np.float32) / _INT16_SCALE
    check_magnitudes(pushed)
    return np.array(pushed, np.float32)
