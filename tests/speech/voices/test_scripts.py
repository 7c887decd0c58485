from __future__ import annotations

import pytest

from newscaster.speech.voices.scripts import LATIN, foreign_words, script_of, scripts_of_language


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Good evening: 5 €, naïve Łódź, µm, π, ª, Ｈello, 𝐇i, ﬁ.", []),
        ("He said 你好 to everyone.", [("你好", "Chinese")]),
        (
            "Добрый вечер, Mr. Иванов.",
            [("Добрый", "Cyrillic"), ("вечер", "Cyrillic"), ("Иванов", "Cyrillic")],
        ),
        ("I love東京tower。今日は", [("東京", "Chinese"), ("今日は", "Chinese")]),
        ("مساء الخير.", [("مساء", "Arabic"), ("الخير", "Arabic")]),
        ("Καλησπέρα, α", [("Καλησπέρα", "Greek")]),
        ("शुभ संध्या", [("शुभ", "Devanagari"), ("संध्या", "Devanagari")]),
    ],
)
def test_foreign_words(sentence: str, words: list[tuple[str, str]]) -> None:
    assert list(foreign_words(sentence, LATIN)) == words


def test_scripts_of_languages() -> None:
    assert scripts_of_language("en-us") == LATIN
    assert scripts_of_language("ru") == {"Latin", "Cyrillic"}
    assert scripts_of_language("ja") == {"Latin", "Chinese", "Hiragana", "Katakana"}
    assert scripts_of_language("tlh") is None
    assert list(foreign_words("Добрый вечер.", scripts_of_language("uk") or LATIN)) == []


def test_scripts_are_named_as_in_unicode() -> None:
    assert [script_of(letter) for letter in "aяαشあア한ก中"] == [
        *("Latin", "Cyrillic", "Greek", "Arabic", "Hiragana", "Katakana", "Hangul", "Thai", "Chinese")
    ]
