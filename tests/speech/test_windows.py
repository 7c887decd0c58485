from __future__ import annotations

import json

import pytest

from newscaster.errors import InputError
from newscaster.speech.windows import Windowing


def test_sizes() -> None:
    cut = Windowing(left_seconds=1.4, hop_seconds=0.4, right_seconds=0.2)
    assert (cut.left_samples, cut.hop_samples, cut.right_samples) == (22400, 6400, 3200)
    assert cut.window_samples == 32000
    assert (cut.left_states, cut.hop_states) == (70, 20)
    assert cut.cost == 5.0
    assert cut.window_seconds == 2.0


def test_json_round_trip() -> None:
    cut = Windowing(left_seconds=1.4, hop_seconds=0.06, right_seconds=0.0)
    assert Windowing.from_json(json.loads(json.dumps(cut.to_json()))) == cut


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_seconds": 0.0},
        {"hop_seconds": 0.03},
        {"left_seconds": -0.02},
        {"right_seconds": float("nan")},
        {"right_seconds": float("inf")},
        {"left_seconds": 8.0},
    ],
)
def test_what_cannot_be_cut(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"seconds"):
        Windowing(**wrong)


@pytest.mark.parametrize("wrong", [{}, {"left_seconds": 1.0}, {**Windowing().to_json(), "hop_seconds": "2"}])
def test_json_that_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="windowing is"):
        Windowing.from_json(wrong)
