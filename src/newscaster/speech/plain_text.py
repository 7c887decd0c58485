r"""The words of a text, without mark-up, control characters and invisible characters.

Supports tags of HTML and SSML, character references (`&amp;`), ASS override codes (`{\an8}`), terminal
sequences, and the invisible characters that are meaningful in some scripts. Text that merely looks like
mark-up is kept: "5 < 6", "a<b", "AT&T". `markdown` removes Markdown, `cue_text` the timing of captions, and
`script` finds the ends of sentences.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from html.entities import html5

from newscaster.speech.cue_text import without_cues
from newscaster.speech.markdown import without_markdown

PARAGRAPH = "\u2029"
"""End of a paragraph in a plain text, like an empty line."""
LINE = "\u2028"
"""Placeholder for a line end that was removed with mark-up, so that lines stay countable. It is a space."""


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BLOCKS = _words(
    """address article aside blockquote body caption center dd div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hr html li main nav ol p paragraph pre section speak table
    tbody td tfoot th thead title tr ul"""
)
_INLINE = _words(
    """a abbr acronym audio b base bdi bdo big br break button cite code col colgroup data del desc
    details dfn dialog em embed emphasis font head i iframe img input ins kbd label lang legend
    lexicon link lookup map mark media menu meta metadata meter noscript object option param par
    phoneme picture progress prosody q rp rt ruby s samp say-as script select seq sentence small
    source span strike strong style sub summary sup svg template textarea time token track tt u use
    var video voice w wbr"""
)
_UNREAD = _words("""audio desc head metadata script style svg template""")
"""Elements whose content is not read."""
_MIN_BREAK_SECONDS = 0.5
"""Pauses of SSML from this length on end a sentence."""

_TAG = re.compile(
    r"""<(?P<close>/?)(?P<name>[A-Za-z][\w.-]{0,60}(?::[A-Za-z][\w.-]{0,60})?)
    (?P<attributes>(?:\s+[A-Za-z_][\w:.-]{0,60}
        \s*=\s*(?:"[^"<]{0,2000}"|'[^'<]{0,2000}'|[^\s"'<>=`]{1,2000}))
        {0,32})
    \s*/?>""",
    re.VERBOSE,
)
_CHARACTER_DATA = "<![CDATA["
_SECTIONS = {"<!--": "-->", _CHARACTER_DATA: "]]>", "<?xml": "?>"}
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
"""ASCII alone: lower case of other letters may have another length."""
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^<>]{0,2000}>", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#\d{1,8}|#[xX][0-9A-Fa-f]{1,7}|[A-Za-z][A-Za-z0-9]{1,40});")
_OVERRIDE = re.compile(
    r"""\{(?:\\(?: fn[^\\{}\n]{0,60}
        | [1-4]?[A-Za-z]{1,5} (?: &H[0-9A-Fa-f]{1,8}&? | \([^(){}\n]{0,200}\) | -?[\d.]{1,9} )
        | [biusr] )){1,20}\}""",
    re.VERBOSE,
)
_ALIAS = re.compile(r"""\balias\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_PAUSE = re.compile(r"""\btime\s*=\s*["']?\s*([\d.]+)\s*(ms|s)\b""")
_STRONG = re.compile(r"""\bstrength\s*=\s*["']?(?:x-)?strong\b""")

# Terminal control sequences: colours and cursor (CSI), titles (OSC), character sets.
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,100}[ -/]{0,20}[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\n]{0,500}(?:\x07|\x1b\\)"
    r"|\x1b[()][A-Z0-9]"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
_SPACES = str.maketrans({"\x0b": " ", "\x0c": PARAGRAPH, "\x85": "\n", "\x1c": " ", LINE: " "})
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
_JOINERS = "\u200c\u200d"
_NO_BREAK_SCRIPTS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Burmese and Khmer: a zero-width space divides their words."""
_JOINED_SCRIPTS = re.compile(
    "[\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefe\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u18af]"
)
"""Arabic and related scripts, Indic scripts, Tibetan, Burmese, Khmer and Mongolian: joiners change a word."""
_BLACK_FLAG = "\U0001f3f4"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainText:
    """A text for a voice and for captions."""

    text: str
    """Its words; paragraphs end at an empty line or at PARAGRAPH."""
    notes: tuple[str, ...] = ()
    """Removals that its author may miss, a sentence each."""


def plain_text(text: str) -> PlainText:
    """Remove mark-up, control characters and invisible characters from a text.

    Pauses, voices and pronunciations in mark-up are ignored, with two exceptions: `<break>` of half a second
    or more ends a sentence, and `<sub alias>` is read as its alias.

    Args:
        text: any.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SPACES)
    text, removed = _TERMINAL.subn("", text)
    text, has_cues = without_cues(text)
    text, kinds = without_markdown(text)
    text, tags = _Markup(text).removed()
    text = _REFERENCE.sub(_character, _OVERRIDE.sub("", text))
    controls = sorted(set(_CONTROL.findall(text)))
    text, count = _CONTROL.subn("", text)
    text = _INVISIBLE.sub(_keep_meaningful, text)
    notes = []
    if has_cues:
        notes.append("the text is captions: only their words are read, not their numbers and times")
    if kinds:
        notes.append(
            f"the text has Markdown ({', '.join(kinds)}): only its words are read, not its signs and "
            "addresses"
        )
    if tags:
        names = ", ".join(list(tags)[:5]) + (", ..." if len(tags) > 5 else "")
        notes.append(f"the text has mark-up ({names}): only its words are read, and its requests are ignored")
    if count or removed:
        names = "terminal sequences" if not count else ", ".join(f"U+{ord(c):04X}" for c in controls[:5])
        notes.append(
            f"the text has control characters ({names}; {count + removed} in total): they are removed"
        )
    return PlainText(text=text, notes=tuple(notes))


