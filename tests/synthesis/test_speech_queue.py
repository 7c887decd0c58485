from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.options import LiveLimits
from newscaster.synthesis.speech_queue import SpeechQueue
from newscaster.synthesis.utterance import Utterance

SECOND = np.zeros(16_000, np.float32)


def never(continues: bool) -> MotionStream:
    raise AssertionError("no motion stream is needed here")


def make_queue() -> SpeechQueue:
    def new(rate: int, begun: float, read: bool) -> Utterance:
        return Utterance(
            never, rate=rate, output_rate=48_000, fps=Fraction(25), start_seconds=begun, read=read
        )

    limits = LiveLimits(max_pending_audio_seconds=5, max_pending_chars=10)
    return SpeechQueue(new, text_rate=24_000, limits=limits)


def test_what_is_pushed_goes_on_until_it_is_flushed() -> None:
    queue = make_queue()
    assert (queue.busy, queue.next) == (False, None)
    queue.push(SECOND, 16_000, 1.0)
    queue.push(SECOND, 16_000, 2.0)
    first = queue.start_next()
    assert (first.start_seconds, first.waiting_seconds, first.ended) == (1.0, 2.0, False)
    queue.push(SECOND, 16_000, 3.0)
    assert queue.waiting_seconds(read=False) == 3.0
    queue.flush()
    assert first.ended
    queue.push(SECOND, 16_000, 4.0)
    queue.push(SECOND[:8000], 8000, 5.0)  # another rate starts a new utterance
    assert queue.start_next().ended
    assert not queue.start_next().ended


def test_a_text_keeps_its_place() -> None:
    queue = make_queue()
    queue.push(SECOND, 16_000, 1.0)
    text = queue.read(7, 2.0)
    queue.push(SECOND, 16_000, 3.0)
    assert queue.start_next().ended
    assert queue.start_next() is text.utterance
    text.utterance.add(SECOND)
    queue.underrun(text.utterance)
    assert queue.next is text.utterance  # for the next sentence, before what was pushed later
    queue.made(text)
    assert text.made
    assert queue.start_next().ended
    assert not queue.start_next().read


def test_what_may_wait() -> None:
    queue = make_queue()
    queue.push(np.zeros(5 * 16_000, np.float32), 16_000, 0.0)
    with pytest.raises(InputError, match=r"5\.0 s are queued; expected 5 s at most"):
        queue.push(SECOND, 16_000, 1.0)
    assert queue.waiting_seconds(read=False) == 5.0
    text = queue.read(7, 0.0)
    with pytest.raises(InputError, match="has 4 characters, and 7 are queued; expected 10"):
        queue.read(4, 0.0)
    queue.made(text)
    queue.read(10, 0.0)


def test_clearing_drops_all_but_the_current_one() -> None:
    queue = make_queue()
    queue.push(SECOND, 16_000, 0.0)
    first, text = queue.start_next(), queue.read(3, 0.0)
    queue.clear()
    assert (queue.next, queue.current, text.dropped) == (None, first, True)
    queue.push(SECOND, 16_000, 1.0)
    assert queue.start_next() is not first
