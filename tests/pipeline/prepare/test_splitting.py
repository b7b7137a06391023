"""Splits: no sentence on two sides, given files as they are, the same on every machine."""

from __future__ import annotations

import hashlib
import random
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.normalise import normalise
from pipeline.prepare.splitting import SplitConfig, Splitter, reading_order
from pipeline.storage.hashing import hash64

SHARES = SplitConfig(valid_share=0.1, test_share=0.2)
WORDS = ["the", "red", "Straße", "niño", "fish", "12", "people's", "crème", "ﬁne,", "Ω", "σοφός"]


def given(split: Split | None) -> CorpusInput:
    """An input that belongs to a split, or to none."""
    return CorpusInput(path=Path(f"{split}.tsv"), split=split)


def sentences(n: int, seed: int = 1) -> list[str]:
    """Made-up sentences, all different after normalising."""
    draw = random.Random(seed)
    return [f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 12)))} {i}" for i in range(n)]


def variants(sentence: str) -> list[str]:
    """The same sentence in other case, spacing, punctuation and Unicode form."""
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("  hello\tWORLD ", "hello world"),
        ("hello-world", "hello world"),
        ("helloworld", "helloworld"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("cafe\u0301", "café"),
        ("ﬁne", "fine"),
        ("ＡＢＣ１", "abc1"),
        ("¿Qué?", "qué"),
        ("x\u2028y", "x y"),
        ("1,000.5", "1 000 5"),
        ("...", "..."),
        ("?!", "?!"),
        ("😀", "😀"),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(normalise(text)) == expected


def test_hash64_is_the_same_everywhere() -> None:
    # Python's own hash() differs from process to process; this one must not.
    digest = hashlib.blake2b("split\x1faño".encode(), digest_size=8).digest()
    assert hash64("split", "año") == int.from_bytes(digest, "big")
    assert hash64("a", "b") != hash64("ab")
    assert 0 <= hash64("") < 2**64


def test_variants_of_a_sentence_fall_into_one_split() -> None:
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
    for item in reading_order(inputs):
        for _ in range(3000):
            source = draw.choice(variants(draw.choice(base)))
            split = splitter.split_of(item, source)
            if splitter.reason_to_reject(split, source, "x") is None:
                kept[split].add(normalise(source))
    assert all(kept.values())
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not kept[one] & kept[other]  # type: ignore[index]


def test_shares_are_about_those_asked_for() -> None:
    item = given(None)
    splitter = Splitter([item], SHARES)
    n = 10_000
    counts = Counter(splitter.split_of(item, text) for text in sentences(n))
    # Three standard deviations: sqrt(10000 * p * (1 - p)) is 30 for 0.1 and 40 for 0.2.
    assert abs(counts["valid"] - 1000) < 90
    assert abs(counts["test"] - 2000) < 120
    assert counts.total() == n


def test_a_share_of_zero_draws_nothing() -> None:
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


def test_given_files_are_used_and_nothing_is_hashed() -> None:
    inputs = [given("train"), given(None), given("valid"), given("test")]
    splitter = Splitter(inputs, SHARES)
    for item in inputs:
        found = {splitter.split_of(item, text) for text in sentences(500)}
        assert found == {item.split or "train"}


@pytest.mark.parametrize(("there", "drawn"), [("test", "valid"), ("valid", "test")])
def test_a_split_that_no_file_gives_is_drawn(there: Split, drawn: Split) -> None:
    inputs = [given(there), given(None)]
    splitter = Splitter(inputs, SHARES)
    assert {splitter.split_of(inputs[1], text) for text in sentences(500)} == {"train", drawn}
    assert {splitter.split_of(inputs[0], text) for text in sentences(500)} == {there}


def test_nothing_is_drawn_from_a_file_of_training_pairs() -> None:
    splitter = Splitter([given("train")], SHARES)
    assert {splitter.split_of(given("train"), text) for text in sentences(500)} == {"train"}


def test_the_same_pairs_fall_into_the_same_splits_every_time() -> None:
    item = given(None)
    texts = sentences(500)
    first = {text: Splitter([item], SHARES).split_of(item, text) for text in texts}
    other = Splitter([item], SHARES)
    assert {text: other.split_of(item, text) for text in reversed(texts)} == first


def test_the_split_follows_from_the_hash_of_the_normalised_source() -> None:
    item = given(None)
    digest = hashlib.blake2b(b"split\x1fgood morning", digest_size=8).digest()
    point = int.from_bytes(digest, "big") / 2**64  # 0.1769
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


def test_a_rejected_sentence_blocks_nothing() -> None:
    splitter = all_given()
    assert splitter.reason_to_reject("test", "one", "a") is None
    assert splitter.reason_to_reject("valid", "one", "a") == "leak"
    assert splitter.reason_to_reject("valid", "two", "a") is None
    assert splitter.reason_to_reject("train", "three", "a") is None


def test_test_that_is_drawn_gives_way_to_a_given_validation_file() -> None:
    inputs = [given("valid"), given(None)]
    splitter = Splitter(inputs, SHARES)
    drawn = next(t for t in sentences(500) if splitter.split_of(inputs[1], t) == "test")
    assert splitter.reason_to_reject("valid", drawn.upper(), "a") is None
    assert splitter.reason_to_reject("test", drawn, "a") == "leak"


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
    assert [item.split for item in reading_order(inputs)] == [
        "test",
        "valid",
        None,
        "train",
        "train",
    ]


def test_vowel_signs_tell_sentences_apart() -> None:
    assert normalise("राम का घर") != normalise("राम की घर")


@pytest.mark.parametrize("split", ["test", "valid", "train"])
def test_a_repeated_pair_counts_once_where_the_split_is_drawn(split: Split) -> None:
    item = given(None)
    splitter = Splitter([item], SHARES)
    text = next(t for t in sentences(500) if splitter.split_of(item, t) == split)
    found = [splitter.reason_to_reject(split, text, target) for target in ("a", "a", "b", "a")]
    assert found == [None, "duplicate", None, "duplicate"]


@pytest.mark.parametrize("split", ["test", "valid"])
def test_repeated_pairs_of_given_files_stay(split: Split) -> None:
    splitter = Splitter([given(split), given(None)], SHARES)
    assert [splitter.reason_to_reject(split, "one", "a") for _ in range(2)] == [None, None]
