"""Named clips: their syntax, and their place in the header."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from newscaster.errors import AnchorError, InputError
from newscaster.formats.anchor import HEADER, AnchorFile
from newscaster.formats.header import rewrite_header
from newscaster.formats.named_clips import ClipTimes, NamedClip, check_names
from tiny_anchor import write_tiny_anchor


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [("nod=00:12-00:14", 12, 14), ("nod=1:02:03.5-1:02:05", 3723.5, 3725), ("nod=0.5-1", 0.5, 1)],
)
def test_times(text: str, start: float, stop: float) -> None:
    assert ClipTimes.parse(text) == ClipTimes(name="nod", start_seconds=start, stop_seconds=stop)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nod", "the clip is 'nod'; expected NAME=START-STOP"),
        ("nod=12", "expected NAME=START-STOP"),
        ("nod=a-b", "expected NAME=START-STOP"),
        ("nod=1-2-3", "expected NAME=START-STOP"),
        ("nod=1:70-1:90", "expected NAME=START-STOP"),
        ("nod=1:60:00-1:60:02", "expected NAME=START-STOP"),
        ("=1-2", "the name of a clip is ''; expected 1 to 40 letters"),
        ("a nod=1-2", "the name of a clip is 'a nod'"),
        ("nod=2-2.1", r"lasts 0.1 s, from 2 to 2.1 s; expected 0.4 to 30 s"),
        ("nod=3-1", "lasts -2 s"),
    ],
)
def test_what_is_no_clip(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClipTimes.parse(text)


def test_one_name_for_two() -> None:
    nod = ClipTimes.parse("nod=1-2")
    with pytest.raises(InputError, match="two clips have the name 'nod'"):
        check_names([nod, nod])
    with pytest.raises(InputError, match="two clips have the name 'nod'"):
        check_names([nod], [NamedClip(name="nod", start=0, stop=9)])


def test_an_anchor_stores_its_clips(tmp_path: Path) -> None:
    clips = (NamedClip(name="nod", start=2, stop=5), NamedClip(name="idle", start=5, stop=9))
    path = write_tiny_anchor(tmp_path / "x.anchor", clips=clips)
    assert AnchorFile(path).info.clips == clips
    # A reader of an older version ignores the key: the format is the same.
    header = json.loads(zipfile.ZipFile(path).read(HEADER))
    assert header["format"] == 1
    before = AnchorFile(path)
    header.pop("clips")
    rewrite_header(before, {"clips": None})
    after = AnchorFile(path)
    assert after.info.clips == ()
    assert after.identity == before.identity


@pytest.mark.parametrize(
    "clips",
    [
        [{"name": "nod", "start": 0, "stop": 11}],
        [{"name": "nod", "start": 3, "stop": 3}],
        [{"name": "nod", "start": -1, "stop": 3}],
        [{"name": "a b", "start": 0, "stop": 3}],
        [{"name": "nod", "start": 0, "stop": 3}, {"name": "bow", "start": 2, "stop": 5}],
        [{"name": "nod", "start": 0, "stop": 3}, {"name": "nod", "start": 4, "stop": 5}],
        [{"name": "nod", "start": 0.0, "stop": 3}],
        [{"start": 0, "stop": 3}],
        ["nod"],
        "nod",
        [{"name": f"n{k}", "start": 0, "stop": 3} for k in range(65)],
    ],
)
def test_clips_that_no_anchor_has(tmp_path: Path, clips: object) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor")
    rewrite_header(AnchorFile(path), {"clips": clips})
    with pytest.raises(AnchorError, match=r"cannot be used: anchor\.json: clips "):
        AnchorFile(path)
