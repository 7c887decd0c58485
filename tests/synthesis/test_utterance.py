from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.utterance import Utterance
from tiny_anchor import speech_like


def utterance(anchor: Anchor, rate: int = 16_000, output_rate: int = 48_000, **seconds: float) -> Utterance:
    return Utterance(
        lambda continues: anchor.motion_stream(look_ahead_ms=200),
        rate=rate,
        output_rate=output_rate,
        fps=Fraction(25),
        start_seconds=0.0,
        **seconds,
    )


def shapes(spoken: Utterance) -> list[np.ndarray]:
    found = []
    while (shape := spoken.shape()) is not None:
        found.append(shape)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("piece", [1, 333, 640, 5000, 40_000])
def test_shapes_do_not_depend_on_how_the_audio_was_cut(anchor: Anchor, piece: int) -> None:
    speech = speech_like(0.3 if piece == 1 else 1.7)
    stream = anchor.motion_stream(look_ahead_ms=200)
    expected = np.concatenate([stream.push(speech), stream.flush()])
    spoken, found = utterance(anchor), []
    for first in range(0, len(speech), piece):
        spoken.add(speech[first : first + piece])
        found += shapes(spoken)
        assert not spoken.over
    spoken.end()
    found += shapes(spoken)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    audio = spoken.audio(10**6)
    assert spoken.over
    assert abs(np.count_nonzero(np.trim_zeros(audio)) - 3 * len(speech)) < 100


def test_only_as_much_audio_is_processed_as_the_next_shape_needs(anchor: Anchor) -> None:
    spoken = utterance(anchor)
    spoken.add(speech_like(10.0))
    assert spoken.shape() is not None
    assert 9.5 < sum(map(len, spoken._pieces)) / 16_000 < 9.8
    assert spoken.waiting_seconds == 10.0
    spoken.audio(48_000 // 25)
    assert spoken.waiting_seconds == pytest.approx(10 - 0.04)


def test_small_pieces_are_processed_together(anchor: Anchor) -> None:
    """A window of the networks is for three frames: so often the stream is called, not for each piece."""
    spoken, sizes = utterance(anchor), []
    stream = anchor.motion_stream(look_ahead_ms=200)
    push = stream.push
    spoken._new_stream = lambda continues: stream

    def counted(samples: np.ndarray, *, skip: bool = False) -> np.ndarray:
        sizes.append(len(samples))
        return push(samples, skip=skip)

    stream.push = counted  # type: ignore[method-assign]
    speech = speech_like(1.4)
    for first in range(0, len(speech), 160):
        spoken.add(speech[first : first + 160])
    found = [spoken.shape() for _ in range(29)]
    assert all(shape is not None for shape in found)
    assert sizes == [1920] * 11  # 1.32 s: 29 frames, and what they depend on
    assert stream.hop_seconds == 0.12


def test_frames_before_the_audio_show_the_mouth_and_are_silent(anchor: Anchor) -> None:
    speech = speech_like(1.68)
    stream = anchor.motion_stream(look_ahead_ms=200)
    expected = np.concatenate(
        [stream.push(np.concatenate([np.zeros(1920, np.float32), speech])), stream.flush()]
    )
    spoken = utterance(anchor, lead_seconds=0.12, delay_seconds=0.2)
    spoken.add(speech[:1300])
    assert not spoken.start_before(4)  # longer than the mouth may open before
    assert not spoken.start_before(3)  # 80 ms of audio are needed, and a little to resample
    spoken.add(speech[1300:1400])
    assert not spoken.start_before(2)
    assert spoken.start_before(3)
    found, audio, audible = [], [], []
    spoken.add(speech[1400:])
    spoken.end()
    while (shape := spoken.shape()) is not None:
        found.append(shape)
        audible.append(spoken.is_audible)
        audio.append(spoken.audio(1920))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert audible == [False] * 3 + [True] * (len(found) - 3)
    assert not np.concatenate(audio[:3]).any()
    plain = utterance(anchor)
    plain.add(speech)
    plain.end()
    shapes(plain)
    np.testing.assert_array_equal(np.concatenate(audio[3:]), plain.audio(1920 * (len(audio) - 3)))
    spoken.audio(1920)
    assert spoken.over
    assert spoken.waiting_seconds == 0


def test_an_empty_utterance_is_over_when_it_has_ended(anchor: Anchor) -> None:
    spoken = utterance(anchor)
    assert spoken.is_empty
    assert spoken.shape() is None
    assert not spoken.over
    spoken.end()
    assert spoken.shape() is None
    assert spoken.over
    np.testing.assert_array_equal(spoken.audio(7), np.zeros(7))


def test_audio_that_is_too_loud_is_clipped(anchor: Anchor, tmp_path: Path) -> None:
    spoken = utterance(anchor, 48_000)
    spoken.add(np.full(48_000, 3.0, np.float32))
    spoken.end()
    shapes(spoken)
    np.testing.assert_array_equal(spoken.audio(48_000), np.ones(48_000))
