"""Splits: no sentence is in two of them, and the same pair always gets the same one."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.config import SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.normalise import normalise
from pipeline.prepare.splitting import Splitter, reading_order

SHARES = SplitConfig(valid_share=0.1, test_share=0.2)


WORDS = ["the", "red", "Straße", "niño", "fish", "12", "people's", "crème", "ﬁne,", "Ω", "σοφός"]


def given(split: Split | None) -> CorpusInput:
    """An input with a split, or without one."""
    return CorpusInput(path=Path(f"{split}.tsv"), split=split)


def sentences(n: int, seed: int = 1) -> list[str]:
    """Random sentences. No two are equal after normalising."""
    draw = random.Random(seed)
    return [f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 12)))} {i}" for i in range(n)]


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


def test_variants_of_a_sentence_get_the_same_split() -> None:
    item = given(None)
    splitter = Splitter([item], SHARES)
    seen = set()
    for sentence in sentences(600):
        split = splitter.split_of(item, sentence)
        assert {splitter.split_of(item, v) for v in variants(sentence)} == {split}, sentence
        seen.add(split)
    assert seen == set(SPLITS)  # else this test would show nothing


def test_equal_normalised_sources_never_stay_in_two_splits() -> None:
    draw = random.Random(3)
    base = sentences(400)
    inputs = [given(None), given("train")]
    splitter = Splitter(inputs, SHARES)
    kept: dict[Split, set[str]] = {split: set() for split in SPLITS}
    for item in (named.item for named in reading_order(named_inputs(inputs))):
        for _ in range(3000):
            source = draw.choice(variants(draw.choice(base)))
            split = splitter.split_of(item, source)
            if splitter.reason_to_reject(split, source, "x") is None:
                kept[split].add(normalise(source))
    assert all(kept.values())
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not kept[one] & kept[other]  # type: ignore[index]


def test_sampled_shares_are_about_the_configured_ones() -> None:
    item = given(None)
    splitter = Splitter([item], SHARES)
    n = 10_000
    counts = Counter(splitter.split_of(item, text) for text in sentences(n))
    # Three standard deviations: sqrt(10000 * p * (1 - p)) is 30 for 0.1 and 40 for 0.2.
    assert abs(counts["valid"] - 1000) < 90
    assert abs(counts["test"] - 2000) < 120
    assert counts.total() == n


def test_a_share_of_zero_samples_nothing() -> None:
    item = given(None)
    splitter = Splitter([item], SplitConfig(valid_share=0.0, test_share=0.0))
    assert {splitter.split_of(item, text) for text in sentences(500)} == {"train"}


def test_a_larger_share_only_adds_to_test() -> None:
    item = given(None)
    small = Splitter([item], SplitConfig(valid_share=0.0, test_share=0.1))
    large = Splitter([item], SplitConfig(valid_share=0.0, test_share=0.3))
    texts = sentences(1000)
    in_small = {text for text in texts if small.split_of(item, text) == "test"}
    in_large = {text for text in texts if large.split_of(item, text) == "test"}
    assert in_small < in_large


def test_nothing_is_sampled_if_files_are_given() -> None:
    inputs = [given("train"), given(None), given("valid"), given("test")]
    splitter = Splitter(inputs, SHARES)
    for item in inputs:
        splits = {splitter.split_of(item, text) for text in sentences(500)}
        assert splits == {item.split or "train"}


@pytest.mark.parametrize(("file_split", "sampled_split"), [("test", "valid"), ("valid", "test")])
def test_a_split_without_files_is_sampled(file_split: Split, sampled_split: Split) -> None:
    inputs = [given(file_split), given(None)]
    splitter = Splitter(inputs, SHARES)
    assert {splitter.split_of(inputs[1], text) for text in sentences(500)} == {
        "train",
        sampled_split,
    }
    assert {splitter.split_of(inputs[0], text) for text in sentences(500)} == {file_split}


def test_nothing_is_sampled_from_a_training_file() -> None:
    splitter = Splitter([given("train")], SHARES)
    assert {splitter.split_of(given("train"), text) for text in sentences(500)} == {"train"}


def test_the_same_pair_always_gets_the_same_split() -> None:
    item = given(None)
    texts = sentences(500)
    first = {text: Splitter([item], SHARES).split_of(item, text) for text in texts}
    other = Splitter([item], SHARES)
    assert {text: other.split_of(item, text) for text in reversed(texts)} == first


def test_the_split_follows_from_the_hash_of_the_normalised_source() -> None:
    item = given(None)
    digest = hashlib.blake2b(b"split\x1fgoodmorning", digest_size=8).digest()
    point = int.from_bytes(digest, "big") / 2**64  # 0.1083
    for shares, split in (
        ((0.0, point + 1e-9), "test"),
        ((0.0, point - 1e-9), "train"),
        ((0.1, point - 1e-9), "valid"),
        ((0.1, point - 0.1 + 1e-9), "valid"),
        ((0.1, point - 0.1 - 1e-9), "train"),
    ):
        config = SplitConfig(valid_share=shares[0], test_share=shares[1])
        assert Splitter([item], config).split_of(item, "¡Good,  MORNING!") == split


def all_given() -> Splitter:
    """A splitter of three given files."""
    return Splitter([given(split) for split in SPLITS], SHARES)


def test_a_sentence_stays_in_the_first_of_test_valid_train() -> None:
    splitter = all_given()
    assert splitter.reason_to_reject("test", "Hello, world!", "a") is None
    assert splitter.reason_to_reject("valid", "hello world", "b") == "leak"
    assert splitter.reason_to_reject("train", "HELLO WORLD", "c") == "leak"
    assert splitter.reason_to_reject("valid", "Good day.", "a") is None
    assert splitter.reason_to_reject("train", "good day", "a") == "leak"
    assert splitter.reason_to_reject("train", "good night", "a") is None


def test_a_rejected_sentence_does_not_make_others_leak() -> None:
    splitter = all_given()
    assert splitter.reason_to_reject("test", "one", "a") is None
    assert splitter.reason_to_reject("valid", "one", "a") == "leak"
    assert splitter.reason_to_reject("valid", "two", "a") is None
    assert splitter.reason_to_reject("train", "three", "a") is None


def test_a_sampled_test_split_gives_way_to_a_validation_file() -> None:
    inputs = [given("valid"), given(None)]
    splitter = Splitter(inputs, SHARES)
    sampled = next(t for t in sentences(500) if splitter.split_of(inputs[1], t) == "test")
    assert splitter.reason_to_reject("valid", sampled.upper(), "a") is None
    assert splitter.reason_to_reject("test", sampled, "a") == "leak"


def test_repeated_pairs_of_training_are_rejected() -> None:
    splitter = all_given()
    assert splitter.reason_to_reject("train", "one", "uno") is None
    assert splitter.reason_to_reject("train", "one", "uno") == "duplicate"
    assert splitter.reason_to_reject("train", "one", "una") is None  # another translation
    assert splitter.reason_to_reject("train", "One", "uno") is None  # not the same text
    assert splitter.reason_to_reject("train", "oneu", "no") is None


@pytest.mark.parametrize("split", ["test", "valid"])
def test_repeated_pairs_of_given_test_and_validation_files_stay(split: Split) -> None:
    splitter = all_given()
    assert [splitter.reason_to_reject(split, "one", "uno") for _ in range(3)] == [None] * 3


def test_files_are_read_in_the_order_that_finds_every_leak() -> None:
    inputs = [given("train"), given(None), given("valid"), given("test"), given("train")]
    assert [named.item.split for named in reading_order(named_inputs(inputs))] == [
        "test",
        "valid",
        None,
        "train",
        "train",
    ]


@pytest.mark.parametrize("split", ["test", "valid", "train"])
def test_repeated_pairs_of_sampled_splits_are_rejected(split: Split) -> None:
    item = given(None)
    splitter = Splitter([item], SHARES)
    text = next(t for t in sentences(500) if splitter.split_of(item, t) == split)
    reasons = [splitter.reason_to_reject(split, text, target) for target in ("a", "a", "b", "a")]
    assert reasons == [None, "duplicate", None, "duplicate"]


@pytest.mark.parametrize("split", ["test", "valid"])
def test_repeated_pairs_of_a_given_file_stay_beside_a_sampled_split(split: Split) -> None:
    splitter = Splitter([given(split), given(None)], SHARES)
    assert [splitter.reason_to_reject(split, "one", "a") for _ in range(2)] == [None, None]
