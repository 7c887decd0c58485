from __future__ import annotations

import itertools
import time

import pytest

from newscaster.speech.script import MAX_SENTENCE_CHARACTERS, Sentence, sentences_of, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        "Good evening.|Here is the news!|Is it?|Yes!?|It is.",
        # titles and names
        "Dr. Smith met Mrs. Jones.|They spoke.",
        "Prof. Dr. A. B. Smith, Ph.D., spoke in St. Louis.|He has a Ph.D.|His wife too.",
        "J. K. Rowling wrote it.|J.R.R. Tolkien did not.|George W. Bush read it.",
        "Lt. Gov. Ann Lee and Sen. Ford met Gen. Lee.|They agreed.",
        "They live on Main St.|The police came to St. Louis and Ft. Worth.",
        "REP. SMITH SPOKE.|THE HOUSE LISTENED.",
        "Martin Luther King Jr. spoke.|He was Martin Luther King Jr.|He spoke.",
        # letters with full stops
        "The U.S. economy grew.|So did the U.S. Senate.|The rest is in the U.S.|It fell.",
        "At 6 a.m. Monday it begins.|At 5 p.m. the vote ends.|He left at 5 p.m.|The door closed.",
        "I met him in Washington, D.C.|He was late.",
        "The U.S. $5 bill is green.",
        "World War I.|World War I ended.|Plan B.|That is it.|He got an A.|She got a B.",
        # numbers
        "See No. 5 on the list.|No. 6 is next.|The answer is no.|It will not happen.",
        "It rose by 2.5 percent to 1.3.|Then it fell by .5.|It cost $5.|It cost 3 million.|5 people saw it.",
        "On Jan. 5 and Dec. 24 it snowed.|Version 2.0.1 is out.|See pp. 5 to 9, Fig. 3 and Art. 7.",
        # abbreviations
        "Bring fruit, e.g. apples, i.e. something sweet.|Then go, cf. Art. 7.|E.g. Peter did.",
        "Foo Inc. rose.|Shares of Foo Ltd. fell vs. Foo Corp. shares.|He works at Foo Inc.|She does too.",
        "It ended 3-2 on agg. Liverpool go on.|They won on agg.|The fans sang.|On avg. Ada wins.",
        "She is the no. 1 seed, see figs. 2 and 3.|The answer is no.|Ada left.",
        # what looks like an abbreviation and is a word
        "There he sat.|John left.|We lay in the sun.|Bees hummed.|It is a sin.|Cos they said so.",
        # quotes, brackets, ellipses
        '"It is over," he said.|"Really?" she asked.|"Yes."|He left.',
        "“Stop!” he cried.|“Why?” she asked.|(He was late.)|She was not.|‘No.’|Then they left.",
        '"Why?" Ada Byron asked.|"Stop!"|The driver said nothing.|"Yes!"|Ada left.',
        "Wait ... there is more.|And then... nothing.|The end…|Of all.|Well... I do not know.",
        "He said . . . nothing.|She left.",
        # lists and addresses
        "Visit www.example.com today.|Write to a.b@example.com.|Now.",
        "Yahoo! played.",
        # other languages
        "今天天气很好！|我们走吧。|再见",
        "¿Qué pasa?|Nada.|¡Vamos!",
    ],
)
def test_where_sentences_end(sentences: str) -> None:
    gap = "" if "。" in sentences else " "
    assert split_sentences(sentences.replace("|", gap)) == sentences.split("|")


def test_numbers_of_a_list_belong_to_their_lines() -> None:
    assert split_sentences("1. Peel them.\n\n2. Eat them. Then rest.") == [
        "1. Peel them.",
        "2. Eat them.",
        "Then rest.",
    ]


def test_pauses() -> None:
    text = "\ufeffOne\r\ntwo. Three.\r\n \r\n\n*  *  *\n\nFour.\n\n---\n"
    assert list(sentences_of(text)) == [
        Sentence(text="\ufeffOne two.", pause_seconds=0.35),
        Sentence(text="Three.", pause_seconds=0.8, line=2),
        Sentence(text="Four.", pause_seconds=0.35, line=7),
    ]
    assert list(sentences_of(" \n\n... !? \n")) == []


@pytest.mark.parametrize("word", ["word", "word,", "x" * 1000])
def test_long_sentences_come_in_parts(word: str) -> None:
    text = " ".join([word] * (5000 // len(word))) + "."
    parts = split_sentences(text)
    assert max(map(len, parts)) <= MAX_SENTENCE_CHARACTERS
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    if word == "word":
        assert set(" ".join(parts).split()) == {"word", "word."}


def test_parts_end_with_clauses() -> None:
    clause = "and " * 50
    parts = split_sentences(f"{clause}so, {clause}so; {clause}so: {clause}so, and on.")
    assert [part[-3:] for part in parts] == ["so;", "on."]


def test_a_text_of_any_length_begins_at_once() -> None:
    text = "This is sentence No. 5 of Dr. Lee. " * 100_000
    began = time.perf_counter()
    assert len(list(itertools.islice(sentences_of(text), 10))) == 10
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize(
    "text", ["e.g. " * 50_000, ". " * 50_000, "! " * 50_000, "word " * 50_000, '"' * 50_000]
)
def test_time_grows_with_the_text(text: str) -> None:
    """Seconds, where a square of the length would be minutes."""
    began = time.perf_counter()
    split_sentences(text)
    assert time.perf_counter() - began < 5.0


def test_signs_and_emoji_by_themselves_are_sentences_and_ornaments_are_not() -> None:
    ornaments = "* * *\n\n---\n\n\u25cf\n\n\u2500\u2500"
    assert split_sentences(f"It rains. \U0001f600\U0001f600\n\n{ornaments}\n\n\u2211\u222b.") == [
        "It rains.",
        "\U0001f600\U0001f600",
        "\u2211\u222b.",
    ]


def test_a_sentence_knows_its_line() -> None:
    text = "\n\nOne. Two\ngoes on. Three.\r\n \r\n" + "word " * 200 + "\nend.\nLast."
    assert [(s.line, s.text[:5]) for s in sentences_of(text)] == [
        (3, "One."),
        (3, "Two g"),
        (4, "Three"),
        (6, "word "),
        (6, "word "),
        (8, "Last."),
    ]
