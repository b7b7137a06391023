"""How many different words and sentences the demo grammar has."""

from __future__ import annotations

import itertools

import pytest

from pipeline.demo.grammar import (
    BARE,
    DEFINITE,
    DETERMINERS,
    PRONOUNS,
    as_object,
    name_phrase,
    noun_phrase,
    statement,
)
from pipeline.demo.lexicon import SINGULAR, Adjective, Noun, Tense, Verb, load_lexicon
from pipeline.demo.sentence_pairs import combination_split

LEXICON = load_lexicon()
NOUNS = {noun.english[SINGULAR]: noun for noun in LEXICON.nouns}
VERBS = {verb.stem: verb for verb in (*LEXICON.transitive, *LEXICON.intransitive)}


def n_statements(verb: Verb, noun: Noun) -> int:
    """The number of plain statements with a verb and an object noun.

    Such a statement has a pronoun or a name, the verb in one of its tenses, affirmed or negated, a
    determiner, perhaps an adjective, the noun, and perhaps a time phrase at one end. Statements
    with different choices have different English sentences.
    """
    n_subjects = len(PRONOUNS) + len(LEXICON.names)
    n_times = sum(len(_times(verb, tense)) for tense in verb.tenses)
    n_if_affirmed = len(DETERMINERS) + (noun.group != "person")  # "books" too, but not "men"
    n_determiners = n_if_affirmed + len(DEFINITE)
    return n_subjects * n_times * n_determiners * (1 + len(noun.adjectives))


def _times(verb: Verb, tense: Tense) -> list[tuple[str, str]]:
    """The time phrases before and after a sentence: none, or one at either end."""
    phrases = [] if verb.is_stative else [english for english, _ in LEXICON.times[tense]]
    return [("", ""), *((phrase, "") for phrase in phrases), *(("", phrase) for phrase in phrases)]


def test_the_lexicon_has_300_different_words() -> None:
    for words in (LEXICON.nouns, LEXICON.adjectives):
        english = [word.english for word in words]
        assert len(set(english)) == len(english)
    assert len(VERBS) == len(LEXICON.transitive) + len(LEXICON.intransitive)
    phrases = {*LEXICON.manners, *LEXICON.gaits, *itertools.chain(*LEXICON.times.values())}
    n_verbs = len(VERBS) + 1  # and "like"
    n_words = len(LEXICON.nouns) + len(LEXICON.adjectives) + len(LEXICON.names) + n_verbs
    assert n_words + len(phrases) >= 300


def test_the_training_split_has_100_million_statements() -> None:
    n_pairs = sum(
        n_statements(verb, noun)
        for verb in LEXICON.transitive
        for noun in LEXICON.nouns
        if noun.group in verb.groups
        and combination_split(f"{verb.stem}+{noun.english[SINGULAR]}") == "train"
    )
    assert n_pairs >= 10**8


@pytest.mark.parametrize(("verb", "noun"), [("see", "tree"), ("wait for", "man")])
def test_no_two_statements_of_a_verb_and_noun_are_equal(verb: str, noun: str) -> None:
    affirmed = [*DETERMINERS, *([BARE] if noun != "man" else [])]
    names = [name_phrase(name.text, name.gender) for name in LEXICON.names]
    adjectives: list[Adjective | None] = [None, *NOUNS[noun].adjectives[:4]]
    sentences = [
        f"{front} {clause.english} {back}".strip()
        for determiners, negated in ((affirmed, False), (DEFINITE, True))
        for determiner, adjective in itertools.product(determiners, adjectives)
        for subject, tense in itertools.product([*PRONOUNS.values(), *names], VERBS[verb].tenses)
        for clause in [
            statement(
                subject,
                VERBS[verb],
                tense,
                negated=negated,
                rest=as_object(noun_phrase(NOUNS[noun], determiner, adjective)),
            )
        ]
        for front, back in _times(VERBS[verb], tense)
    ]
    assert len(set(sentences)) == len(sentences)
    # Four adjectives are enough here. Each further one adds as many sentences.
    assert n_statements(VERBS[verb], NOUNS[noun]) * 5 == len(sentences) * (
        1 + len(NOUNS[noun].adjectives)
    )
