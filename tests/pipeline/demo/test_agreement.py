"""Adjectives and articles agree with what they describe, over many drawn sentences."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from pipeline.demo.grammar import both, described, name_phrase
from pipeline.demo.lexicon import (
    COPULAS,
    FEMININE,
    MASCULINE,
    PLURAL,
    SINGULAR,
    Tense,
    load_lexicon,
)
from pipeline.demo.sentence_pairs import generate_pairs

LEXICON = load_lexicon()
PAIRS = list(generate_pairs(60_000, seed=21))
WOMEN = "Ana|María|Lucía|Elena|Laura|Sofía|Carmen|Marta|Paula|Clara"
MEN = "Pablo|Diego|Miguel|Javier|Pedro|Daniel|Hugo|Mario|Bruno|Raúl"
IS = "|".join({form for tenses in COPULAS.values() for forms in tenses.values() for form in forms})

# The forms of adjectives that show their gender, by gender and number.
SHOWN = {
    (gender, number): {
        adjective.spanish[gender][number]
        for adjective in LEXICON.adjectives
        if adjective.spanish[MASCULINE] != adjective.spanish[FEMININE]
    }
    for gender in (MASCULINE, FEMININE)
    for number in (SINGULAR, PLURAL)
}
ANY_SHOWN = set().union(*SHOWN.values())
# "limpia" is "clean" and "cleans", and "cocina" is "kitchen" and "cooks".
VERB_FORMS = {
    form.split()[-1]
    for verb in (*LEXICON.transitive, *LEXICON.intransitive, LEXICON.like)
    for forms in verb.spanish
    for form in forms
}


def described_as(subject: str) -> Counter[str]:
    """The adjectives that follow a subject and a form of "be" in the drawn sentences."""
    pattern = re.compile(rf"^(?:{subject}) (?:no )?(?:{IS}) (\w+)\.$", re.IGNORECASE)
    matches = (pattern.match(pair.target) for pair in PAIRS)
    return Counter(match[1] for match in matches if match and match[1] in ANY_SHOWN)


@pytest.mark.parametrize(
    ("subject", "gender", "number"),
    [
        (WOMEN, FEMININE, SINGULAR),
        (MEN, MASCULINE, SINGULAR),
        ("ella", FEMININE, SINGULAR),
        ("él", MASCULINE, SINGULAR),
        ("ellos", MASCULINE, PLURAL),
        (
            r"(?:la|esta|esa|nuestra|mi|tu|su) (?:mujer|chica|hermana|tía|hija|abuela|reina)",
            FEMININE,
            SINGULAR,
        ),
        (r"(?:las|estas|esas|nuestras|mis|tus|sus) (?:casas|mesas|cartas)", FEMININE, PLURAL),
        (r"(?:el|este|ese|nuestro|mi|tu|su) (?:hombre|chico|hermano|tío)", MASCULINE, SINGULAR),
        (r"(?:los|estos|esos|nuestros|mis|tus|sus) (?:coches|mapas|libros)", MASCULINE, PLURAL),
    ],
)
def test_adjectives_agree_with_the_subject(subject: str, gender: int, number: int) -> None:
    adjectives = described_as(subject)
    assert adjectives.total() >= 8
    assert set(adjectives) <= SHOWN[gender, number]


def test_adjectives_agree_with_the_noun_beside_them() -> None:
    nouns = {
        noun.spanish[number]: (noun.gender, number)
        for noun in LEXICON.nouns
        for number in (SINGULAR, PLURAL)
        if noun.spanish[number] not in VERB_FORMS
    }
    n_checked = 0
    for pair in PAIRS:
        words = re.findall(r"\w+", pair.target)
        for noun, adjective in itertools.pairwise(words):
            if noun in nouns and adjective in ANY_SHOWN - VERB_FORMS:
                assert adjective in SHOWN[nouns[noun]], pair
                n_checked += 1
    assert n_checked > 1000


def test_determiners_agree_with_their_noun() -> None:
    genders = {
        MASCULINE: "el los este estos ese esos un unos muchos nuestro nuestros del al",
        FEMININE: "la las esta estas esa esas una unas muchas nuestra nuestras",
    }
    gender_of = {word: gender for gender, words in genders.items() for word in words.split()}
    nouns = {
        form: noun.gender
        for noun in LEXICON.nouns
        for form in noun.spanish
        if form not in VERB_FORMS
    }
    n_checked = 0
    for pair in PAIRS:
        words = re.findall(r"\w+", pair.target.lower())
        for determiner, noun in itertools.pairwise(words):
            if determiner in gender_of and noun in nouns:
                assert gender_of[determiner] == nouns[noun], pair
                n_checked += 1
    assert n_checked > 10_000


def test_every_name_has_the_gender_of_its_bearers() -> None:
    genders = {name.text: name.gender for name in LEXICON.names}
    assert genders == dict.fromkeys(WOMEN.split("|"), FEMININE) | (
        dict.fromkeys(MEN.split("|"), MASCULINE)
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Carmen", "Sofía"), "Carmen y Sofía están cansadas"),
        (("Carmen", "Pablo"), "Carmen y Pablo están cansados"),
        (("Hugo", "Pablo"), "Hugo y Pablo están cansados"),
    ],
)
def test_two_names_are_feminine_only_if_both_are(names: tuple[str, str], expected: str) -> None:
    (tired,) = (adjective for adjective in LEXICON.adjectives if adjective.english == "tired")
    genders = {name.text: name.gender for name in LEXICON.names}
    first, second = (name_phrase(name, genders[name]) for name in names)
    assert described(both(first, second), tired, Tense.PRESENT).spanish == expected