class _Markup:
    """A finder of mark-up in a text, in time proportional to its length."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lowered = text.translate(_LOWER)
        self._absent: set[str] = set()  # closing marks that do not occur after the current position
        self._is_xml = re.match(r"\s*(?:<\?xml\b[^<>]{0,500}\?>\s*)?<speak\b", text) is not None

    def removed(self) -> tuple[str, dict[str, None]]:
        """Return the text without comments, tags and unread elements, and the tags' names in order.

        Removed line ends leave LINE.
        """
        text, names, parts, start = self._text, dict[str, None](), list[str](), 0
        while (opening := text.find("<", start)) >= 0:
            parts.append(text[start:opening])
            if (markup := self._at(opening)) is None:
                parts.append("<")
                start = opening + 1
                continue
            end, name, words = markup
            names.setdefault(name)
            parts.append(words + LINE * text.count("\n", opening, end))
            start = end
        parts.append(text[start:])
        return "".join(parts), names

    def _at(self, opening: int) -> tuple[int, str, str] | None:
        """Return the end of the mark-up that a "<" opens, its name, and the text in its place, or None."""
        for first, last in _SECTIONS.items():
            if self._text.startswith(first, opening):
                return self._section(opening, first, last)
        if (doctype := _DOCTYPE.match(self._text, opening)) is not None:
            return doctype.end(), "<!DOCTYPE>", ""
        tag = _TAG.match(self._text, opening)
        if tag is None:
            return None
        name, attributes = tag["name"].lower(), tag["attributes"]
        if not (self._is_xml or ":" in name or name in _BLOCKS or name in _INLINE):
            return None
        end, opens = tag.end(), not tag["close"] and not tag[0].endswith("/>")
        if opens and (name in _UNREAD or (name == "sub" and _ALIAS.search(attributes))):
            close = self._find(f"</{name}", end)
            if close is not None and (closing := _TAG.match(self._text, close)) is not None:
                end = closing.end()
        words = _read_for(name, attributes, closes=bool(tag["close"]), is_xml=self._is_xml)
        return end, f"<{name}>", words

    def _section(self, opening: int, first: str, last: str) -> tuple[int, str, str] | None:
        start = opening + len(first)
        close = self._find(last, start)
        if close is None:
            return None
        words = self._text[start:close].replace("\n", " ") if first == _CHARACTER_DATA else ""
        return close + len(last), f"{first}{last}", words

    def _find(self, mark: str, start: int) -> int | None:
        if mark in self._absent:
            return None
        position = self._lowered.find(mark, start)
        if position < 0:
            self._absent.add(mark)
            return None
        return position


def _read_for(name: str, attributes: str, *, closes: bool, is_xml: bool) -> str:
    """Return the text in place of a tag: the end of a paragraph, a space, an alias, or nothing."""
    if name in _BLOCKS:
        return PARAGRAPH
    if name == "break":
        pause = _PAUSE.search(attributes)
        seconds = float(pause[1]) * (0.001 if pause[2] == "ms" else 1.0) if pause else 0.0
        return PARAGRAPH if seconds >= _MIN_BREAK_SECONDS or _STRONG.search(attributes) else " "
    if name == "sub" and not closes and (alias := _ALIAS.search(attributes)) is not None:
        return alias[1] or alias[2] or ""
    return " " if name == "br" or (is_xml and name in ("s", "sentence")) else ""


def _character(reference: re.Match[str]) -> str:
    """Return the character of a reference, or the text itself if it is none."""
    text = reference[0]
    if text[1] != "#" and text[1:] not in html5:
        return text
    return html.unescape(text)


def _keep_meaningful(match: re.Match[str]) -> str:
    """Return an invisible character if it is meaningful at its place, or nothing."""
    character, text = match[0], match.string
    before = text[match.start() - 1] if match.start() else ""
    after = text[match.end()] if match.end() < len(text) else ""
    if character in _JOINERS:
        if _JOINED_SCRIPTS.match(before) or (
            character == "\u200d" and _is_pictograph(before) and _is_pictograph(after)
        ):
            return character
    elif character == "\u200b":
        if _NO_BREAK_SCRIPTS.match(before) and _NO_BREAK_SCRIPTS.match(after):
            return character
    elif character >= "\U000e0020":  # the letters of a flag, such as Scotland's
        start = match.start() - 1
        while start >= 0 and "\U000e0020" <= text[start] <= "\U000e007f" and match.start() - start < 16:
            start -= 1
        if start >= 0 and text[start] == _BLACK_FLAG:
            return character
    return ""


def _is_pictograph(character: str) -> bool:
    """Return whether a character may be part of a joined emoji."""
    return character != "" and (
        unicodedata.category(character) in ("So", "Sk") or character in "\ufe0f\u200d"
    )
