"""Speech of every level that is accepted moves the mouth as speech of the usual level does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster import media
from newscaster.errors import SpeechError
from newscaster.speech.level import QUIETEST_DBFS
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.options import Outputs
from tiny_anchor import speech_like

LEVELS = {-12: 0.99, -30: 0.99, -48: 0.95, -54: 0.95, QUIETEST_DBFS + 0.1: 0.85}
"""With the least likeness: 16 bits have 33 levels for a peak of -59.9 dBFS."""


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """16-bit samples whose loudest lies at a level."""
    scaled = samples / np.abs(samples).max() * 10 ** (dbfs / 20)
    return (np.round(scaled * 32768) / 32768).astype(np.float32)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of motion (F, 57, 2) about its mean; 0 if one does not move."""
    first, second = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=0) for x in (a, b))
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale else 0.0


def live_motion(anchor: Anchor, samples: np.ndarray) -> np.ndarray:
    """As live speech arrives: in small pieces, at an unknown level."""
    stream = anchor.motion_stream(look_ahead_ms=200)
    pieces = [stream.push(samples[i : i + 320]) for i in range(0, len(samples), 320)]
    return np.concatenate([*pieces, stream.flush()])


def file_motion(anchor: Anchor, samples: np.ndarray, folder: Path) -> np.ndarray:
    """The motion that `speak` writes for a file."""
    media.write_wav(folder / "x.wav", samples, 16_000)
    anchor.speak(folder / "x.wav", folder / "x.mp4", outputs=Outputs(motion=folder / "x.npz"))
    with np.load(folder / "x.npz") as motion:
        return np.asarray(motion["shapes"])


Usual = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Speech at the usual level, and its motion as a whole and live."""


@pytest.fixture(scope="module")
def drawn(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """Two pieces of speech with a pause between them."""
    speech = np.concatenate([speech_like(1.2), np.zeros(24_000, np.float32), speech_like(1.2, seed=3)])
    usual = at_level(speech, -3)
    return usual, file_motion(anchor, usual, tmp_path_factory.mktemp("usual")), live_motion(anchor, usual)


@pytest.mark.slow
@pytest.mark.parametrize("dbfs", LEVELS)
def test_quiet_speech_moves_the_mouth(drawn: Usual, anchor: Anchor, tmp_path: Path, dbfs: float) -> None:
    speech, motion, live = drawn
    quiet = at_level(speech, dbfs)
    assert likeness(file_motion(anchor, quiet, tmp_path), motion) > LEVELS[dbfs]
    assert likeness(live_motion(anchor, quiet), live) > LEVELS[dbfs]


def test_what_is_quieter_is_refused(anchor: Anchor, tmp_path: Path) -> None:
    with pytest.raises(SpeechError, match="is silent"):
        file_motion(anchor, at_level(speech_like(1.0), QUIETEST_DBFS - 1), tmp_path)


def test_the_mouth_rests_in_pauses_of_quiet_speech(anchor: Anchor) -> None:
    speech = np.concatenate([speech_like(2.0), np.zeros(64_000, np.float32), speech_like(1.0)])
    quiet = at_level(speech, -50) + np.random.default_rng(0).normal(0, 3e-5, len(speech)).astype(np.float32)
    motion = live_motion(anchor, quiet)
    assert (motion[65:140] == motion[100]).all()
    assert motion[:50].std(axis=0).max() > 1e-3


@pytest.fixture(scope="module")
def bundled() -> Anchor:
    return newscaster.open("grid-s1")


@pytest.fixture(scope="module", params=["english", "german", "japanese", "chinese_news"])
def usual(request: pytest.FixtureRequest, data_folder: Path, bundled: Anchor) -> Usual:
    path = data_folder / "speech" / f"{request.param}.flac"
    speech = at_level(media.read_audio(path, stop_seconds=3.0), -3)
    return speech, bundled.motion(speech), live_motion(bundled, speech)


@pytest.mark.slow
@pytest.mark.parametrize("dbfs", [-20, -48, QUIETEST_DBFS + 0.1])
def test_quiet_voices(usual: Usual, bundled: Anchor, dbfs: float) -> None:
    speech, motion, live = usual
    quiet = at_level(speech, dbfs)
    assert likeness(bundled.motion(quiet), motion) > 0.95
    assert likeness(live_motion(bundled, quiet), live) > 0.9
