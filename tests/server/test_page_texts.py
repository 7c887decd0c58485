"""The texts of the page: each has a German one, without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from newscaster.server.app import PAGE

_LITERAL = r'"((?:[^"\\]|\\.)*)"'
_ENTRY = re.compile(rf"^  {_LITERAL}: {_LITERAL},$", re.MULTILINE)
_USED = re.compile(rf"\bt\((?:[^()\"]*\? )?{_LITERAL}(?: : {_LITERAL})?")
_TABLES = re.compile(
    r"^const (?:PHASES|TRAINING|HEADLINES|STATES|NAMES) = \{(.*?)\};?$", re.MULTILINE | re.DOTALL
)
_SAME = re.compile(
    r"newscaster|studio|English|Deutsch|–|WHO = W\.H\.O|[A-Z0-9a-z]{2,5}(?:[,;] [A-Z0-9a-z]{2,5})+"
    r"|[\d.:]+(?: ms)?"
)
"""Names, lists of formats, and numbers: the same in every language."""


class Texts(HTMLParser):
    """Collects the texts and the attributes that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in ("kbd", "title")
        names = ("aria-label", "placeholder", "title", "alt")
        self.found |= {value for name, value in attrs if name in names and value}

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("kbd", "title")

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._skipped:
            self.found.add(data.strip())


def test_each_text_has_a_german_one_with_the_same_values() -> None:
    german = dict(_ENTRY.findall((PAGE / "de.js").read_text(encoding="utf-8")))
    used: set[str] = set()
    for page in PAGE.glob("*.html"):
        texts = Texts()
        texts.feed(page.read_text(encoding="utf-8"))
        used |= {text for text in texts.found if not _SAME.fullmatch(text)}
    for script in PAGE.glob("*.js"):
        content = script.read_text(encoding="utf-8")
        used |= {text for pair in _USED.findall(content) for text in pair if text}
        for table in _TABLES.findall(content):
            used |= {text for text in re.findall(rf": {_LITERAL}", table) if text}
    assert len(used) > 200
    assert sorted(used - german.keys()) == []
    values = re.compile(r"\{\w+\}")
    for english, translated in german.items():
        assert sorted(values.findall(english)) == sorted(values.findall(translated)), english
