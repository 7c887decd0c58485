from __future__ import annotations

from fractions import Fraction

import pytest

from newscaster.synthesis.clock import Delays, MediaClock
from virtual_clock import VirtualClock


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24)])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_half_an_hour_of_frames_has_half_an_hour_of_audio(fps: Fraction, rate: int) -> None:
    media = MediaClock(fps, rate)
    frames = round(1800 * fps)
    assert sum(media.samples(number) for number in range(frames)) == round(frames * rate / fps)
    usual = rate / fps
    assert all(abs(media.samples(number) - usual) < 1 for number in range(0, frames, 997))


def test_when_frames_are_due() -> None:
    media = MediaClock(Fraction(25), 48_000)
    media.start(7.0, 5)
    media.start(9.0, 6)  # it runs already
    assert (media.due(5), media.due(30)) == (pytest.approx(7.0), pytest.approx(8.0))
    assert media.seconds(30) == 1.2


def test_delays() -> None:
    delays = Delays()
    assert (delays.last, delays.p95) == (None, None)
    for number in range(1, 501):
        delays.add(number)
    assert delays.last == 500
    assert delays.p95 == pytest.approx(251 + 0.95 * 249)


def test_a_clock_that_tests_move() -> None:
    clock, calls = VirtualClock(), []
    clock.at(0.5, lambda: calls.append(clock.now))
    clock.wait(None, 1.0)  # type: ignore[arg-type]
    clock.wait(None, 1.0)  # type: ignore[arg-type]
    assert (calls, clock.now) == ([100.5], 101.5)
