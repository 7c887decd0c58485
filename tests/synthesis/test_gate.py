from __future__ import annotations

import numpy as np
import pytest

from newscaster.speech.voice_activity import VoiceActivity
from newscaster.synthesis.gate import AHEAD_STEPS, Gate
from tiny_anchor import speech_like


class FakeActivity:
    """Stands in for the network: one probability per 640 samples, which are their first values."""

    def stream(self) -> FakeActivity:
        return self

    def push(self, samples: np.ndarray) -> np.ndarray:
        return samples[::640]

    def flush(self) -> np.ndarray:
        return np.zeros(0, np.float32)


def gains(
    probabilities: np.ndarray, *, ahead_steps: int = AHEAD_STEPS, piece: int = 7, closed: bool = False
) -> np.ndarray:
    gate = Gate(FakeActivity(), ahead_steps=ahead_steps)  # type: ignore[arg-type]
    if closed:
        gate.start_closed()
    audio = np.repeat(probabilities.astype(np.float32), 640)
    parts = [gate.push(audio[i : i + piece * 640]) for i in range(0, len(audio), piece * 640)]
    return np.concatenate([*parts, gate.flush()])


def spoken(*segments: tuple[int, int], steps: int = 60, probability: float = 0.9) -> np.ndarray:
    found = np.zeros(steps)
    for first, stop in segments:
        found[first:stop] = probability
    return found


def test_opens_before_speech_and_closes_after() -> None:
    gain = gains(spoken((20, 30)))
    assert gain.shape == (60,)
    assert (gain[19:29] == 1).all()
    assert not gain[: 20 - AHEAD_STEPS].any()
    assert not gain[30 + 3 :].any()
    assert gain[29] > 0.9
    assert (np.diff(gain[:21]) >= 0).all()
    assert (np.diff(gain[29:40]) <= 0).all()
    assert 0 < gain[6] < gain[7] < gain[8] < 1
    assert gain[7] + gain[8] == pytest.approx(1)  # half open 12.5 steps before speech is found


def test_gaps_between_words_are_bridged_and_pauses_are_not() -> None:
    for gap in (1, 5, 9, 13):
        assert (gains(spoken((10, 20), (20 + gap, 40)))[10:39] == 1).all()
    assert gains(spoken((10, 20), (34, 40)))[10:39].min() < 1
    pause = gains(spoken((10, 20), (42, 50)))
    assert not pause[24:27].any()


def test_hysteresis() -> None:
    assert not gains(spoken((10, 30), probability=0.75)).any()
    assert gains(spoken((10, 30), probability=0.85))[10:30].all()
    fading = spoken((10, 20)) + spoken((20, 40), probability=0.7)
    assert (gains(fading)[10:39] == 1).all()
    assert not gains(spoken((10, 20)) + spoken((20, 40), probability=0.6))[24:].any()


@pytest.mark.parametrize("ahead_steps", [1, 2, 3, 8])
def test_the_gate_uses_no_more_look_ahead_than_stated(ahead_steps: int) -> None:
    gain = gains(spoken((20, 30)), ahead_steps=ahead_steps)
    assert np.flatnonzero(gain)[0] == 20 - ahead_steps
    gate = Gate(FakeActivity(), ahead_steps=ahead_steps)  # type: ignore[arg-type]
    assert len(gate.push(np.zeros(640 * 10, np.float32))) == 10 - ahead_steps


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("piece", [1, 5, 60])
def test_does_not_depend_on_the_cut(piece: int, closed: bool) -> None:
    noise = np.random.default_rng(0).uniform(0, 1, 60)
    whole = gains(noise, piece=13, closed=closed)
    np.testing.assert_array_equal(gains(noise, piece=piece, closed=closed), whole)


def test_a_video_may_start_with_closed_lips() -> None:
    speech = spoken((0, 60))
    assert (gains(speech)[:40] == 1).all()
    closed = gains(speech, closed=True)
    assert closed[0] == 0
    assert (np.diff(closed[:4]) > 0).all()
    assert (closed[3:40] == 1).all()
    later = spoken((20, 40))
    np.testing.assert_array_equal(gains(later, closed=True), gains(later))
    after_rest = Gate(FakeActivity())  # type: ignore[arg-type]
    after_rest.start_closed(at_rest=True)
    found = np.concatenate([after_rest.push(np.ones(60 * 640, np.float32)), after_rest.flush()])
    np.testing.assert_array_equal(found[:40], closed[1:41])


def test_a_voice_in_room_noise(activity: VoiceActivity) -> None:
    audio = np.random.default_rng(0).normal(0, 5e-3, 96_000).astype(np.float32)
    audio[32_000:64_000] += speech_like(2.0)
    gate = Gate(activity)
    gain = np.concatenate([gate.push(audio[:777]), gate.push(audio[777:]), gate.flush()])
    assert gain.shape == (150,)
    assert (gain[50:100] > 0.9).all()
    assert not gain[:34].any()
    assert not gain[108:].any()
