"""Near texts share a signature, and others do not."""

from __future__ import annotations

import itertools
import random
import re
import unicodedata
from collections import Counter

import numpy as np
import pytest

from pipeline.prepare.leaks_config import DuplicateKey, LeaksConfig
from pipeline.prepare.near import Signatures, duplicate_keys, near_keys, signatures, words_of
from pipeline.prepare.texts import PairTexts, TextColumn

CONFIG = LeaksConfig(min_words=3, similarity=0.75)


def pairs(*texts: tuple[str, str]) -> PairTexts:
    """A column of pairs."""
    sources, targets = ([pair[side] for pair in texts] for side in (0, 1))
    return PairTexts(TextColumn.of(sources), TextColumn.of(targets), "en", "es")


def sharing(found: Signatures) -> set[tuple[int, int]]:
    """The rows that share a hash, two by two."""
    rows_of: dict[int, set[int]] = {}
    for row, key in zip(found.rows.tolist(), found.hashes.tolist(), strict=True):
        rows_of.setdefault(key, set()).add(row)
    return {two for rows in rows_of.values() for two in itertools.combinations(sorted(rows), 2)}


def are_near(first: str, second: str, config: LeaksConfig = CONFIG) -> bool:
    """Whether two texts share a signature."""
    return bool(sharing(signatures(TextColumn.of([first, second]), config)))


