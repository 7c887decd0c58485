"""Audio augmentation: mouth shapes follow the pace, and every change has the documented effect."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.face.topology import MOUTH_POINTS
from newscaster.models.motion import augment
from newscaster.models.motion.augment import (
    at_pace,
    augment_audio,
    with_level,
    with_noise,
    with_room,
    with_tone,
)
from newscaster.models.motion.data import MotionClip
from newscaster.speech.features import FeatureSpec, extract

SPEC = FeatureSpec(kind="log-mel")


class Always:
    """A generator whose dice always fall so that a change is made; else it is one of numpy's."""

    def __init__(self, seed: int = 0, pick: float | None = None) -> None:
        self._rng = np.random.default_rng(seed)
        self._pick = pick

    def random(self) -> float:
        return 0.0

    def choice(self, values):
        return self._pick if self._pick is not None else self._rng.choice(values)

    def __getattr__(self, name: str):
        return getattr(self._rng, name)


def tone(hz: float = 200.0, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(16000 * seconds)) / 16000).astype(np.float32)


def pitch(audio: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(audio)).argmax() * 16000 / len(audio))


@pytest.mark.parametrize("pace", [0.87, 1.0, 1.15])
def test_pace_moves_pitch_and_length(pace: float) -> None:
    audio = at_pace(tone(), pace)
    assert len(audio) == round(16000 * pace)
    assert pitch(audio) == pytest.approx(200 / pace, abs=1.5)
    assert np.abs(audio).max() == pytest.approx(1, abs=0.05)


def test_noise_lies_under_the_speech() -> None:
    for seed in range(8):
        added = with_noise(tone(), Always(seed)) - tone()
        below = 20 * np.log10(np.linalg.norm(tone()) / np.linalg.norm(added))
        assert 7.9 < below < 35.1


def test_reverberation_follows_the_audio() -> None:
    click = np.zeros(8000, np.float32)
    click[1000] = 1
    reverberant = with_room(click, Always())
    assert np.abs(reverberant[:1000]).max() < 1e-6
    assert reverberant[1000] == pytest.approx(1, abs=1e-5)
    assert np.abs(reverberant[1001:5800]).max() > 1e-3


def test_tone_and_level_keep_the_words() -> None:
    assert pitch(with_tone(tone(), Always())) == pytest.approx(200, abs=1)
    level = np.abs(with_level(tone(), Always())).max()
    assert 10 ** (-12 / 20) <= level <= 10 ** (6 / 20)


def test_nothing_is_changed_when_the_dice_say_so(monkeypatch) -> None:
    monkeypatch.setattr(Always, "random", lambda self: 0.99)
    dice = Always()
    for change in (with_tone, with_room, with_noise):
        assert np.array_equal(change(tone(), dice), tone())


@pytest.mark.parametrize("pace", [0.87, 1.0, 1.15])
def test_the_mouth_keeps_time(pace: float, monkeypatch) -> None:
    # A mouth that opens with the audio's loudness still does at any pace.
    for name in ("with_tone", "with_room", "with_noise"):
        monkeypatch.setattr(augment, name, lambda audio, rng: audio)
    loud = (np.arange(100) // 10 % 2).astype(np.float32)
    speech = np.repeat(loud, 640) * tone(seconds=4.0)
    shapes = np.broadcast_to(loud[:, None, None], (100, MOUTH_POINTS, 2)).copy()
    clip = MotionClip(extract(speech, SPEC), shapes, np.ones(100, bool))
    made = augment_audio(clip, speech, SPEC, None, Always(3, pick=pace))
    assert made.features.dtype == np.float16
    assert len(made.features) == pytest.approx(100 * pace, abs=2)
    level = made.features.astype(np.float32).reshape(len(made.features), -1).max(axis=1)
    assert np.corrcoef(level, made.shapes[:, 0, 0])[0, 1] > 0.85


def test_steps_next_to_unseen_ones_are_unseen() -> None:
    present = np.ones(50, bool)
    present[20] = False
    speech = tone(seconds=2.0)
    shapes = np.zeros((50, MOUTH_POINTS, 2), np.float32)
    clip = MotionClip(extract(speech, SPEC), shapes, present)
    made = augment_audio(clip, speech, SPEC, None, Always(pick=1.15))
    assert 1 <= (~made.present).sum() <= 4
    assert (~made.present)[21:25].any()
