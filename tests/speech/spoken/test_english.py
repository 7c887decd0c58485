"""Nearly four hundred written forms of newsrooms, and how a newsreader reads them."""

from __future__ import annotations

from pathlib import Path

from newscaster.speech.spoken import spoken_form

TABLE = Path(__file__).with_name("newsroom_forms.tsv")
MISREAD = frozenset({"1/4-finals", "4x4s", "5-6ft waves", "Australia 387 & 112-3"})
"""Written forms that are not read right."""
MIN_RIGHT = 0.975


def plain(words: str) -> str:
    return " ".join(words.lower().split())


def test_newsroom_forms() -> None:
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 385
    assert len({written for _, written, _ in rows}) == len(rows)
    wrong = {
        written: (plain(spoken_form(written, language="en").text), plain(reading))
        for _, written, reading in rows
        if plain(spoken_form(written, language="en").text) != plain(reading)
    }
    assert set(wrong) == MISREAD, wrong
    assert len(rows) - len(wrong) >= MIN_RIGHT * len(rows)
