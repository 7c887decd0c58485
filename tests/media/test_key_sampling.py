from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from making_media import number_of, numbered
from newscaster.media import read_frames, read_key_frames, write_video


def test_key_frames_near_the_times_are_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"  # a key frame every 2 s
    write_video(path, numbered(75), fps=Fraction(10), audio=None, crf=4)
    found = list(read_key_frames(path, [0.0, 1.0, 2.5, 4.2, 4.4, 7.0]))
    assert [round(time, 3) for time, _ in found] == [0.0, 2.0, 4.0, 6.0]
    assert [number_of(image) for _, image in found] == [0, 20, 40, 60]


def test_quick_frames_are_darker_by_one_level_at_most(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, numbered(10), fps=Fraction(10), audio=None, crf=4)
    for exact, quick in zip(read_frames(path), read_frames(path, exact=False), strict=True):
        assert 0 <= np.mean(exact.astype(int) - quick) <= 2
