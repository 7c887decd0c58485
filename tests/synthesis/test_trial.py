"""Anchors whose files are whole and whose networks are broken are refused as they are opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
import tiny_anchor
from broken_networks import Change, broken
from newscaster.errors import AnchorError
from newscaster.formats.anchor import MOTION, RENDERER, AnchorFile, write_anchor
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.synthesis import loading, trial
from newscaster.synthesis.renderer import Job
from tiny_anchor import write_tiny_anchor

WEIGHTS: dict[str, Change] = {
    "not numbers": lambda w: np.full_like(w, np.nan),
    "zero": np.zeros_like,
    "infinite": lambda w: np.full_like(w, np.inf),
    "huge": lambda w: np.clip(w.astype(np.float64) * 1e6, -6e4, 6e4),
}


def rewritten(path: Path, **members: bytes) -> Path:
    """Return the bundled anchor with other networks, and hashes that fit."""
    file = AnchorFile(anchor_path("grid-s1"))
    content = {"motion": file.read(MOTION), "renderer": file.read(RENDERER), **members}
    return write_anchor(path, file.info, file.face(), target=file.read("stage.mp4"), **content)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("member", ["motion", "renderer"])
def test_broken_weights_are_refused(member: str, weights: str, tmp_path: Path) -> None:
    name = {"motion": MOTION, "renderer": RENDERER}[member]
    model = broken(AnchorFile(anchor_path("grid-s1")).read(name), WEIGHTS[weights])
    path = rewritten(tmp_path / "x.anchor", **{member: model})
    with pytest.raises(AnchorError, match=rf"x\.anchor' cannot be used: .*{member}\.onnx"):
        newscaster.open(path, workers=1)


@pytest.mark.parametrize(("scale", "opens"), [(1.0, True), (0.0, False), (1e4, False)])
def test_a_basis_that_makes_no_mouth_is_refused(scale: float, opens: bool, tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor")
    anchor = newscaster.open(path, workers=1)
    basis = anchor.face.basis
    changed = type(basis)(basis.mean, basis.components, basis.stds * scale)
    if opens:
        trial.try_motion(anchor._loaded.motion, width=anchor.info.features.width, basis=changed)
        return
    with pytest.raises(AnchorError, match="its mouth basis opens the mouth by"):
        trial.try_motion(anchor._loaded.motion, width=anchor.info.features.width, basis=changed)


def test_the_bundled_anchor_passes_and_is_not_tried_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    for name in ("try_motion", "try_renderer"):
        real = getattr(loading, name)

        def spy(*arguments: Any, name: str = name, real: Any = real, **options: Any) -> None:
            tried.append(name)
            real(*arguments, **options)

        monkeypatch.setattr(loading, name, spy)
    newscaster.open(rewritten(tmp_path / "same.anchor"), workers=1)
    assert tried == ["try_motion", "try_renderer"]
    newscaster.open("grid-s1", workers=1)
    assert tried == ["try_motion", "try_renderer"]


def test_working_networks_are_far_from_the_limits() -> None:
    anchor = newscaster.open("grid-s1", workers=1)
    hidden, frame = anchor.face.mask.hidden, anchor.target.frame(0)
    lips = anchor.face.landmarks[:1][:, list(tiny_anchor.MOUTH), :2].astype(np.float64)
    own = anchor.target.transforms(np.array([0])).apply(lips)[0]
    opened = trial._open_mouth(own, by_px=trial._OPENED * anchor.info.crop.pixels_per_unit)
    first, second = anchor._loaded.renderer.crops([Job(frame, own), Job(frame, opened)]).astype(float)
    off = np.abs(first - frame.crop)[hidden].mean(axis=0)
    response = np.abs(second - first)[hidden].mean(axis=0)
    assert off.max() == pytest.approx(3.0, abs=0.1)
    assert response.min() == pytest.approx(9.7, abs=0.3)
    assert off.max() < 0.05 * trial._MAX_DIFFERENCE
    assert response.min() > 15 * trial._MIN_RESPONSE


def test_an_anchor_without_a_mask_is_refused(tmp_path: Path) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor"), workers=1)
    face = replace(anchor.face, mask=replace(anchor.face.mask, soft=np.zeros_like(anchor.face.mask.soft)))
    with pytest.raises(AnchorError, match="its mask is empty"):
        trial.try_renderer(anchor._loaded.renderer, anchor.target, face, pixels_per_unit=40.0)
