from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from making_media import KINDS, numbered, tone, write_media
from newscaster import media
from newscaster.server.dub_process import _kept, _level, numbered_faces, write_playable
from newscaster.synthesis.dub_options import DubResult, KeptFrames, SpeechGain


def test_an_original_that_browsers_do_not_play_gets_a_copy_in_step(tmp_path: Path) -> None:
    kind = KINDS["mpg-mp2"]
    original, copy = tmp_path / "original.mpg", tmp_path / "copy.mp4"
    frames = numbered(30)
    write_media(original, kind, frames, [Fraction(i, 25) for i in range(30)], tone(1.2, rate=kind.rate))
    counts: list[tuple[int, int, str | None]] = []
    write_playable(original, copy, lambda phase, frames, total: counts.append((frames, total, phase)))
    assert media.plays_in_browsers(copy)
    same = zip(media.read_frames(original), media.read_frames(copy), strict=True)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in same) < 3
    assert counts[-1] == (30, 30, "convert")
    assert media.probe(copy).audio is not None


def test_an_original_that_browsers_play_gets_none(tmp_path: Path) -> None:
    kind = KINDS["mp4-aac"]
    original, copy = tmp_path / "original.mp4", tmp_path / "copy.mp4"
    write_media(original, kind, numbered(10), [Fraction(i, 25) for i in range(10)], None)
    write_playable(original, copy, lambda *_: None)
    assert not copy.exists()


def test_kept_frames_are_noted_in_one_line() -> None:
    def result(*kept: KeptFrames) -> DubResult:
        return DubResult(
            path=Path("x.mp4"),
            frames=100,
            fps=Fraction(25),
            rewritten_frames=100 - sum(part.stop - part.start for part in kept),
            kept=kept,
            cuts=(),
            wall_seconds=1.0,
            track_seconds=0.5,
            speech_seconds=3.0,
        )

    assert _kept(result()) == []
    assert _level(result()) == []
    gain = SpeechGain(decibels=3.0, text="the speech is made 3.0 dB louder")
    assert _level(replace(result(), speech_gain=gain)) == ["the speech is made 3.0 dB louder"]
    parts = [KeptFrames(start=a, stop=a + 5, reason=why) for a, why in ((0, "A"), (20, "B"), (50, "A"))]
    assert _kept(result(*parts)) == [
        "15 of 100 frames keep their own mouth: A, B. The report has their times"
    ]


def test_faces_get_their_box_and_their_number() -> None:
    frame = np.zeros((400, 800, 3), np.uint8)
    boxes = {0: np.array([0.1, 0.25, 0.3, 0.75]), 3: np.array([0.6, 0.25, 0.8, 0.75])}
    shown = np.asarray(numbered_faces(frame, boxes))
    assert shown.shape == frame.shape
    assert (shown[200, [80, 240, 480, 640]] == 255).all()  # left and right sides
    assert (shown[[100, 300], 160] == 255).all()
    assert not shown[200, [40, 160, 400, 560, 700]].any()
    digits = [shown[102:130, left + 4 : left + 30] for left in (80, 480)]
    assert all((digit == 255).any() for digit in digits)
    assert (digits[0] != digits[1]).any()
    assert not frame.any()  # a copy
