"""Sequences of images: their names, and that none is left or mixed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.errors import OutputError
from newscaster.media import check_sequence, sequence_audio, sequence_path, write_video


def test_names(tmp_path: Path) -> None:
    assert sequence_path(tmp_path) == tmp_path / "frame_%05d.png"
    assert sequence_path(tmp_path / "x.mp4") == tmp_path / "x.mp4"
    assert sequence_audio(sequence_path(tmp_path)) == tmp_path / "audio.wav"
    assert sequence_audio(tmp_path / "news_%05d.png") == tmp_path / "news.wav"


@pytest.mark.parametrize("name", ["x.png", "x_%d_%d.png", "x%s.png", "100%_%d.png"])
def test_names_without_one_number(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="one number in its name"):
        check_sequence(tmp_path / name)


def test_older_images_are_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "x_%04d.png"
    check_sequence(path)
    (tmp_path / "x_a.png").touch()
    check_sequence(path)
    (tmp_path / "x_0007.png").touch()
    with pytest.raises(OutputError, match=r"x_0007\.png' exists"):
        check_sequence(path)


def test_a_folder_with_a_percent_sign(tmp_path: Path) -> None:
    folder = tmp_path / "50%"
    folder.mkdir()
    with pytest.raises(OutputError, match="has a % in its name"):
        check_sequence(folder / "x_%d.png")


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield from moving_pattern(3)
        raise KeyError

    with pytest.raises(KeyError):
        write_video(tmp_path / "x_%d.png", failing(), fps=Fraction(25), audio=None)
    assert not list(tmp_path.iterdir())
