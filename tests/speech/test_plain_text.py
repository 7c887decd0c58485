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
    assert "the text holds control characters (U+0000, U+0007; 7 in all)" in note
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
