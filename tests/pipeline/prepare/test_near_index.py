"""The index of held-out pairs names the pair that another pair is equal or near to."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from pipeline.dataset.splits import Split
from pipeline.prepare.leaks_config import LeaksConfig
from pipeline.prepare.near_index import LEAK_KINDS, NO_LEAK, HeldOutIndex, KeyTable, Leaks
from pipeline.prepare.texts import PairTexts, TextColumn

CONFIG = LeaksConfig(min_words=4, similarity=0.75, min_target_words=6)
TEST = [
    ("The dog sees the old cat.", "El perro ve al viejo gato."),
    ("No.", "No."),
    ("", "nada"),
    ("Twelve birds sit on one long wire.", "Doce pájaros están en un cable largo."),
]
VALID = [
    ("A girl reads a thick book.", "Una niña lee un libro grueso."),
    ("The dog sees the old cat!", "El perro ve a aquel gato viejo."),
]


def pair_texts(pairs: Iterable[tuple[str, str]]) -> PairTexts:
    """A column of pairs."""
    listed = list(pairs)
    sides = [TextColumn.of(pair[side] for pair in listed) for side in (0, 1)]
    return PairTexts(sides[0], sides[1], "en", "es")


def held_out(config: LeaksConfig = CONFIG) -> HeldOutIndex:
    """An index of ``TEST`` and ``VALID``."""
    batches: list[tuple[Split, list[tuple[str, str]]]] = [("test", TEST), ("valid", VALID)]
    named = (
        (split, [f"{split}.tsv:{n}" for n in range(1, len(pairs) + 1)], pair_texts(pairs))
        for split, pairs in batches
    )
    return HeldOutIndex.build(named, config)


def one_leak(leaks: Leaks, index: HeldOutIndex) -> tuple[str, str, float] | None:
    """The kind, the name and the similarity of the only pair's leak."""
    assert len(leaks.kind) == 1
    if leaks.kind[0] == NO_LEAK:
        assert leaks.of[0] == -1
        return None
    similarity = round(float(leaks.similarity[0]), 2)
    return LEAK_KINDS[leaks.kind[0]], index.name(int(leaks.of[0])), similarity


OTHER = "otra cosa"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("THE DOG sees the old cat", OTHER, ("exact_source", "test.tsv:1", 1.0)),
        ("No", OTHER, ("exact_source", "test.tsv:2", 1.0)),
        ("the old dog sees the cat", OTHER, ("near_source", "test.tsv:1", 1.0)),
        ("A boy reads a thick book.", OTHER, ("near_source", "valid.tsv:1", 0.83)),
        ("The dog sees the very old cat.", OTHER, ("near_source", "test.tsv:1", 0.86)),
        ("something else", "El perro ve al viejo gato", ("exact_target", "test.tsv:1", 1.0)),
        ("something else", "El viejo perro ve al gato", ("near_target", "test.tsv:1", 1.0)),
        ("something else", "Una niña lee un libro.", None),
        ("something else", "No.", None),
        ("something else", OTHER, None),
        ("Yes.", OTHER, None),
        ("", "nada", None),
        ("?!", "...", None),
        ("A boy reads a thick book.", TEST[0][1], ("near_source", "valid.tsv:1", 0.83)),
    ],
)  # fmt: skip
def test_a_pair_has_the_first_kind_that_holds(
    source: str, target: str, expected: tuple[str, str, float] | None
) -> None:
    index = held_out()
    assert one_leak(index.leaks(pair_texts([(source, target)])), index) == expected


def test_only_the_splits_asked_for_count() -> None:
    index = held_out()
    texts = pair_texts([("A girl reads a thick book", OTHER)])
    assert one_leak(index.leaks(texts), index) == ("exact_source", "valid.tsv:1", 1.0)
    assert one_leak(index.leaks(texts, against=("test",)), index) is None


def test_without_near_only_equal_pairs_count() -> None:
    index = held_out(CONFIG.model_copy(update={"near": False}))
    near = [("the old dog sees the cat", "x"), ("x", "El viejo perro ve al gato")]
    equal = [("the dog sees the old cat", "x"), ("x", "el perro ve al viejo gato")]
    assert index.leaks(pair_texts([*near, *equal])).rows.tolist() == [2, 3]


def test_the_order_and_the_batches_of_the_pairs_do_not_matter() -> None:
    draw = random.Random(1)
    words = ["dog", "cat", "sees", "the", "old", "a", "bird"]
    pairs = [
        (" ".join(draw.choices(words, k=draw.randint(1, 9))), " ".join(draw.choices(words, k=7)))
        for _ in range(400)
    ]
    index = HeldOutIndex.build(
        [("test", [f"t:{n}" for n in range(100)], pair_texts(pairs[:100]))], CONFIG
    )
    whole = index.leaks(pair_texts(pairs))
    assert 100 < len(whole.rows) < 400
    hashes = pair_texts(pairs).source.letter_hashes
    known = index.leaks(pair_texts(pairs), source_hashes=hashes)
    assert known.of.tolist() == whole.of.tolist()
    order = draw.sample(range(400), 400)
    shuffled = index.leaks(pair_texts(pairs[n] for n in order))
    for name in ("kind", "of", "similarity"):
        assert getattr(shuffled, name).tolist() == getattr(whole, name)[order].tolist()
    for start in range(0, 400, 90):
        part = index.leaks(pair_texts(pairs[start : start + 90]))
        assert part.of.tolist() == whole.of[start : start + 90].tolist()


def test_a_saved_index_answers_as_before(tmp_path: Path) -> None:
    index = held_out()
    index.save(tmp_path / "index")
    loaded = HeldOutIndex.load(tmp_path / "index")
    texts = pair_texts([("A boy reads a thick book.", "x"), ("No", "x"), ("x", TEST[3][1]), *VALID])
    for name in ("kind", "of", "similarity"):
        expected = getattr(index.leaks(texts), name)
        assert getattr(loaded.leaks(texts), name).tolist() == expected.tolist()
    assert loaded.config == index.config
    assert [loaded.name(n) for n in range(6)] == [index.name(n) for n in range(6)]
    assert [loaded.split(n) for n in (3, 4)] == ["test", "valid"]


def test_an_index_without_pairs_finds_nothing(tmp_path: Path) -> None:
    HeldOutIndex.build([], CONFIG).save(tmp_path / "index")
    index = HeldOutIndex.load(tmp_path / "index")
    assert len(index) == 0
    assert index.leaks(pair_texts(TEST)).rows.tolist() == []
    assert held_out().leaks(pair_texts([])).rows.tolist() == []


def test_names_and_pairs_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="1 names for 4 pairs"):
        HeldOutIndex.build([("test", ["t:1"], pair_texts(TEST))], CONFIG)


@pytest.mark.parametrize("n", [0, 1, 7, 5000])
def test_a_key_table_finds_its_keys_and_no_others(n: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(n)
    keys = draw.integers(0, 2**64, n, np.uint64)
    numbers = draw.integers(0, 100, n)
    table = KeyTable.of(np.concatenate([keys, keys]), np.concatenate([numbers + 5, numbers]))
    table.save(tmp_path, "a")
    others = draw.integers(0, 2**64, 5000, np.uint64)
    for used in (table, KeyTable.load(tmp_path, "a")):
        found, of = used.find(np.concatenate([others, keys]))
        assert found.tolist() == list(range(5000, 5000 + n))
        assert of.tolist() == numbers.tolist()
