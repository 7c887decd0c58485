from __future__ import annotations

from pathlib import Path

import pytest

import newscaster
from newscaster.errors import AnchorError
from newscaster.formats import bundled_anchors
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.bundled_anchors import anchor_path, is_bundled
from newscaster.synthesis import target_matte
from tiny_anchor import write_tiny_anchor


def test_the_bundled_anchor_is_named_by_a_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_anchors, "bundled_anchor", lambda: tmp_path / "there.anchor")
    assert anchor_path("builtin") == tmp_path / "there.anchor"
    assert anchor_path(Path("builtin")) == anchor_path("./builtin") == Path("builtin")


def test_all_bundled_anchors_have_names(tmp_path: Path) -> None:
    assert newscaster.bundled() == ("grid-s4", "grid-s1")
    assert anchor_path("builtin") == anchor_path("grid-s4") == bundled_anchors.bundled_anchor()
    for name in newscaster.bundled():
        file = AnchorFile(anchor_path(name))
        assert is_bundled(file.path)
        assert f"speaker {name[-1]}" in file.info.name
        assert file.info.synthetic_target
        assert "CC BY 4.0" in file.info.attribution[0]
        assert anchor_path(f"./{name}") == Path(name)
    assert not is_bundled(write_tiny_anchor(tmp_path / "grid-s4.anchor"))
    with pytest.raises(AnchorError, match=r"a bundled one \(builtin, grid-s4, grid-s1\)"):
        AnchorFile(tmp_path / "grid-s5")


def test_an_installation_without_the_bundled_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_anchors, "__file__", str(tmp_path / "formats" / "bundled_anchors.py"))
    with pytest.raises(AnchorError, match=r"lacks the bundled anchor \('.*grid-s4\.anchor'\)"):
        bundled_anchors.bundled_anchor()


def test_the_default_anchor_stores_its_matte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A background starts at once."""
    monkeypatch.setattr(target_matte, "matte_clip", None)
    anchor = newscaster.open(bundled_anchors.BUNDLED, workers=1)
    mattes = anchor._loaded.matte.load()
    for index in (0, len(mattes) // 2, len(mattes) - 1):
        luma = mattes.frame(index).luma
        assert luma is not None
        alpha = luma.full_alpha()
        x, y = anchor.target.landmarks[index, :, :2].mean(axis=0).astype(int)
        assert (alpha[y - 9 : y + 9, x - 9 : x + 9] == 255).all()
        assert (alpha[:9, :9] == 0).all()
