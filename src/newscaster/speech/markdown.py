r"""The words of Markdown: without its signs, addresses and images.

Supports CommonMark's headings, emphasis, links, lists, quotes and fences, and tables and front matter. Signs
are removed only at the places where Markdown defines them: "5 * 3", "a_b_c", "#1" and "f**k" are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_PARAGRAPH = "\u2029"
_GAP = r"[^\S\n]"
_FRONT = re.compile(
    rf"\A\s*---{_GAP}*\n(?=\w[\w -]{{0,60}}:)(?:[^\n]*\n){{1,60}}?(?:---|\.\.\.){_GAP}*(?:\n|\Z)"
)
_FENCE = re.compile(rf"^{_GAP}{{0,3}}(?:`{{3,}}|~{{3,}})[^`\n]{{0,100}}$", re.MULTILINE)
_DIVIDER = re.compile(
    rf"^{_GAP}{{0,3}}(?:={{3,}}|(?:-{_GAP}?){{3,}}|(?:\*{_GAP}?){{3,}}|(?:_{_GAP}?){{3,}}|\#{{2,}}){_GAP}*$",
    re.MULTILINE,
)
_HEADING = re.compile(rf"^{_GAP}{{0,3}}\#{{1,6}}{_GAP}+([^\n]*?[^\s\#])(?:{_GAP}+\#+)?{_GAP}*$", re.MULTILINE)
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,500}\]\([^()\n]{0,2000}\)")
_LINK = re.compile(
    r"""\[([^\[\]\n]{1,500})\]\((?=[^\s()]{0,2000}[/.\#:])<?(?:[^\s()]|\([^\s()]{0,200}\)){1,2000}
    (?:[^\S\n]+(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'))?\)""",
    re.VERBOSE,
)
_DEFINITION = re.compile(
    rf"^{_GAP}{{0,3}}\[(?!\^)([^\[\]\n]{{1,100}})\]:{_GAP}+<?(?:https?://|mailto:|\.?/|\#|www\.)[^\n]*$",
    re.MULTILINE,
)
_REFERENCE = re.compile(r"\[([^\[\]\n]{1,500})\]\[([^\[\]\n]{0,100})\]")
_FOOTNOTE = re.compile(r"\[\^[\w-]{1,40}\]:?")
_ADDRESS = re.compile(r"<((?:https?|mailto|ftp):[^\s<>]{1,2000})>")
_STRONG = re.compile(
    rf"(?<![0-9A-Za-z*\\])(\*{{1,3}})(?=[^\s*])((?:[^*\n]|\n(?!{_GAP}{{0,99}}\n)){{0,400}}?[^\s*])\1"
    r"(?![0-9A-Za-z*])"
)
_UNDERSCORED = re.compile(
    rf"(?<![\w\\])(_{{1,3}})(?=[^\s_])((?:[^_\n]|\n(?!{_GAP}{{0,99}}\n)){{0,400}}?[^\s_])\1(?!\w)"
)
_STRUCK = re.compile(r"(?<![\w~])~~(?=[^\s~])([^~\n]{0,400}?[^\s~])~~(?![\w~])")
_CODE = re.compile(r"(?<![\w`])(`{1,2})(?=[^\s`])([^`\n]{0,400}?[^\s`])\1(?![\w`])")
_ALONE = re.compile(r"(?<!\S)(?:\*{3,}|\#{2,}|={3,}|_{3,}|~{2,})(?!\S)")
_ESCAPE = re.compile(r"\\([*_#`~\[\]])")
_BULLET = re.compile(rf"^({_GAP}{{0,20}})[-*+•‣◦]{_GAP}+(?:\[[ xX]\]{_GAP}+)?(?=\S)")
_NUMBER = re.compile(rf"^{_GAP}{{0,20}}\d{{1,3}}[.)]{_GAP}+(?=\S)")
_QUOTE = re.compile(rf"^{_GAP}{{0,3}}(?:>{_GAP}?){{1,9}}(?=[^\s\d=>]|$)")
_TABLE_RULE = re.compile(
    rf"^{_GAP}*\|?{_GAP}*:?-{{2,100}}:?{_GAP}*(?:\|{_GAP}*:?-{{2,100}}:?{_GAP}*){{0,100}}\|?{_GAP}*$"
)


def without_markdown(text: str) -> tuple[str, tuple[str, ...]]:
    r"""Remove Markdown. Return the text and the kinds of removed mark-up, such as "headings".

    Headings, items of lists and rows of tables become paragraphs. Addresses of links, images, footnote marks
    and front matter are removed; code and struck words are kept. The number of line ends does not change.

    Args:
        text: with line ends as ``\n``.
    """
    kinds: dict[str, None] = {}

    def remove(pattern: re.Pattern[str], words: str | Callable[[re.Match[str]], str], kind: str = "") -> None:
        nonlocal text
        text, count = pattern.subn(words, text)
        if count and kind:
            kinds.setdefault(kind)

    remove(_FRONT, lambda front: "\n" * front[0].count("\n"), "front matter")
    remove(_FENCE, _PARAGRAPH, "code")
    lines = _Blocks(text)
    text = lines.text()
    kinds |= dict.fromkeys(lines.kinds)
    remove(_DIVIDER, _PARAGRAPH)
    remove(_HEADING, rf"{_PARAGRAPH}\1{_PARAGRAPH}", "headings")
    remove(_IMAGE, "", "images")
    remove(_LINK, r"\1", "links")
    names = {name.lower() for name in _DEFINITION.findall(text)}
    if names:
        remove(_DEFINITION, "", "links")
        remove(_REFERENCE, lambda link: link[1] if (link[2] or link[1]).lower() in names else link[0])
    remove(_FOOTNOTE, "", "footnotes")
    remove(_ADDRESS, r"\1")
    remove(_CODE, r"\2", "code")
    for _ in range(3):  # nested emphasis
        remove(_STRONG, r"\2", "emphasis")
        remove(_UNDERSCORED, r"\2", "emphasis")
    remove(_STRUCK, r"\1", "emphasis")
    remove(_ALONE, "")
    if kinds:
        remove(_ESCAPE, r"\1")
    return text, tuple(kinds)


class _Blocks:
    """Lists, quotes and tables: lines that are recognised by the lines around them."""

    def __init__(self, text: str) -> None:
        self.kinds: dict[str, None] = {}
        self._lines = text.split("\n")

    def text(self) -> str:
        """Return the lines without the signs at their start."""
        rows: list[str] = []
        before = ""
        table = False
        for number, line in enumerate(self._lines):
            after = self._lines[number + 1] if number + 1 < len(self._lines) else ""
            is_rule = "|" in line and _TABLE_RULE.match(line) is not None and (table or "|" in before)
            table = "|" in line and (table or ("|" in after and _TABLE_RULE.match(after) is not None))
            if table:
                self.kinds.setdefault("tables")
                rows.append(_PARAGRAPH if is_rule else _row(line))
            else:
                rows.append(self._line(line, before))
            before = line
        return "\n".join(rows)

    def _line(self, line: str, before: str) -> str:
        """Remove the sign of a list or a quote from a line, if one may start after the line before."""
        quote = _QUOTE.match(line)
        if quote is not None and (not before.strip() or _QUOTE.match(before)):
            self.kinds.setdefault("quotes")
            line = line[quote.end() :]
        may_start = (
            not before.strip()
            or before.rstrip()[-1] in ".!?:…;"
            or before.lstrip().startswith("#")
            or any(pattern.match(before) for pattern in (_BULLET, _NUMBER, _QUOTE, _DIVIDER))
        )
        if not may_start or _DIVIDER.match(line):
            return line
        if (bullet := _BULLET.match(line)) is not None:
            if line[bullet.end()].isdigit():  # a minus sign, perhaps
                return _PARAGRAPH + line
            self.kinds.setdefault("lists")
            return _PARAGRAPH + line[bullet.end() :]
        return _PARAGRAPH + line if before.strip() and _NUMBER.match(line) else line


def _row(line: str) -> str:
    """Return a row of a table as words."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    return _PARAGRAPH + ", ".join(cell for cell in cells if cell) + _PARAGRAPH
