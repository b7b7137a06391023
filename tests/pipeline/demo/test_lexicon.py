"""The words of the demo grammar and their forms."""

from __future__ import annotations

import pytest

from pipeline.demo.lexicon import (
    SINGULAR,
    Tense,
    conjugate,
    english_s,
    load_lexicon,
    spanish_plural,
)

LEXICON = load_lexicon()


NOUNS = {noun.english[SINGULAR]: noun for noun in LEXICON.nouns}


ADJECTIVES = {adjective.english: adjective for adjective in LEXICON.adjectives}


VERBS = {verb.stem: verb for verb in (*LEXICON.transitive, *LEXICON.intransitive)}


@pytest.mark.parametrize(
    ("word", "plural"),
    [("limón", "limones"), ("autobús", "autobuses"), ("jardín", "jardines"), ("reloj", "relojes"),
     ("lápiz", "lápices"), ("rey", "reyes"), ("sofá", "sofás"), ("bebé", "bebés"),
     ("árbol", "árboles"), ("tren", "trenes"), ("gris", "grises"), ("útil", "útiles")],
)  # fmt: skip
def test_spanish_plural(word: str, plural: str) -> None:
    assert spanish_plural(word) == plural


@pytest.mark.parametrize(
    ("word", "form"),
    [("box", "boxes"), ("story", "stories"), ("key", "keys"), ("catch", "catches"),
     ("carry", "carries"), ("dress", "dresses"), ("wash", "washes")],
)  # fmt: skip
def test_english_s(word: str, form: str) -> None:
    assert english_s(word) == form


# All five persons where a rule alone would go wrong.
@pytest.mark.parametrize(
    ("english", "tense", "forms"),
    [
        ("buy", Tense.PRESENT, "compro compras compra compramos compran"),
        ("sell", Tense.PAST, "vendí vendiste vendió vendimos vendieron"),
        ("open", Tense.PRESENT, "abro abres abre abrimos abren"),
        ("open", Tense.FUTURE, "abriré abrirás abrirá abriremos abrirán"),
        ("buy", Tense.IMPERFECT, "compraba comprabas compraba comprábamos compraban"),
        ("sell", Tense.IMPERFECT, "vendía vendías vendía vendíamos vendían"),
        ("look for", Tense.PAST, "busqué buscaste buscó buscamos buscaron"),
        ("arrive", Tense.PAST, "llegué llegaste llegó llegamos llegaron"),
        ("cross", Tense.PAST, "crucé cruzaste cruzó cruzamos cruzaron"),
        ("play", Tense.PAST, "jugué jugaste jugó jugamos jugaron"),
        ("play", Tense.PRESENT, "juego juegas juega jugamos juegan"),
        ("find", Tense.PRESENT, "encuentro encuentras encuentra encontramos encuentran"),
        ("find", Tense.PAST, "encontré encontraste encontró encontramos encontraron"),
        ("close", Tense.PRESENT, "cierro cierras cierra cerramos cierran"),
        ("send", Tense.PRESENT, "envío envías envía enviamos envían"),
        ("choose", Tense.PRESENT, "escojo escoges escoge escogemos escogen"),
        ("offer", Tense.PRESENT, "ofrezco ofreces ofrece ofrecemos ofrecen"),
        ("see", Tense.PRESENT, "veo ves ve vemos ven"),
        ("see", Tense.PAST, "vi viste vio vimos vieron"),
        ("read", Tense.PRESENT, "leo lees lee leemos leen"),
        ("sleep", Tense.PRESENT, "duermo duermes duerme dormimos duermen"),
        ("sleep", Tense.PAST, "dormí dormiste durmió dormimos durmieron"),
    ],
)
def test_conjugation(english: str, tense: Tense, forms: str) -> None:
    assert VERBS[english].spanish[tense] == tuple(forms.split())


@pytest.mark.parametrize(
    ("english", "form"),
    [("open", "ha abierto"), ("write", "ha escrito"), ("break", "ha roto"), ("see", "ha visto"),
     ("return", "ha devuelto"), ("cover", "ha cubierto"), ("describe", "ha descrito"),
     ("read", "ha leído"), ("eat", "ha comido"), ("wash", "ha lavado")],
)  # fmt: skip
def test_participles(english: str, form: str) -> None:
    assert VERBS[english].spanish[Tense.PERFECT][2] == form


def test_conjugate_accepts_any_regular_verb() -> None:
    assert conjugate("temer")[Tense.PAST] == ("temí", "temiste", "temió", "temimos", "temieron")
