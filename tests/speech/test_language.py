"""The language of a text, by its commonest words."""

from __future__ import annotations

import pytest

from newscaster.speech.language import NAMES, another_language, language_of

TEXTS = {
    "en": "Good evening. Here is the news. The parliament has voted on the new law of the government.",
    "de": "Guten Abend. Hier sind die Nachrichten. Der Bundestag hat heute über das neue Gesetz abgestimmt.",
    "fr": "Bonsoir. Voici les nouvelles. Le président a annoncé que le gouvernement va présenter un projet.",
    "es": "Buenas noches. Estas son las noticias. El parlamento ha votado hoy la nueva ley del gobierno.",
    "it": "Buonasera. Ecco le notizie. Il parlamento ha votato oggi la nuova legge del governo.",
    "pt": "Boa noite. O parlamento votou hoje a nova lei do governo, que não agrada.",
    "nl": "Dit is het nieuws. Het parlement heeft vandaag over de nieuwe wet van het kabinet gestemd.",
    "sv": "God kväll. Här är nyheterna. Riksdagen har röstat för lagen, och ministern är inte nöjd.",
    "da": "God aften. Her er nyhederne. Folketinget har i dag stemt om den nye lov, og regeringen er for.",
    "pl": "Dobry wieczór. Sejm głosował dzisiaj nad ustawą, która jest dla rządu ważna. To nie jest koniec.",
    "cs": "Parlament dnes hlasoval o zákonu, který je pro vládu důležitý. Ale není to vše, co se stalo.",
    "tr": "İyi akşamlar. Meclis bugün yeni bir yasa için oy kullandı ve bu hükümet için çok önemli.",
    "hu": "Jó estét. A parlament ma szavazott az új törvényről, és ez nem volt egyszerű, de már kész.",
    "fi": "Eduskunta on tänään äänestänyt uudesta laista, joka ei ole valmis, mutta se oli tärkeä.",
    "ro": "Bună seara. Parlamentul a votat astăzi o lege nouă, care este importantă pentru guvern.",
}


@pytest.mark.parametrize("code", NAMES)
def test_every_language_is_recognised(code: str) -> None:
    assert language_of(TEXTS[code]) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "Angela Merkel, Emmanuel Macron, Giorgia Meloni.",
        "Bin blue at F two now.",
        f"{TEXTS['en']} {TEXTS['de']}",
        "晚上好。这里是新闻。",
        "Die. Das Auto.",
    ],
)
def test_what_is_short_or_mixed_is_none(text: str) -> None:
    assert language_of(text) in (None, "en")


@pytest.mark.parametrize(
    "text",
    [
        "The film 'Das Boot' is on at eight, after the news from Los Angeles and El Paso.",
        "Bin blue at F two now. Place red by a three again.",
        "Die Hard is a film. He was in the Rue de la Paix, at the Cafe de la Gare in Paris.",
        "BREAKING NEWS: a fire in the old town. Two people are hurt.",
    ],
)
def test_english_is_not_taken_for_another(text: str) -> None:
    assert another_language(text, "en-us") is None


def test_voices() -> None:
    assert another_language(TEXTS["de"], "en") == ("German", "English")
    assert another_language(TEXTS["en"], "de_DE") == ("English", "German")
    assert another_language(TEXTS["da"], "nb") is None
    for voice in ("", "cmn", "de"):
        assert another_language(TEXTS["de"], voice) is None
