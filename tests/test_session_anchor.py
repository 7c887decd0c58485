"""`tools/make_session_anchor.py` renews the pictures of an anchor, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from newscaster.face.references import References
from newscaster.formats.anchor import MATTE, MOTION, RENDERER_WEIGHTS, TARGET, AnchorFile
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.media import TargetVideo

sys.path.append(str(Path(__file__).parents[1] / "tools"))

import make_session_anchor as tool

COLOUR = (90, 120, 150)


class OfOneColour:
    """Stands for a target of new frames."""

    def __init__(self, anchor: AnchorFile) -> None:
        self.landmarks = anchor.face().landmarks.copy()
        self._size = anchor.info.size

    def __iter__(self) -> Iterator[np.ndarray]:
        width, height = self._size
        return iter([np.full((height, width, 3), COLOUR, np.uint8)] * len(self.landmarks))


def two_references(side: int) -> References:
    """Return references that no anchor has."""
    crops = [np.full((side, side, 3), level, np.uint8) for level in (60, 200)]
    return References(crops, np.full((2, 57, 2), 0.5, np.float32))


def test_pictures_are_renewed_and_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = AnchorFile(anchor_path("grid-s4"))
    references = two_references(old.info.crop.side)
    mouths = SimpleNamespace(inside=lambda mask, known: references)
    monkeypatch.setattr(tool, "ENCODING", {"preset": "ultrafast", "crf": 14})
    monkeypatch.setattr(tool, "KnownFace", lambda still: None)
    tool.renew_pictures(old, OfOneColour(old), mouths, tmp_path / "new.anchor")
    new = AnchorFile(tmp_path / "new.anchor")
    assert new.info == old.info
    assert [new.read(name) == old.read(name) for name in (MOTION, RENDERER_WEIGHTS, MATTE)] == [True] * 3
    assert (new.face().landmarks == old.face().landmarks).all()
    assert len(new.references()) == 2
    assert np.abs(new.references().crops[1].astype(int) - 200).max() <= 2
    video = TargetVideo(new.read(TARGET), name="new")
    assert np.abs(video.frame(7).astype(int) - COLOUR).max() <= 3


def test_an_anchor_whose_head_moves_otherwise_is_refused(tmp_path: Path) -> None:
    old = AnchorFile(anchor_path("grid-s4"))
    still = OfOneColour(old)
    still.landmarks[5] += 1
    with pytest.raises(SystemExit, match="its head moves otherwise"):
        tool.renew_pictures(old, still, SimpleNamespace(), tmp_path / "new.anchor")
    assert not (tmp_path / "new.anchor").exists()
