"""Properties of the spoken form of any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newscaster.speech.spoken import Pronunciations, spoken_form

PLAIN = [
    "the",
    "minister",
    "said",
    "that",
    "many",
    "people",
    "were",
    "hurt",
    "when",
    "a",
    "train",
    "left",
    "its",
    "track",
    "near",
    "an",
    "old",
    "bridge",
    "and",
    "rescue",
    "teams",
    "worked",
    "through",
    "heavy",
    "rain",
]
TABLE = Path(__file__).with_name("newsroom_forms.tsv")
FORMS = [line.split("\t")[1] for line in TABLE.read_text(encoding="utf-8").splitlines()]
NEWS = st.text(alphabet=" 0123456789abcmpsCFIVXUSAKG$£€%.,:;-–/'’@#&+()°½\"", max_size=60)


def spoken(text: str) -> str:
    return spoken_form(text, language="en").text


@given(st.one_of(st.text(max_size=80), NEWS))
@example("1" * 400)
@example("9" * 36 + "." + "9" * 40)
@example("\u0660\u0661 ½½½ ²³ ①")
@settings(max_examples=400, deadline=None)
def test_any_text_is_read(text: str) -> None:
    form = spoken_form(text, language="en")
    assert [piece.start for piece in form.pieces] == [0, *(p.stop for p in form.pieces)][: len(form.pieces)]
    assert "".join(text[p.start : p.stop] for p in form.pieces) == text
    assert not set("0123456789") & set(form.text)


@given(
    st.lists(st.sampled_from([*PLAIN, *FORMS]), min_size=1, max_size=6),
    st.sampled_from([" ", ", ", " (", "; "]),
)
@settings(max_examples=200, deadline=None)
def test_readings_are_stable(words: list[str], between: str) -> None:
    reading = spoken(between.join(words) + ".")
    assert spoken(reading) == reading


@given(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_plain_words_are_kept(words: list[str]) -> None:
    text = " ".join(words).capitalize() + "."
    assert spoken(text) == text


@pytest.mark.parametrize("language", ["de", "fr-FR", "", "ja"])
def test_languages_without_rules_pass_unchanged(language: str) -> None:
    text = "Am 3. Mai fielen 2,5 % der Züge aus (NATO)."
    assert spoken_form(text, language=language).text == text


def test_the_language_may_have_a_region() -> None:
    assert spoken_form("3%", language="en_GB").text == "three per cent"


@pytest.mark.parametrize(
    "part", ["$1.2bn, ", "a.", "1.", "1-", "3,000", "http://a.b/", "@a", "½", "I", "’", "-"]
)
def test_work_is_proportional_to_the_length(part: str) -> None:
    """Twice the text has about twice the pieces at most."""
    short, long = spoken_form(part * 200, language="en"), spoken_form(part * 400, language="en")
    assert len(long.pieces) <= 2 * len(short.pieces) + 60


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("Vote: Yes 52%, No 48%.", "Vote: Yes fifty-two per cent, No forty-eight per cent."),
        ("It is in the U.S.", "It is in the U.S."),
        ("the U.S. economy", "the U.S economy"),
        ("BREAKING: WHO SAID THE MINISTER LIED", "BREAKING: WHO SAID THE MINISTER LIED"),
        ("The WHO warned the US and us.", "The W.H.O warned the U.S and us."),
        ("Elizabeth I reigned, I think.", "Elizabeth the first reigned, I think."),
        ("St Paul's St, near Oxford St.", "Saint Paul's Street, near Oxford Street."),
        ("cut 10-15 jobs after they won", "cut ten to fifteen jobs after they won"),
        ("€300m-€350m", "three hundred to three hundred and fifty million euros"),
        ("under-21s and 1,000s of over-65s", "under-twenty-ones and one thousands of over-sixty-fives"),
        ("He ran 100m; 100m users saw it.", "He ran one hundred metres; one hundred million users saw it."),
        ("1" * 40, " ".join(["one"] * 40)),
        ("the UK's MPs", "the U-K's M-P's"),
        ("#COP29 @BBCNews", "hashtag COP twenty-nine at B.B.C News"),
        ("007", "zero zero seven"),
    ],
)
def test_readings_in_context(text: str, reading: str) -> None:
    assert spoken(text) == reading


def test_letters_are_counted_where_they_are_written() -> None:
    text = "In 2024 it rose 5%."
    letters = spoken_form(text, language="en").letters(text)
    assert len(letters) == len(text.replace(" ", ""))
    assert sum(letters[2:6]) == pytest.approx(len("twentytwenty-four"))
    assert letters[:2] == (1, 1)
    assert spoken_form(text, language="en").letters(text + "!") == ()


def test_exceptions_precede_all_rules() -> None:
    exceptions = Pronunciations(
        {"WHO": "the World Health Organization", "$1.2bn": "a fortune", "rio": "ree-oh"}
    )
    text = "WHO, who: $1.2bn in RIO, not Rioja."
    reading = spoken_form(text, language="en", pronunciations=exceptions).text
    assert reading == "the World Health Organization, who: a fortune in ree-oh, not Rioja."
    assert (
        spoken_form("WHO", language="de", pronunciations=exceptions).text == "the World Health Organization"
    )