def words_by_definition(text: str) -> list[str]:
    """The words of a text without scripts that do without spaces, one code point at a time."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kinds = "".join(map(kind_of, folded))
    for inside in re.finditer("(?<=w)j(?=w)", kinds):
        folded = f"{folded[: inside.start()]}\0{folded[inside.end() :]}"
    spaced = "".join(
        " " if k != "w" and c != "\0" else c for k, c in zip(kinds, folded, strict=True)
    )
    return [re.sub(r"\d+", "0", word) for word in spaced.replace("\0", "").split()]


def kind_of(character: str) -> str:
    """``w`` for a character of words, ``j`` for one that may be in a word, and a space."""
    category = unicodedata.category(character)
    if character.isalnum() or category[0] == "M":
        return "w"
    return "j" if category[0] in "PS" and character not in "–—" else " "


def near_by_definition(first: list[str], second: list[str], config: LeaksConfig) -> bool:
    """The definition of near, on lists of words."""
    if min(len(first), len(second)) < config.min_words:
        return False
    counts = Counter(first), Counter(second)
    changed = max((counts[0] - counts[1]).total(), (counts[1] - counts[0]).total())
    if changed > config.max_changed_words:
        return False
    return 1 - changed / max(len(first), len(second)) >= config.similarity - 1e-9


@pytest.mark.parametrize("similarity", [0.5, 0.75, 0.8, 0.9, 1.0])
@pytest.mark.parametrize(("min_words", "max_changed_words"), [(2, 1), (4, 1), (4, 2)])
def test_texts_share_a_signature_exactly_if_they_are_near(
    similarity: float, min_words: int, max_changed_words: int
) -> None:
    draw = random.Random(int(similarity * 100) + min_words)
    texts = [draw.choices(["a", "b", "cc", "dd", "ee"], k=draw.randint(0, 11)) for _ in range(150)]
    config = LeaksConfig(
        similarity=similarity, min_words=min_words, max_changed_words=max_changed_words
    )
    column = TextColumn.of(" ".join(words) for words in texts)
    expected = {
        two
        for two in itertools.combinations(range(len(texts)), 2)
        if near_by_definition(texts[two[0]], texts[two[1]], config)
    }
    assert sharing(signatures(column, config)) == expected
    assert expected or similarity == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "The dog sees the cat.",
        "  Zwei   Hunde, 12 Katzen -- 3,5 Mäuse!",
        "don't (stop) e-mail x2y33z 2024-01-02",
        "T-shirt and/or 1,000.50 -- a—b c–d wait...what? 'quoted' a,b a==b \"x\"y",
        "Ünïcode ﬁne Straße ΑΣ",
        "e\u0301te\u0301 नमस्ते दुनिया مَرْحَبًا ١٢٣",
        "",
        "?! ...",
        "7",
    ],
)
def test_words_are_runs_of_letters_marks_and_digits(text: str) -> None:
    words = words_by_definition(text)
    found = words_of(TextColumn.of([text, *words, "x"]))
    assert found.counts.tolist() == [len(words), *[1] * len(words), 1]
    assert found.hashes[: len(words)].tolist() == found.hashes[len(words) : -1].tolist()


def test_different_words_have_different_hashes() -> None:
    letters = ["".join(word) for n in (1, 2, 3, 4) for word in itertools.product("abcd", repeat=n)]
    assert len(set(words_of(TextColumn.of(letters)).hashes.tolist())) == len(letters)


def test_the_words_of_a_text_do_not_depend_on_the_texts_before_it() -> None:
    texts = [f"word {n} of many Wörter 我们" for n in range(300)]
    together = words_of(TextColumn.of(texts))
    alone = [words_of(TextColumn.of([text])) for text in texts]
    assert together.hashes.tolist() == [h for words in alone for h in words.hashes.tolist()]


SENTENCE = "Two dogs run over the green grass in 2023."


@pytest.mark.parametrize(
    "other",
    [
        "TWO DOGS RUN OVER THE GREEN GRASS IN 2023",
        "two dogs, run - over the «green» grass in 2023!",
        "Two dogs run over the green grass in 19.",
        "In 2023 two dogs run over the green grass",
        "the green dogs run over Two grass in 2023",
        "Two cats run over the green grass in 2023.",
        "Two dogs run over the grass in 2023.",
        "Two big dogs run over the green grass in 2023.",
        '<p class="x"><i>Two</i> dogs<br/> run over the green grass in 2023.</p>',
        "NURSE: Two dogs run over the green grass in 2023.",
        "Two dogs\u00a0run over the gr\u00adeen grass\u200b in 2023.",
        "Ｔｗｏ dogs run over the green grass in ２０２３.",
    ],
)
def test_a_sentence_with_one_change_is_near(other: str) -> None:
    assert are_near(SENTENCE, other)
    assert are_near(other, SENTENCE)


@pytest.mark.parametrize(
    "other",
    [
        "Two cats run over the red grass in 2023.",
        "Dogs over the green grass in 2023.",
        "Two dogs run over the green grass in 2023. They bark.",
        "Two dogs run over the green grass in 2023 < one > two",
        "Two two dogs run over the the green grass in 2023.",
        "",
    ],
)
def test_a_sentence_with_two_changes_is_not_near(other: str) -> None:
    assert not are_near(SENTENCE, other)


def test_short_texts_are_not_near() -> None:
    assert not are_near("A man.", "A woman.")
    assert not are_near("A man.", "A man!")
    assert are_near("A man sleeps.", "a man sleeps")
    assert not are_near("A man sleeps.", "A woman sleeps.")  # 1 - 1/3 is less than 0.75
    assert are_near("A man sleeps here.", "A woman sleeps here.")


@pytest.mark.parametrize(
    ("first", "second", "near"),
    [
        ("我们喜欢你的大房子", "我们喜欢他的大房子", True),
        ("我们喜欢你的大房子", "你的大房子 我们喜欢。", True),
        ("我们喜欢你的大房子", "我们讨厌他的大房子", False),
        ("ฉันชอบบ้านหลังใหญ่", "ฉันชอบบานหลังใหญ่", True),  # one vowel sign less
        ("私はLingoが好きです", "私はlingoが好きです。", True),
    ],
)
def test_each_letter_of_a_script_without_spaces_is_a_word(
    first: str, second: str, near: bool
) -> None:
    assert are_near(first, second, LeaksConfig()) == near


def test_a_column_without_texts_or_words_has_no_signatures() -> None:
    for texts in ([], [""], ["", "...", " "]):
        found = signatures(TextColumn.of(texts), CONFIG)
        assert len(found.rows) == len(found.hashes) == 0
        assert words_of(TextColumn.of(texts)).counts.tolist() == [0] * len(texts)


def test_pairs_with_one_changed_word_on_one_side_are_near_duplicates() -> None:
    first = ("The dog sees the old cat.", "El perro ve el gato viejo.")
    others = [
        (first[0].upper(), first[1]),
        ("The dog sees the big cat.", first[1]),
        (first[0], "El perro ve un gato viejo!"),
        ("The dog sees the big cat.", "El perro ve el gato grande."),  # both sides change
        ("The cat sees a big dog.", first[1]),
        (first[1], first[0]),
        ("The dog sees the cat.", "El perro ve el gato muy viejo."),  # shorter here, longer there
    ]
    found = sharing(near_keys(pairs(first, *others), CONFIG))
    assert {second for one, second in found if one == 0} == {1, 2, 3}


def test_short_pairs_are_near_duplicates_if_their_letters_are_equal() -> None:
    texts = pairs(("No.", "No."), ("no", "¡No!"), ("Page 1", "Hoja 1"), ("Page 2", "Hoja 2"))
    assert sharing(near_keys(texts, CONFIG)) == {(0, 1)}


def test_near_keys_name_every_pair() -> None:
    texts = pairs(("", ""), ("a b c d", "x"), ("a b c d", "x y z w"), ("?", "!"))
    assert set(near_keys(texts, CONFIG).rows.tolist()) == {0, 1, 2, 3}


SAME_TEXT = [
    "café au lait",
    "  café  au\tlait ",
    "cafe\u0301 au lait",
    "café\u00a0au lait",
    "café au\u3000\u3000lait\u00a0",
    "ca\u200bfé au\u00ad lait\ufeff",
    "\u00a0 \u200b café au lait",
]
SAME_LETTERS = ["Café au lait!", "CAFÉ-AU-LAIT", "«café» au lait..."]


@pytest.mark.parametrize("by", ["pair", "source", "target"])
def test_duplicates_differ_in_spaces_and_invisible_characters_only(by: DuplicateKey) -> None:
    texts = pairs(*((text, text) for text in [*SAME_TEXT, *SAME_LETTERS]))
    keys = duplicate_keys(texts, by).tolist()
    assert len(set(keys[: len(SAME_TEXT)])) == 1
    assert len(set(keys)) == 1 + len(SAME_LETTERS)
    assert len(set(duplicate_keys(texts, by, "letters").tolist())) == 1


@pytest.mark.parametrize(
    ("by", "expected"), [("pair", {(0, 3)}), ("source", {(0, 1), (0, 3), (1, 3)}),
                         ("target", {(0, 2), (0, 3), (2, 3)})]
)  # fmt: skip
def test_duplicates_are_found_by_pair_source_or_target(
    by: DuplicateKey, expected: set[tuple[int, int]]
) -> None:
    texts = pairs(("a", "x"), ("a", "y"), ("b", "x"), (" a", "x "), ("x", "a"))
    keys = duplicate_keys(texts, by)
    rows = np.arange(len(keys))
    assert sharing(Signatures(rows, keys, np.zeros(len(keys), np.int8))) == expected


@pytest.mark.parametrize(
    ("first", "second"), [("a b", "ab"), ("ab c", "a bc"), ("", "a"), ("a", "A")]
)
def test_texts_with_other_words_are_not_duplicates(first: str, second: str) -> None:
    keys = duplicate_keys(pairs((first, "x"), (second, "x")), "pair")
    assert keys[0] != keys[1]
