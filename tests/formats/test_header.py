"""Changes of the header leave all other members as they are."""

from __future__ import annotations

import zipfile
from pathlib import Path

from newscaster.formats.anchor import HEADER, AnchorFile
from newscaster.formats.header import rewrite_header
from tiny_anchor import write_tiny_anchor


def test_other_members_and_keys_stay(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor")
    before = zipfile.ZipFile(path)
    members = {name: before.read(name) for name in before.namelist() if name != HEADER}
    info = AnchorFile(path).info
    rewrite_header(AnchorFile(path), {"attribution": ["Ada"]})
    after = zipfile.ZipFile(path)
    assert {name: after.read(name) for name in after.namelist() if name != HEADER} == members
    assert after.namelist() == before.namelist()
    assert AnchorFile(path).info.attribution == ("Ada",)
    assert AnchorFile(path).info.consent == info.consent
    assert [file.name for file in tmp_path.iterdir()] == ["x.anchor"]
