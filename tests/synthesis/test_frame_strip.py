from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from newscaster.face.topology import LANDMARKS
from newscaster.media import YuvFrame
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.dub_options import KeptFrames
from newscaster.synthesis.frame_strip import MAX_RUNS, FrameStrip, shown_frames


def test_frames_are_spread_and_at_the_edges() -> None:
    kept = [KeptFrames(start=10, stop=20, reason="x"), KeptFrames(start=95, stop=100, reason="y")]
    shown = shown_frames(100, kept)
    assert {9, 10, 19, 20, 94, 95, 99} <= set(shown)
    assert {0, 14, 28, 42, 57, 71, 85, 99} <= set(shown)
    assert shown == sorted(set(shown))
    assert shown_frames(3, []) == [0, 1, 2]
    many = [KeptFrames(start=10 * i, stop=10 * i + 1 + i % 3, reason="x") for i in range(100)]
    assert len(shown_frames(1000, many)) <= 8 + 4 * MAX_RUNS


def _track(present: list[bool], middle: tuple[float, float]) -> VideoTrack:
    landmarks = np.full((len(present), LANDMARKS, 3), np.nan, np.float32)
    corner = np.random.default_rng(0).uniform(-10, 10, (LANDMARKS, 2))
    landmarks[present, :, :2] = corner + middle
    flags = np.array(present)
    return VideoTrack(
        path=Path("v.mp4"),
        sha256="",
        fps=Fraction(25),
        size=(160, 80),
        landmarks=landmarks,
        present=flags,
        covered=~flags,
        face=0,
    )


def test_each_face_is_shown_before_and_after() -> None:
    """Frame 2 of the result shows frame 0 of the video; the second one has no face."""
    left, right = _track([True, False], (40, 40)), _track([True, False], (120, 40))
    strip = FrameStrip([left, right], np.array([0, 1, 0]), [])

    def grey(level: int) -> YuvFrame:
        image = np.full((80, 160, 3), level, np.uint8)
        image[:, 80:] += 20
        return YuvFrame(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"))

    passed = list(strip.after(strip.before(grey(level) for level in (40, 90, 140))))
    assert len(passed) == 3
    assert [pair.number for pair in strip.pairs()] == [0, 1, 2]
    both, whole, _ = strip.pairs()
    pixels = np.asarray(both.original)
    assert both.original.size == both.result.size
    assert abs(int(pixels[100, 100, 0]) - 40) < 6
    assert abs(int(pixels[100, -100, 0]) - 60) < 6
    assert whole.original.width == 2 * whole.original.height
