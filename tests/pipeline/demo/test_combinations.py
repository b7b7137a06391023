"""Combinations of verb and object noun that are held out of training."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from pipeline.dataset.splits import Split
from pipeline.demo.lexicon import (
    SINGULAR,
    load_lexicon,
)
from pipeline.demo.sentence_pairs import (
    combination_split,
    generate_pairs,
)

LEXICON = load_lexicon()


NOUNS = {noun.english[SINGULAR]: noun for noun in LEXICON.nouns}


ADJECTIVES = {adjective.english: adjective for adjective in LEXICON.adjectives}


SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_every_held_out_pair_has_a_combination_of_its_split(split: Split) -> None:
    pairs = list(generate_pairs(20_000, seed=4, split=split))
    assert {combination_split(pair.combination) for pair in pairs} == {split}
    assert any("<ph" in pair.source for pair in pairs)


def test_training_pairs_have_no_held_out_combination() -> None:
    combinations = {pair.combination for pair in generate_pairs(200_000, seed=5)} - {""}
    assert {combination_split(combination) for combination in combinations} == {"train"}
    assert len(combinations) > 1_000


def test_sentences_have_their_combination_and_no_other() -> None:
    """Looks for verbs in the English words, independently of the recorded combination."""
    verbs = {
        form: verb.stem
        for verb in (*LEXICON.transitive, LEXICON.like)
        for form in (*itertools.chain(*verb.english), *verb.after_auxiliary)
        if form not in ADJECTIVES  # "is open", "is lost"
    }
    longest_first = sorted(verbs, key=len, reverse=True)
    verb_pattern = re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)
    adjective_stems = {"open", "clean", "close", "lose", "break"}
    no_noun_object = re.compile(r"\b(me|you|him|her|us|them)\b|<ph")
    for split in SPLITS:
        for source, _, combination in generate_pairs(10_000, seed=6, split=split):
            stems = {verbs[form.lower()] for form in verb_pattern.findall(source)}
            stem, _, noun = combination.partition("+")
            if combination:
                assert stems == {stem} or stem in adjective_stems, source
                assert any(form in source for form in NOUNS[noun].english), source
            else:
                assert not stems or no_noun_object.search(source), source


def test_held_out_shares_are_five_percent_each() -> None:
    shares = Counter(
        combination_split(f"{verb.stem}+{noun.english[SINGULAR]}")
        for verb in (*LEXICON.transitive, LEXICON.like)
        for noun in LEXICON.nouns
        if noun.group in verb.groups
    )
    n_combinations = sum(shares.values())
    assert 0.03 < shares["test"] / n_combinations < 0.07
    assert 0.03 < shares["valid"] / n_combinations < 0.07


def test_held_out_combinations_stay_the_same() -> None:
    """Golden values. A different hash would move sentences between the splits of older runs."""
    assert {
        combination: combination_split(combination)
        for combination in ("buy+book", "buy+peach", "buy+dog")
    } == {"buy+book": "train", "buy+peach": "test", "buy+dog": "valid"}


def test_almost_all_words_of_held_out_pairs_occur_in_training() -> None:
    trained = {word for pair in generate_pairs(20_000, seed=7) for word in _words(pair)}
    for split in ("valid", "test"):
        counts = Counter(
            word for pair in generate_pairs(5_000, seed=7, split=split) for word in _words(pair)
        )
        n_unknown = sum(count for word, count in counts.items() if word not in trained)
        assert n_unknown < 0.002 * counts.total()


def _words(pair: tuple[str, str, str]) -> list[str]:
    return re.findall(r"[\w<>]+", f"{pair[0]} {pair[1]}".lower())
