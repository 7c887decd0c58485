"""The words of captions in SubRip or WebVTT, without times, numbers and settings."""

from __future__ import annotations

import re

_LINE = "\u2028"
_GAP = r"[^\S\n]"
_TIME = r"(?:\d{1,3}:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIMES = rf"{_GAP}{{0,20}}{_TIME}{_GAP}{{1,20}}-->{_GAP}{{1,20}}{_TIME}[^\n]*"
_HAS_CUES = re.compile(rf"^{_TIMES}$", re.MULTILINE)
# The blank lines before a cue, its number or name, and its times: sentences may go on from cue to cue.
_BLANK = rf"(?:^|\n){_GAP}{{0,20}}(?:\n{_GAP}{{0,20}}){{0,9}}"
_NUMBERED = re.compile(rf"{_BLANK}(?:(?<!.)\d{{1,7}}{_GAP}{{0,20}}\n)?{_TIMES}(?=\n|\Z)")
_NAMED = re.compile(rf"{_BLANK}(?:(?<=\n\n)[^\n]{{1,200}}\n)?{_TIMES}(?=\n|\Z)")
_HEADER = re.compile(r"\A\s*WEBVTT\b[^\n]*(?:\n[^\n]+)*")
_BLOCK = re.compile(r"(?:(?<=\n\n)|\A)(?:NOTE|STYLE|REGION)\b[^\n]*(?:\n[^\n]+)*")
_MARKS = re.compile(r"</?[cv](?:[.\s][^<>\n]{0,200})?>|<(?:\d{1,3}:)?\d{2}:\d{2}\.\d{3}>")


def without_cues(text: str) -> tuple[str, bool]:
    r"""Remove the timing of captions. Return the text and whether it had captions; line ends stay countable.

    Args:
        text: with line ends as ``\n``.
    """
    if _HAS_CUES.search(text) is None:
        return text, False

    def keep_line_ends(match: re.Match[str]) -> str:
        return _LINE * match[0].count("\n") + " "

    cue = _NAMED if _HEADER.match(text) else _NUMBERED
    for pattern in (_HEADER, _BLOCK):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    text = cue.sub(keep_line_ends, text)
    return _MARKS.sub("", text), True
