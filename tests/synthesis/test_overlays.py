from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from newscaster import media, provenance
from newscaster.formats.anchor import AnchorFile
from newscaster.synthesis import speak
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.labelling import place_label
from newscaster.synthesis.options import Style
from newscaster.synthesis.overlays import NO_MARKS, Overlays
from newscaster.watermark import Watermark, find_mark, id_of
from tiny_anchor import speech_like
from virtual_clock import VirtualClock

Planes = list[list[np.ndarray]]


def planes_of(images: list[media.YuvFrame]) -> Planes:
    return [[plane.copy() for plane in image.planes] for image in images]


def check_marked(plain: Planes, marked: Planes) -> None:
    """The same few levels are added to luma in all frames, and nothing else is touched."""
    assert len(plain) == len(marked) > 0
    levels = {(new[0].astype(int) - old[0]).tobytes() for old, new in zip(plain, marked, strict=True)}
    assert len(levels) == 1
    added = np.frombuffer(levels.pop(), int)
    assert 0 < np.abs(added).max() <= 3
    for old, new in zip(plain, marked, strict=True):
        for before, after in zip(old[1:], new[1:], strict=True):
            np.testing.assert_array_equal(before, after)


def test_what_reaches_the_encoder(
    larger_anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: Planes = []
    write_video = media.write_video

    def spy(path: Path, frames: itertools.chain, **options: object) -> int:
        return write_video(path, (encoded.extend(planes_of([f])) or f for f in frames), **options)

    monkeypatch.setattr(speak.media, "write_video", spy)
    found = {}
    for watermark in (True, False):
        encoded.clear()
        larger_anchor.speak(
            speech_like(1.0), tmp_path / "x.mp4", style=Style(label="Test", watermark=watermark)
        )
        found[watermark] = list(encoded)
        statement = provenance.verify(tmp_path / "x.mp4").statement
        assert statement is not None
        assert statement.watermark == (statement.anchor_id[:6] if watermark else None)
    check_marked(found[False], found[True])


def test_live_frames(larger_anchor: Anchor) -> None:
    def shown(*, watermark: bool) -> Planes:
        with larger_anchor.live(clock=VirtualClock(), style=Style(label="Test", watermark=watermark)) as live:
            live.push(speech_like(0.5), 16_000)
            live.flush()
            images = [frame.image for frame in itertools.islice(live, 20)]
        return planes_of([image for image in images if image is not None])

    check_marked(shown(watermark=False), shown(watermark=True))


def test_it_is_read_from_what_was_spoken(larger_anchor: Anchor, tmp_path: Path) -> None:
    made = larger_anchor.speak(speech_like(1.5), tmp_path / "x.mp4")
    found = find_mark(made.path)
    assert found is not None
    assert found.id == id_of(AnchorFile(larger_anchor.path).identity)
    larger_anchor.speak(speech_like(1.5), tmp_path / "x.mp4", style=Style(watermark=False))
    assert find_mark(made.path) is None


def test_the_watermark_lies_over_the_label(larger_anchor: Anchor) -> None:
    label = place_label("Test", larger_anchor.target.landmarks, size=larger_anchor.size)
    plain, one, both = (larger_anchor.target.frame(0).image for _ in range(3))
    mark = Watermark("abcdef", like=plain)
    Overlays(label=label).put_on(one)
    (shown,) = Overlays(label=label, watermark=mark).on_all([both])
    assert shown is both
    np.testing.assert_array_equal(both.planes[0], one.planes[0] + mark.levels.astype(int))
    before = planes_of([plain])
    NO_MARKS.put_on(plain)
    np.testing.assert_array_equal(before[0][0], plain.planes[0])
