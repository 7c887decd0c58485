from __future__ import annotations

import json

import pytest

from newscaster.texts import escaped, json_text, without_controls

ODD = "BBC\n  signed by\x1b[2A\x07\x9b\u202e\u2028\ufeff\xad"


def test_escaped() -> None:
    assert escaped(ODD) == r"BBC\n  signed by\x1b[2A\x07\x9b\u202e\u2028\ufeff\xad"
    for text in ("Größe 5 < 6", "می\u200cخواهم", "caf\udce9", "\U0001f468\u200d\U0001f467", "\u3000 \xa0"):
        assert escaped(text) == text


def test_json_text() -> None:
    for value in ({"name": ODD, "list": ["\U000e0041", "é"]}, {"name": "é"}):
        text = json_text(value)
        assert json.loads(text) == value
        assert text.replace("\n", "").isprintable()
        assert "é" in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (ODD, "BBC signed by[2A"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\x00\u200e", ""),
        ("a\tb\x0bc", "a b c"),
    ],
)
def test_without_controls(text: str, left: str) -> None:
    assert without_controls(text) == left
