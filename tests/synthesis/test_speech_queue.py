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


def never() -> MotionStream:
    raise AssertionError("nothing is heard here")


def programme() -> SpeechQueue:
    def new(rate: int, begun: float, read: bool) -> Utterance:
        return Utterance(
            never, rate=rate, output_rate=48_000, fps=Fraction(25), start_seconds=begun, read=read
        )

    limits = LiveLimits(max_pending_audio_seconds=5, max_pending_chars=10)
    return SpeechQueue(new, text_rate=24_000, limits=limits)


def test_what_is_pushed_goes_on_until_it_is_flushed() -> None:
    said = programme()
    assert (said.busy, said.next) == (False, None)
    said.push(SECOND, 16_000, 1.0)
    said.push(SECOND, 16_000, 2.0)
    first = said.start_next()
    assert (first.start_seconds, first.waiting_seconds, first.ended) == (1.0, 2.0, False)
    said.push(SECOND, 16_000, 3.0)
    assert said.waiting_seconds(read=False) == 3.0
    said.flush()
    assert first.ended
    said.push(SECOND, 16_000, 4.0)
    said.push(SECOND[:8000], 8000, 5.0)  # another rate begins anew
    assert said.start_next().ended
    assert not said.start_next().ended


def test_a_text_keeps_its_place() -> None:
    said = programme()
    said.push(SECOND, 16_000, 1.0)
    text = said.read(7, 2.0)
    said.push(SECOND, 16_000, 3.0)
    assert said.start_next().ended
    assert said.start_next() is text.utterance
    text.utterance.add(SECOND)
    said.underrun(text.utterance)
    assert said.next is text.utterance  # for the next sentence, before what was pushed later
    said.made(text)
    assert text.made
    assert said.start_next().ended
    assert not said.start_next().read


def test_what_may_wait() -> None:
    said = programme()
    said.push(np.zeros(5 * 16_000, np.float32), 16_000, 0.0)
    with pytest.raises(InputError, match=r"5\.0 s are queued; expected 5 s at most"):
        said.push(SECOND, 16_000, 1.0)
    assert said.waiting_seconds(read=False) == 5.0
    text = said.read(7, 0.0)
    with pytest.raises(InputError, match="has 4 characters, and 7 are queued; expected 10"):
        said.read(4, 0.0)
    said.made(text)
    said.read(10, 0.0)


def test_clearing_drops_all_but_the_current_one() -> None:
    said = programme()
    said.push(SECOND, 16_000, 0.0)
    first, text = said.start_next(), said.read(3, 0.0)
    said.clear()
    assert (said.next, said.current, text.dropped) == (None, first, True)
    said.push(SECOND, 16_000, 1.0)
    assert said.start_next() is not first
