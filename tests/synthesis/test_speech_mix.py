from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from making_media import tone
from newscaster import media
from newscaster.synthesis.speech_mix import MAX_PEAK, RATE, mix_speeches


def _written(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    media.write_wav(path, samples.astype(np.float32), rate)
    return path


def test_the_sum_keeps_levels_and_starts(tmp_path: Path) -> None:
    first, second = 0.3 * tone(2.5, rate=RATE), 0.4 * tone(1.2, rate=RATE, hz=330)
    paths = [_written(tmp_path / "a.wav", first), _written(tmp_path / "b.wav", second)]
    assert mix_speeches(paths, tmp_path / "sum.wav") == 1.0
    mixed = media.read_audio(tmp_path / "sum.wav", rate=RATE)
    expected = first.copy()
    expected[: len(second)] += second
    np.testing.assert_allclose(mixed, expected, atol=2e-4)


def test_a_loud_sum_is_attenuated_as_a_whole(tmp_path: Path) -> None:
    loud = 1.8 * tone(2.0, rate=RATE)  # a peak of 0.9
    paths = [_written(tmp_path / f"{name}.wav", loud) for name in "ab"]
    gain = mix_speeches(paths, tmp_path / "sum.wav")
    assert gain == pytest.approx(MAX_PEAK / 1.8, rel=1e-3)
    mixed = media.read_audio(tmp_path / "sum.wav", rate=RATE)
    np.testing.assert_allclose(mixed, gain * 2 * loud, atol=2e-4)  # nothing is clipped
    assert np.abs(mixed).max() == pytest.approx(MAX_PEAK, abs=1e-3)


def test_speeches_of_other_rates_stay_in_time(tmp_path: Path) -> None:
    click = np.zeros(16_000, np.float32)
    click[8000:8016] = 0.5
    silence = 0.01 * tone(3.0, rate=44_100)
    paths = [_written(tmp_path / "a.wav", click, 16_000), _written(tmp_path / "b.wav", silence, 44_100)]
    mix_speeches(paths, tmp_path / "sum.wav")
    mixed = media.read_audio(tmp_path / "sum.wav", rate=RATE)
    assert len(mixed) == pytest.approx(3 * RATE, abs=2)
    assert int(np.abs(mixed).argmax()) / RATE == pytest.approx(0.5, abs=0.002)
