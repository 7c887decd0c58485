"""Words of texts as they come: what is removed, and what only looks like it."""

from __future__ import annotations

import pytest

from newscaster.speech.plain_text import LINE, PARAGRAPH, plain_text
from newscaster.speech.script import sentences_of, split_sentences


@pytest.mark.parametrize(
    "text",
    [
        "5 < 6 and a<b, and AT&T.",
        "if a<b and c>d then x < y",
        "x <p and p> q",
        "I <3 you. R&D; &foo; &notanentity;",
        "List<String> and <John> said <hi>.",
        "{\\bf Bold} and {one} and C:\\News",
        "می‌خواهم",  # a joiner that spells a Persian word
        "क्‍ष",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 and \U0001f3f4\U000e0067\U000e0062\U000e007f",
        "ภาษา\u200bไทย",
    ],
)
def test_what_is_kept(text: str) -> None:
    assert plain_text(text).text == text
    assert plain_text(text).notes == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("news\u00adcaster, wo\u200brd, a\u2060b, x\u200dy", "newscaster, word, ab, xy"),
        ("\ufeffGood \u202egnineve\u202c \u2066x\u2069 \u200fy", "Good gnineve x y"),
        ("AT&amp;T, 5 &lt; 6, caf&eacute;, &#8364;5, a&shy;b", "AT&T, 5 < 6, café, €5, ab"),
        ("&lt;b&gt; &amp;lt; &#27;x &#xD800;y", "<b> &lt; x \ufffdy"),
        ("{\\an8}Top {\\i1}left{\\i0} {\\pos(10,20)}x{\\c&HFF00&}y", "Top left xy"),
    ],
)
def test_what_is_not_seen_is_removed_without_a_note(text: str, words: str) -> None:
    assert plain_text(text).text == words
    assert plain_text(text).notes == ()


def test_control_characters() -> None:
    plain = plain_text("\x1b[31mRed\x1b[0m\x07 a\x00b \x1b]0;title\x07c \x1b(Bd \x9b2Je")
    assert plain.text == "Red ab c d e"
    (note,) = plain.notes
    assert "the text has control characters (U+0000, U+0007; 7 in total)" in note
    assert plain_text("a\tb\x0bc\x85d\x0ce").text == f"a\tb c\nd{PARAGRAPH}e"


def test_ssml() -> None:
    text = (
        '<?xml version="1.0"?>\n<speak xml:lang="en"><!-- no\nword --><s>Hello '
        '<prosody rate="slow">slow</prosody> world.</s> <break time="900ms"/>The '
        '<sub alias="World Wide Web">WWW</sub> <break time="0.1s"/>'
        '<say-as interpret-as="cardinal">5</say-as> &lt; 6.<custom x="1"/><![CDATA[ a < b ]]></speak>'
    )
    assert split_sentences(plain_text(text).text) == [
        "Hello slow world.",
        "The World Wide Web 5 < 6. a < b",
    ]
    (note,) = plain_text(text).notes
    assert "the text has mark-up (<?xml?>, <speak>, <!---->, <s>, <prosody>, ...)" in note


def test_html() -> None:
    text = (
        "<!DOCTYPE html><html><head><title>Title</title></head><style>p { x }</style><body class='x'>"
        "<h1>News</h1><p>Un<b>believ</b>able<br>story.</p><script>if (a<b) { alert(1) }</script>"
        "<p>End &amp; out"
    )
    assert split_sentences(plain_text(text).text) == ["News", "Unbelievable story.", "End & out"]


def test_lines_can_still_be_counted() -> None:
    plain = plain_text("<!-- one\ntwo -->\n<p\nclass='x'>First.\nSecond.\n\nThird.")
    assert plain.text.count(LINE) == 2
    assert [(s.text, s.line) for s in sentences_of(plain.text)] == [
        ("First.", 4),
        ("Second.", 5),
        ("Third.", 7),
    ]


