from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.utterance import Utterance
from tiny_anchor import speech_like, write_tiny_anchor


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return newscaster.open(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"))


def utterance(anchor: Anchor, rate: int = 16_000, output_rate: int = 48_000) -> Utterance:
    return Utterance(
        lambda: anchor.motion_stream(look_ahead_ms=200),
        rate=rate,
        output_rate=output_rate,
        fps=Fraction(25),
        start_seconds=0.0,
    )


def shapes(said: Utterance) -> list[np.ndarray]:
    found = []
    while (shape := said.shape()) is not None:
        found.append(shape)
    return found


@pytest.mark.parametrize("piece", [1, 333, 640, 5000, 40_000])
def test_shapes_do_not_depend_on_how_the_sound_was_cut(anchor: Anchor, piece: int) -> None:
    speech = speech_like(0.3 if piece == 1 else 1.7)
    stream = anchor.motion_stream(look_ahead_ms=200)
    expected = np.concatenate([stream.push(speech), stream.flush()])
    said, found = utterance(anchor), []
    for first in range(0, len(speech), piece):
        said.add(speech[first : first + piece])
        found += shapes(said)
        assert not said.over
    said.end()
    found += shapes(said)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    audio = said.audio(10**6)
    assert said.over
    assert abs(np.count_nonzero(np.trim_zeros(audio)) - 3 * len(speech)) < 100


def test_only_as_much_is_heard_as_the_next_shape_needs(anchor: Anchor) -> None:
    said = utterance(anchor)
    said.add(speech_like(10.0))
    assert said.shape() is not None
    assert 9.5 < sum(map(len, said._pieces)) / 16_000 < 9.8
    assert said.waiting_seconds == 10.0
    said.audio(48_000 // 25)
    assert said.waiting_seconds == pytest.approx(10 - 0.04)


def test_an_empty_utterance_is_over_when_it_has_ended(anchor: Anchor) -> None:
    said = utterance(anchor)
    assert said.is_empty
    assert said.shape() is None
    assert not said.over
    said.end()
    assert said.shape() is None
    assert said.over
    np.testing.assert_array_equal(said.audio(7), np.zeros(7))


def test_sound_that_is_too_loud_is_clipped(anchor: Anchor, tmp_path: Path) -> None:
    said = utterance(anchor, 48_000)
    said.add(np.full(48_000, 3.0, np.float32))
    said.end()
    shapes(said)
    np.testing.assert_array_equal(said.audio(48_000), np.ones(48_000))
