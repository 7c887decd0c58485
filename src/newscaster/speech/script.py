"""Sentences of a text, and the pauses after them.

Finds the ends of English sentences, and does not split abbreviations: "Dr. Lee", "No. 5", "J. K. Rowling",
"at 6 a.m. Monday". The words of a sentence are never changed, because the voice defines their pronunciation.
In other languages the general rule applies: an end mark, a space, and no small letter after it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from newscaster.speech.plain_text import LINE, PARAGRAPH

SENTENCE_PAUSE_SECONDS = 0.35
PARAGRAPH_PAUSE_SECONDS = 0.8
MAX_SENTENCE_CHARACTERS = 600
"""Longer sentences are spoken in parts: the memory of a voice grows with the length of its input."""

_PARAGRAPH_END = re.compile(rf"\n[^\S\n]*\n\s*|\s*{PARAGRAPH}\s*")
_LINE_END = re.compile(f"[\n{LINE}]")
_DRAWN = range(0x2500, 0x2600)
"""Lines, blocks and bullets: they divide a text and are not read."""
# An end mark, closing quotes and brackets, and the gap; Chinese and Japanese write no gap.
_END = re.compile(
    r"""(?P<mark> (?:\.[^\S\n]){2,}\. | [.!?…؟।]+ ) (?P<close> [\"'”’»)\]]* ) \s+
    | [。！？]+ [」』”）]* \s*""",
    re.VERBOSE,
)
_SAYS = re.compile(
    r"(\S+ ){1,3}(adds|added|asks|asked|cries|cried|replies|replied|says|said|shouts|shouted|tells|told)\b"
)
_OPENING = "\"'“‘«([{¿¡-–— "
_CLAUSE_END = re.compile(r"[,;:—–]\s+")


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


# These are followed by a name.
_BEFORE_NAMES = _words(
    """Adm Brig Capt Cdr Cmdr Cmdt Col Cpl Dr Drs Fr Gen Gov Hon Lt Maj Messrs Mlle Mme Mr Mrs Ms Msgr Mt
    Mx Pfc Pres Prof Pvt Rep Reps Rev Sec Sen Sens Sgt Sra Ste Supt"""
)
# These are followed by a number, and end a sentence otherwise.
_BEFORE_NUMBERS = _words(
    """No Nos no nos fig figs vol vols Art Ch Eq Est Fig Figs p pp Par Pt Vol Vols
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"""
)
_NEVER_LAST = _words("e.g i.e E.g I.e vs v cf Cf viz Viz approx Approx ca Ca resp")
# These end a sentence only before a word that starts sentences, as do initials and letters with full stops.
_SELDOM_LAST = _words(
    """agg Agg avg Avg dept est govt Govt incl Incl intl Intl
    Assn Ave Blvd Bros Co Corp Dept Ft Inc Jr Ltd Rd Sq Sr St Univ
    Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun"""
)
_STARTS_SENTENCES = _words(
    """A After All Also An And Another As At Because Before But By Despite During Each Even Every For From He
    Her Here His How However I If In It Its Last Later Many Meanwhile More Most My Nearly New Next No Not Now
    On Once One Only Or Our Over Police She Since So Some Still Such That The Their Then There These They This
    Those Though Three Through To Today Tomorrow Tonight Two Under Until We Were What When Where Which While
    Who Why With Yes Yesterday Yet You Your"""
)
_LETTERS_WITH_STOPS = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence of a text."""

    text: str
    """On one line."""
    pause_seconds: float
    """Pause after it, at the voice's own pace."""
    line: int = 1
    """Line of the text on which it starts, from 1."""


def sentences_of(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text, lazily.

    Args:
        text: an empty line or PARAGRAPH divides paragraphs; any other line break counts as a space. Parts
            without a letter, digit, emoji or mathematical sign are skipped, such as a line of asterisks.
    """
    held: Sentence | None = None
    for paragraph in _paragraphs(text):
        if held is not None:
            held = replace(held, pause_seconds=PARAGRAPH_PAUSE_SECONDS)
        for start, sentence in _split(paragraph.text):
            if held is not None:
                yield held
            held = Sentence(text=sentence, pause_seconds=SENTENCE_PAUSE_SECONDS, line=paragraph.line(start))
    if held is not None:
        yield replace(held, pause_seconds=SENTENCE_PAUSE_SECONDS)


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, without their pauses."""
    return [sentence.text for sentence in sentences_of(text)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Paragraph:
    text: str
    """On one line."""
    starts: tuple[int, ...]
    """Positions in `text` of the first word of each line."""
    lines: tuple[int, ...]
    """The numbers of those lines."""

    def line(self, position: int) -> int:
        """Return the line number of a character."""
        return self.lines[bisect_right(self.starts, position) - 1]


def _paragraphs(text: str) -> Iterator[_Paragraph]:
    """Yield the paragraphs that have words, on one line each."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start, line = 0, 1
    gaps = [gap.span() for gap in _PARAGRAPH_END.finditer(text)]
    for end, following in [*gaps, (len(text), len(text))]:
        starts, lines, words, length = [], [], [], 0
        for number, row in enumerate(_LINE_END.split(text[start:end]), line):
            if joined := " ".join(row.split()):
                starts.append(length)
                lines.append(number)
                words.append(joined)
                length += len(joined) + 1
        if words:
            yield _Paragraph(text=" ".join(words), starts=tuple(starts), lines=tuple(lines))
        line += len(_LINE_END.findall(text, start, following))
        start = following


def _split(paragraph: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences with their start positions."""
    start = 0
    for end in _END.finditer(paragraph):
        space = paragraph.rfind(" ", start, end.start())
        last = paragraph[max(start, space + 1) : end.start()].lstrip(_OPENING)
        rest = paragraph[end.end() : end.end() + 60]
        if _ends(last, end["mark"], rest, alone=space < start, quoted=bool(end["close"])):
            yield from _parts(paragraph[start : end.end()], start)
            start = end.end()
    yield from _parts(paragraph[start:], start)


def _ends(last: str, mark: str | None, rest: str, *, alone: bool, quoted: bool) -> bool:
    """Return whether a mark ends a sentence.

    Args:
        last: the word before it.
        mark: None for a mark that always does.
        rest: the text after it.
        alone: whether the word is the sentence's first.
        quoted: whether a quotation or bracket closes between them.
    """
    following = rest.lstrip(_OPENING)
    if mark is None:
        return True
    if following[:1].islower():
        return False
    word = re.match(r"[^\W_]*", following)
    following = word[0] if word else ""
    if quoted and following.capitalize() not in _STARTS_SENTENCES and _SAYS.match(rest):
        return False  # '"Why?" Ada Byron asked.'
    if mark != ".":
        # "Well... I do not know": a capital I proves nothing.
        return not (mark[0] in ".…" and following == "I")
    if alone and last.isdigit() and len(last) <= 3:
        return False  # a number in a list: "1. Peel the apples."
    return _full_stop_ends(last, following)


def _full_stop_ends(last: str, following: str) -> bool:
    """Return whether a full stop between two words is more than part of an abbreviation."""
    starts = following.capitalize() in _STARTS_SENTENCES
    name = last.capitalize() if last[:1].isupper() else last  # scripts are written in capitals, too
    if last in _NEVER_LAST or name in _BEFORE_NAMES:
        return False
    if name in _BEFORE_NUMBERS:
        return not following[:1].isdigit()
    if name in _SELDOM_LAST or _LETTERS_WITH_STOPS.fullmatch(last):
        return starts
    if len(last) == 1 and last.isupper() and last != "I":
        return starts or not following[:1].isupper()
    return True


def _parts(sentence: str, offset: int) -> Iterator[tuple[int, str]]:
    """Yield parts of at most MAX_SENTENCE_CHARACTERS, cut after clauses or else between words, with their
    start positions; the sentence itself starts at `offset`.
    """
    sentence = sentence.rstrip()
    start = len(sentence) - len(sentence.lstrip())
    while start < len(sentence):
        stop = start + MAX_SENTENCE_CHARACTERS
        if stop < len(sentence):
            clauses = [c.end() for c in _CLAUSE_END.finditer(sentence, (start + stop) // 2, stop)]
            stop = clauses[-1] if clauses else sentence.rfind(" ", start + 1, stop) + 1 or stop
        part = sentence[start:stop].strip()
        if any(map(_is_read, part)):
            yield offset + start, part
        start = stop


def _is_read(character: str) -> bool:
    """Return whether a character is read by itself: a letter, a digit, an emoji, a mathematical sign."""
    if character.isalnum():
        return True
    return (
        ord(character) > 0x7F
        and ord(character) not in _DRAWN
        and unicodedata.category(character) in ("So", "Sm", "Sc")
    )