@pytest.mark.parametrize(
    "unit",
    ["<!--", "<b ", '<b a="', "<", "&", "{\\a", "<sub alias='x'>", "<script>", "\x1b]", "<p>x\n", "<b a=b"],
)
def test_unfinished_mark_up_is_read_in_steps_that_grow_with_its_length(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closing mark that is nowhere is looked for once, not once for each opening one."""
    from newscaster.speech import plain_text as module

    looked: list[int] = []
    find = module._Markup._find

    def counted(self: module._Markup, mark: str, begin: int) -> int | None:
        if mark not in self._absent:
            looked.append(begin)
        return find(self, mark, begin)

    monkeypatch.setattr(module._Markup, "_find", counted)
    plain_text(unit * 2000)
    assert len(looked) <= 3


MARKDOWN = """---
title: Evening news
---

# Good evening #

This is **very important**, *this* _subtle_ and ***both***; `code` and ~~struck~~ too.

The weather
===========
- Rain in the north
* [x] Sun in the [south](https://example.org/a_(b)?x=1 "South")
1. First
2. Second

> A quote
> from the mayor.

![a picture](pic.png)

| city | degrees |
|------|--------:|
| Rome | 25 |

***

See <https://example.org>[^1], [the site][x] and **bold with *more* in it**.

```python
Good night.
```

[^1]: A footnote.
[x]: https://example.org
"""


def test_markdown() -> None:
    plain = plain_text(MARKDOWN)
    assert [(s.line, s.text) for s in sentences_of(plain.text)] == [
        (5, "Good evening"),
        (7, "This is very important, this subtle and both; code and struck too."),
        (9, "The weather"),
        (11, "Rain in the north"),
        (12, "Sun in the south"),
        (13, "1. First"),
        (14, "2. Second"),
        (16, "A quote from the mayor."),
        (21, "city, degrees"),
        (23, "Rome, 25"),
        (27, "See https://example.org, the site and bold with more in it."),
        (30, "Good night."),
        (33, "A footnote."),
    ]
    (note,) = plain.notes
    assert note.startswith("the text has Markdown (front matter, code, lists, quotes, tables, headings,")


@pytest.mark.parametrize(
    "text",
    [
        "5 * 3 * 2 is 30, 5*3*2 too, and 2 ** 3.",
        "a_b_c and snake_case stay. #1 is first, # 1 is not.",
        "f**k and s*** happen. Prices* rise. *Terms apply.",
        "> 5 percent of them agreed.",
        "- 5 degrees in Oslo.",
        "The mayor\n- who is fifty - said no.",
        "[sic] [applause](laughter) [1] a[0](x)",
        "It was 'tis `twas. C:\\_x",
        "Rome | Paris | London",
        "-- He said -- and left.",
        "* ",
        "In\n1984. Later.",
    ],
)
def test_text_that_resembles_markdown_is_kept(text: str) -> None:
    plain = plain_text(text)
    assert [s.text for s in sentences_of(plain.text)] == [s.text for s in sentences_of(text)]
    assert plain.notes == ()


@pytest.mark.parametrize(
    "text", ["### END ###", "*** END ***", "==== END ====", "END\n###\n", "---\nEND\n***"]
)
def test_signs_that_stand_alone_are_not_read(text: str) -> None:
    assert split_sentences(plain_text(text).text) == ["END"]


SRT = "1\n00:00:01,000 --> 00:00:03,000\nGood\n\n2\n00:00:03,500 --> 00:00:05,000\nevening. It is 8.\n"
VTT = """WEBVTT - News

STYLE
::cue { color: red }

NOTE a remark

first
00:01.000 --> 00:03.000 align:start
<v Ada Byron>Good

01:00:03.500 --> 01:00:05.000
<c.loud>evening.</c> It is 8.
"""


@pytest.mark.parametrize(("text", "line"), [(SRT, 3), ("\n" + SRT, 4), (VTT, 10)])
def test_captions_given_as_a_text(text: str, line: int) -> None:
    plain = plain_text(text.replace("\n", "\r\n"))
    sentences = list(sentences_of(plain.text))
    assert [s.text for s in sentences] == ["Good evening.", "It is 8."]
    assert sentences[0].line == line
    assert plain.notes[0].startswith("the text is captions")


@pytest.mark.parametrize(
    ("part", "times"),
    [
        ("*", 50_000),
        ("**a ", 20_000),
        ("[", 50_000),
        ("_a ", 20_000),
        ("# ", 20_000),
        ("`", 50_000),
        ("- \n", 20_000),
        ("> ", 20_000),
        ("|-", 20_000),
        ("![](", 10_000),
        ("[a](", 10_000),
        ("---\na:\n", 9_000),
        ("* \n ", 9_000),
        ("\n", 50_000),
        ("1\n", 20_000),
        ("WEBVTT\n", 9_000),
        ("~~a ", 20_000),
        (" ", 50_000),
    ],
)
def test_time_grows_with_the_length_alone(part: str, times: int) -> None:
    """One that grew with the square would take minutes."""
    hostile = part * times
    plain_text(hostile)
    plain_text("00:00:01,000 --> 00:00:02,000\n" + hostile)
    plain_text(hostile + "\n00:00:01,000 --> 00:00:02,000\n")
