from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import KINDS, numbered, write_media
from newscaster.errors import MediaError
from newscaster.media import read_pieces, write_video

FPS = 25


def written(path: Path, kind: str, count: int, *, rotation: int = 0) -> Path:
    """Frames that tell their number by their grey: `count` of them, each second's alike."""
    frames = [numbered(75)[index // FPS * 10] for index in range(count)]
    times = [Fraction(index, FPS) for index in range(count)]
    return write_media(path, KINDS[kind], frames, times, None, rotation=rotation)


def seconds_of(piece: list[np.ndarray]) -> list[int]:
    """The second that each frame is of."""
    return [round((float(plane.mean()) - 20) / 30) for plane in piece]


def pieces_of(path: Path, **changed: float) -> list[list[np.ndarray]]:
    """The luma of frames."""
    return [[luma for luma, _ in piece] for piece in planes_of(path, **changed)]


def planes_of(path: Path, **changed: float) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    options = {"pieces": 3, "seconds": 1.0, "frames_per_second": 5.0, "smaller_side_px": 24, **changed}
    return list(read_pieces(path, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mp4-aac", "mkv-pcm", "ts-aac"])
def test_pieces_are_spread_over_the_file(tmp_path: Path, kind: str) -> None:
    found = pieces_of(written(tmp_path / f"x{KINDS[kind].suffix}", kind, 7 * FPS))
    # What a file says of its length may be off by a frame.
    assert [[seconds_of(piece)[0], seconds_of(piece)[3]] for piece in found] == [[0, 0], [3, 3], [6, 6]]
    assert [len(piece) for piece in found] in ([5, 5, 5], [5, 5, 4])
    assert {plane.shape for piece in found for plane in piece} == {(24, 32)}
    assert {plane.dtype for piece in found for plane in piece} == {np.dtype(np.uint8)}


def test_short_files_have_fewer(tmp_path: Path) -> None:
    path = written(tmp_path / "x.mp4", "mp4-aac", 2 * FPS + 5)
    assert [seconds_of(piece) for piece in pieces_of(path, smaller_side_px=480)] == [[0] * 5, [1] * 4 + [2]]
    assert pieces_of(path, smaller_side_px=480)[0][0].shape == (48, 64)
    assert [len(piece) for piece in pieces_of(path, seconds=5.0)] == [11]


def test_upright(tmp_path: Path) -> None:
    found = pieces_of(written(tmp_path / "x.mp4", "mp4-aac", 10, rotation=90))
    assert found[0][0].shape == (32, 24)


def test_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        pieces_of(tmp_path / "missing.mp4")


def test_blue_differences(tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), color, np.uint8) for color in ((90, 90, 90), (90, 90, 190))]
    images[1][:, :32] = 90
    path = tmp_path / "x.mp4"
    write_video(path, [image for image in images for _ in range(25)], fps=Fraction(FPS), audio=None, crf=1)
    piece = planes_of(path, pieces=1, seconds=2.0)[0]
    grey, half = piece[0][1], piece[-1][1]
    assert grey.shape == half.shape == piece[0][0].shape == (24, 32)
    np.testing.assert_allclose(grey, 128, atol=1)
    np.testing.assert_allclose(half[:, :14], 128, atol=1)
    # U is (B - Y) / 1.772 of full range, and 224 / 255 of that.
    blue = 128 + 100 * (1 - 0.114) / 1.772 * 224 / 255
    np.testing.assert_allclose(half[:, 18:], blue, atol=2)
