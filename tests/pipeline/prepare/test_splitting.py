"""Splits: no sentence is in two of them, and the same pair always gets the same one."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.config import SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.splitting import SplitRule, first_occurrences, reading_order
from pipeline.prepare.texts import TextColumn, mix64

SHARES = SplitConfig(valid_share=0.1, test_share=0.2)


WORDS = ["the", "red", "Straße", "niño", "fish", "12", "people's", "crème", "ﬁne,", "Ω", "σοφός"]


def given(split: Split | None) -> CorpusInput:
    """An input with a split, or without one."""
    return CorpusInput(path=Path(f"{split}.tsv"), split=split)


def sentences(n: int, seed: int = 1) -> list[str]:
    """Random sentences. No two are equal after normalising, not even without their digits."""
    draw = random.Random(seed)
    names = ["".join(chr(ord("a") + int(digit)) for digit in str(i)) for i in range(n)]
    return [f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 12)))} {name}" for name in names]


def variants(sentence: str) -> list[str]:
    """The same sentence with different case, spacing, punctuation and Unicode form."""
    words = sentence.split()
    return [
        sentence.upper(),
        sentence.casefold(),
        sentence.title(),
        f"  {sentence}\t",
        "   ".join(words),
        "\u00a0".join(words),
        f"«{sentence}»!",
        f"¿{', '.join(words)}...?",
        " - ".join(words),
        unicodedata.normalize("NFD", sentence),
        unicodedata.normalize("NFKC", sentence),
        "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in sentence),  # full width
    ]


def splits_of(rule: SplitRule, item: CorpusInput, texts: list[str]) -> list[Split]:
    """The split of each source."""
    codes = rule.splits_of(item.split, TextColumn.of(texts))
    return [SPLITS[code] for code in codes]


def test_variants_of_a_sentence_get_the_same_split() -> None:
    item = given(None)
    rule = SplitRule.of([item], SHARES, 0)
    seen = set()
    for sentence in sentences(600):
        (split,) = set(splits_of(rule, item, [sentence, *variants(sentence)]))
        seen.add(split)
    assert seen == set(SPLITS)  # else this test would show nothing


def test_sentences_that_differ_in_digits_get_the_same_split() -> None:
    item = given(None)
    rule = SplitRule.of([item], SHARES, 0)
    for sentence in sentences(50):
        numbered = [f"{sentence} {number} и {number}" for number in range(10, 99)]
        assert len(set(splits_of(rule, item, numbered))) == 1


def test_sampled_shares_are_about_the_configured_ones() -> None:
    item = given(None)
    n = 10_000
    counts = Counter(splits_of(SplitRule.of([item], SHARES, 0), item, sentences(n)))
    # Three standard deviations: sqrt(10000 * p * (1 - p)) is 30 for 0.1 and 40 for 0.2.
    assert abs(counts["valid"] - 1000) < 90
    assert abs(counts["test"] - 2000) < 120
    assert counts.total() == n


def test_the_shares_hold_in_each_partition() -> None:
    """Partitions and splits are chosen by one hash, and do not depend on each other."""
    item = given(None)
    texts = sentences(10_000)
    splits = np.array(splits_of(SplitRule.of([item], SHARES, 0), item, texts))
    hashes = TextColumn.of(texts).letter_hashes
    for n_partitions in (2, 3, 4, 8):
        for partition in range(n_partitions):
            inside = splits[hashes % np.uint64(n_partitions) == partition]
            assert abs((inside == "test").mean() - 0.2) < 0.05


def test_a_share_of_zero_samples_nothing() -> None:
    item = given(None)
    rule = SplitRule.of([item], SplitConfig(valid_share=0.0, test_share=0.0), 0)
    assert set(splits_of(rule, item, sentences(500))) == {"train"}


def test_a_larger_share_only_adds_to_test() -> None:
    item = given(None)
    texts = sentences(1000)
    in_test = []
    for share in (0.1, 0.3):
        rule = SplitRule.of([item], SplitConfig(valid_share=0.0, test_share=share), 0)
        splits = splits_of(rule, item, texts)
        in_test.append({t for t, split in zip(texts, splits, strict=True) if split == "test"})
    assert in_test[0] < in_test[1]


def test_the_most_pairs_of_a_large_corpus_limit_the_shares() -> None:
    item = given(None)
    config = SHARES.model_copy(update={"max_pairs": 100})
    counts = Counter(splits_of(SplitRule.of([item], config, 10_000), item, sentences(10_000)))
    for split in ("valid", "test"):
        assert abs(counts[split] - 100) < 40  # four standard deviations


def test_nothing_is_sampled_if_files_are_given() -> None:
    inputs = [given("train"), given(None), given("valid"), given("test")]
    rule = SplitRule.of(inputs, SHARES, 0)
    for item in inputs:
        assert set(splits_of(rule, item, sentences(500))) == {item.split or "train"}


@pytest.mark.parametrize(("file_split", "sampled_split"), [("test", "valid"), ("valid", "test")])
def test_a_split_without_files_is_sampled(file_split: Split, sampled_split: Split) -> None:
    inputs = [given(file_split), given(None)]
    rule = SplitRule.of(inputs, SHARES, 0)
    assert set(splits_of(rule, inputs[1], sentences(500))) == {"train", sampled_split}
    assert set(splits_of(rule, inputs[0], sentences(500))) == {file_split}


def test_nothing_is_sampled_from_a_training_file() -> None:
    rule = SplitRule.of([given("train")], SHARES, 0)
    assert set(splits_of(rule, given("train"), sentences(500))) == {"train"}


def test_the_split_of_a_source_does_not_depend_on_its_neighbours() -> None:
    item = given(None)
    rule = SplitRule.of([item], SHARES, 0)
    texts = sentences(500)
    together = splits_of(rule, item, texts)
    assert splits_of(rule, item, texts[::-1]) == together[::-1]
    assert [splits_of(rule, item, [text])[0] for text in texts[:50]] == together[:50]


def test_the_split_follows_from_the_hash_of_the_normalised_source() -> None:
    item = given(None)
    (source_hash,) = TextColumn.of(["goodmorning"]).letter_hashes
    salted = np.array([source_hash]) ^ np.uint64(0x5851F42D4C957F2D)
    point = float(mix64(salted)[0]) / 2**64
    assert 0.1 < point < 0.49
    for shares, split in (
        ((0.0, point + 1e-9), "test"),
        ((0.0, point - 1e-9), "train"),
        ((0.1, point - 1e-9), "valid"),
        ((0.1, point - 0.1 + 1e-9), "valid"),
        ((0.1, point - 0.1 - 1e-9), "train"),
    ):
        config = SplitConfig(valid_share=shares[0], test_share=shares[1])
        assert splits_of(SplitRule.of([item], config, 0), item, ["¡Good,  MORNING!"]) == [split]


def test_files_are_read_in_the_order_that_finds_every_leak() -> None:
    inputs = [given("train"), given(None), given("valid"), given("test"), given("train")]
    assert [named.item.split for named, _ in reading_order(named_inputs(inputs))] == [
        "test",
        "valid",
        None,
        "train",
        "train",
    ]


def test_first_occurrences() -> None:
    hashes = np.array([7, 2, 7, 0, 2, 9, 0, 2**64 - 1], np.uint64)
    assert first_occurrences(hashes).tolist() == [True, True, False, True, False, True, False, True]
    assert first_occurrences(hashes[:0]).tolist() == []
    assert first_occurrences(np.full(5, 3, np.uint64)).tolist() == [True, *[False] * 4]


def test_first_occurrences_are_those_of_a_loop_over_many_hashes() -> None:
    draw = random.Random(4)
    values = [draw.randrange(300) << 55 for _ in range(1000)]
    seen: set[int] = set()
    expected = [not (value in seen or seen.add(value)) for value in values]  # type: ignore[func-returns-value]
    assert first_occurrences(np.array(values, np.uint64)).tolist() == expected
