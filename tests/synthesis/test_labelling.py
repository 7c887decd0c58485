from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from newscaster import cli, media, provenance
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.labelling import label_text, place_label
from newscaster.synthesis.options import Outputs, Style
from tiny_anchor import speech_like
from virtual_clock import VirtualClock

SIZE = (360, 288)


def faces(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Landmarks (F, 4, 3) at the corners of these boxes: left, top, right, bottom."""
    return np.array([[(x, y, 0) for x in box[::2] for y in box[1::2]] for box in boxes], np.float32)


@pytest.mark.parametrize(
    ("boxes", "corner"),
    [
        ([(120, 80, 220, 200)], "right lower"),
        ([(260, 150, 340, 270)], "left lower"),
        ([(120, 80, 220, 200), (250, 160, 330, 260)], "left lower"),  # where the head goes briefly
        ([(100, 160, 300, 280), (20, 200, 100, 280)], "right upper"),
        ([(100, 160, 300, 280), (20, 200, 100, 280), (270, 50, 350, 100)], "left upper"),
    ],
)
def test_the_corner_that_no_face_comes_near_to(boxes: list[tuple[int, int, int, int]], corner: str) -> None:
    left, top, right, bottom = place_label("AI-generated", faces(*boxes), size=SIZE).box
    assert ("left" if left < 180 else "right", "upper" if top < 144 else "lower") == tuple(corner.split())
    assert 0 <= left < right <= 360
    assert 0 <= top < bottom <= 288
    for x, y, far_x, far_y in boxes:
        assert max(x - right, left - far_x, y - bottom, top - far_y) > 0


def test_a_head_that_fills_the_frame(caplog: pytest.LogCaptureFixture) -> None:
    place_label("AI-generated", faces((10, 10, 350, 280)), size=SIZE)
    assert "the face fills the frame" in caplog.text


def test_which_anchors_have_a_label() -> None:
    assert label_text(None, bundled=True) == "AI-generated"
    assert label_text(None, bundled=False) is None
    assert label_text(" Synthetic ", bundled=False) == "Synthetic"
    assert label_text("", bundled=True) is None


def test_speak_writes_it_and_says_so(
    larger_anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", lambda: larger_anchor.path)
    speech = speech_like(0.4)
    shown = {}
    for name, label in (("default", None), ("none", ""), ("other", "Test")):
        made = larger_anchor.speak(
            speech, tmp_path / f"{name}.mp4", outputs=Outputs(crf=0), style=Style(label=label)
        )
        shown[name] = np.stack(list(media.read_frames(made.path)))
        statement = provenance.verify(made.path).statement
        assert statement is not None
        assert statement.label == {"default": "AI-generated", "none": None, "other": "Test"}[name]
    left, top, right, bottom = place_label(
        "AI-generated", larger_anchor.target.landmarks, size=larger_anchor.size
    ).box
    changed = (shown["default"] != shown["none"]).any(axis=(0, 3))
    assert changed[top:bottom, left:right].mean() > 0.9
    changed[top - 2 : bottom + 2, left - 2 : right + 2] = (
        False  # chroma reaches a pixel further when it is shown
    )
    assert not changed.any()


def test_live_frames_have_it_and_nothing_else_is_touched(larger_anchor: Anchor) -> None:
    def planes(label: str | None) -> list[tuple[np.ndarray, ...]]:
        with larger_anchor.live(clock=VirtualClock(), style=Style(label=label)) as stream:
            stream.push(speech_like(0.5), 16_000)
            stream.flush()
            images = [frame.image for frame in itertools.islice(stream, 20)]
        return [tuple(p.copy() for p in image.planes) for image in images if image is not None]

    plain, labelled = planes(None), planes("Test")
    left, top, right, bottom = place_label(
        "Test", larger_anchor.target.landmarks, size=larger_anchor.size
    ).box
    assert len(plain) == len(labelled) == 20
    for before, after in zip(plain, labelled, strict=True):
        for old, new, half in zip(before, after, (1, 2, 2), strict=True):
            box = np.zeros(old.shape, bool)
            box[top // half : bottom // half, left // half : right // half] = True
            np.testing.assert_array_equal(old[~box], new[~box])
        assert (before[0] != after[0]).any()


def test_the_options(larger_anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", lambda: larger_anchor.path)
    media.write_wav(tmp_path / "speech.wav", speech_like(0.4), 16_000)
    for options, label in (
        ([], "AI-generated"),
        (["--no-label"], None),
        (["--label", "Synthetic"], "Synthetic"),
    ):
        out = tmp_path / "news.mp4"
        assert cli.run(["speak", str(tmp_path / "speech.wav"), "-o", str(out), *options]) == 0
        statement = provenance.verify(out).statement
        assert statement is not None
        assert statement.label == label
