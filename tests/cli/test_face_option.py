from __future__ import annotations

from pathlib import Path

import click
import pytest

from newscaster.cli.face_option import FACE, FaceChoice, check_faces, split_anchor
from newscaster.errors import InputError


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("0", FaceChoice(0)),
        ("12", FaceChoice(12)),
        ("0=left.anchor", FaceChoice(0, "left.anchor")),
        ("0=builtin", FaceChoice(0, "builtin")),
        ("0=grid-s4:left.wav", FaceChoice(0, "grid-s4", "left.wav")),
        ("1=builtin:left.wav", FaceChoice(1, "builtin", "left.wav")),
        ("1=a b/left.ANCHOR:speech.txt", FaceChoice(1, "a b/left.ANCHOR", "speech.txt")),
        ("1=left.anchor:-", FaceChoice(1, "left.anchor", "-")),
        ("0=x=1.anchor:take=2.wav", FaceChoice(0, "x=1.anchor", "take=2.wav")),
        (r"0=C:\a\left.anchor:D:\left.wav", FaceChoice(0, r"C:\a\left.anchor", r"D:\left.wav")),
        ("0=left.anchor:12:30:00.wav", FaceChoice(0, "left.anchor", "12:30:00.wav")),
        ("1=:right.wav", FaceChoice(1, None, "right.wav")),
        (r"1=:C:\right.wav", FaceChoice(1, None, r"C:\right.wav")),
    ],
)
def test_values(value: str, choice: FaceChoice) -> None:
    assert FACE.convert(value, None, None) == choice


@pytest.mark.parametrize(
    "value", ["", "x", "-1", "left.anchor:left.wav", "0=", "0=left.wav", "0=a.anchor:", "0=:"]
)
def test_values_that_cannot_be_read(value: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected|Name one"):
        FACE.convert(value, None, None)


def test_files_decide_between_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "a.anchor:b.anchor:c.wav"
    with pytest.raises(ValueError, match="2 ways"):
        split_anchor(text)
    Path("c.wav").touch()
    assert split_anchor(text) == ("a.anchor:b.anchor", "c.wav")
    Path("ada").touch()  # an anchor of any name
    assert split_anchor("ada:c.wav") == ("ada", "c.wav")


def test_captions_are_a_script() -> None:
    assert FaceChoice(0, "a.anchor", "cues.VTT").script == Path("cues.VTT")
    assert FaceChoice(0, "a.anchor", "speech.wav").script is None
    assert FaceChoice(0, "a.anchor").script is None


def test_values_that_do_not_fit_each_other() -> None:
    check_faces([FaceChoice(1)])
    check_faces([FaceChoice(0, "a", "-"), FaceChoice(1, "b", "x.wav")])
    with pytest.raises(InputError, match="--face 1 is given 2 times"):
        check_faces([FaceChoice(1, "a"), FaceChoice(1, "b")])
    check_faces([FaceChoice(0, "a"), FaceChoice(1)])
    with pytest.raises(InputError, match="standard input"):
        check_faces([FaceChoice(0, "a", "-"), FaceChoice(1, "b", "-")])
