"""TextColumn: what NumPy finds in all texts at once is what Python finds in each of them."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingo_model.unicode_text import without_ignorable
from pipeline.prepare.characters import Property, properties_of
from pipeline.prepare.texts import TextColumn, hash_segments
from tests.pipeline.prepare.normalised import normalise

# Letters that fold to several, that compose, that are ignorable, and that have no spaces.
_ODD = (
    "aAß½ﬁİı１Å\u0301\u00ad\u200b\u0345 \u3000.-中がｶﾞ한\u1112\u1161\u11ab\U0001f600👩‍💻\ufe0fनमस्ते"
)
_TEXTS = st.lists(
    st.text(
        st.sampled_from(_ODD) | st.characters(exclude_characters="\0", codec="utf-8"), max_size=12
    )
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(_TEXTS)
def test_a_column_gives_back_its_texts(texts: list[str]) -> None:
    column = TextColumn.of(texts)
    assert len(column) == len(texts)
    assert column.to_list() == texts
    assert column.to_arrow().to_pylist() == texts
    assert TextColumn.from_arrow(column.to_arrow()).to_list() == texts
    assert column.n_characters.tolist() == list(map(len, texts))


@settings(derandomize=True, max_examples=500, deadline=None)
@given(_TEXTS)
def test_texts_are_folded_as_each_by_itself(texts: list[str]) -> None:
    expected = [without_ignorable(unicodedata.normalize("NFKC", text).casefold()) for text in texts]
    assert TextColumn.of(texts).folded.to_list() == expected


@settings(derandomize=True, max_examples=500, deadline=None)
@given(_TEXTS)
def test_texts_have_one_letter_hash_if_they_are_normalised_to_one_text(texts: list[str]) -> None:
    hashes = TextColumn.of(texts).letter_hashes.tolist()
    normalised = list(map(normalise, texts))
    assert len(set(hashes)) == len(set(normalised))
    assert len(set(zip(hashes, normalised, strict=True))) == len(set(normalised))
    assert all((value == 0) == (text == "") for value, text in zip(hashes, normalised, strict=True))


def test_the_hash_of_a_text_does_not_depend_on_its_neighbours() -> None:
    alone = TextColumn.of(["Zwei Hunde."]).letter_hashes[0]
    among = TextColumn.of(["", "ß" * 9000, "zwei  hunde", "", "x"]).letter_hashes[2]
    assert alone == among


def test_hashes_depend_on_the_order_of_letters_and_on_the_length() -> None:
    hashes = TextColumn.of(["ab", "ba", "a", "aa", "aaa", ""]).letter_hashes.tolist()
    assert len(set(hashes)) == 6


def test_hashes_stay_the_same_between_releases() -> None:
    """Datasets are partitioned by these hashes, so other hashes give other datasets."""
    assert TextColumn.of(["Zwei Hunde spielen."]).letter_hashes.tolist() == [5838597779097109068]


def test_empty_segments_have_the_hash_0() -> None:
    codes = np.array([7, 8], np.uint32)
    hashes = hash_segments(codes, [0, 1, 0, 1, 0])
    assert (hashes == 0).tolist() == [True, False, True, False, True]


def test_runs_do_not_cross_texts() -> None:
    column = TextColumn.of(["ab 12", "3", "", "x4y56"])
    runs = column.runs(column.are(Property.DIGIT))
    found = [
        "".join(map(chr, column.codes[a:b])) for a, b in zip(runs.starts, runs.ends, strict=True)
    ]
    assert found == ["12", "3", "4", "56"]
    assert runs.rows.tolist() == [0, 1, 3, 3]
    assert runs.lengths.tolist() == [2, 1, 1, 2]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(_TEXTS)
def test_words_are_those_of_split(texts: list[str]) -> None:
    column = TextColumn.of(texts)
    words = column.words
    spans = zip(words.starts.tolist(), words.ends.tolist(), words.rows.tolist(), strict=True)
    found = [(row, column.joined[start:end]) for start, end, row in spans]
    assert found == [(row, word) for row, text in enumerate(texts) for word in text.split()]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.text("ab\u00e9", max_size=9), max_size=4), st.integers(1, 9))
def test_runs_of_a_length_are_within_texts(texts: list[str], length: int) -> None:
    column = TextColumn.of(texts)
    is_a = column.codes == ord("a")
    assert column.have_runs(is_a, length).tolist() == ["a" * length in text for text in texts]
    assert column.contain("ab").tolist() == ["ab" in text for text in texts]


def test_some_texts_are_replaced() -> None:
    column = TextColumn.of(["a", "b", "c"])
    assert column.with_texts({0: "", 2: "cc"}).to_list() == ["", "b", "cc"]
    assert column.with_texts({}) is column
    assert [column.text(row) for row in range(3)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("flag", "members"),
    [
        (Property.LINE_BREAK, "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"),
        (Property.LEAD_BYTE, "".join(map(chr, range(0xC2, 0xF5)))),
        (Property.AMPERSAND, "&"),
        (Property.LESS_THAN, "<"),
        (Property.AT_SIGN, "@"),
        (Property.PLACEHOLDER_MARK, "$%{"),
    ],
)
def test_marks_that_rules_look_for(flag: Property, members: str) -> None:
    codes = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    found = codes[(properties_of(codes) & np.uint32(flag)) != 0]
    assert "".join(map(chr, found.tolist())) == members


def test_wide_letters() -> None:
    column = TextColumn.of(["aé犬あア한Ａ。ｱ😀"])
    assert [chr(code) for code in column.codes[column.are(Property.WIDE)]] == list("犬あア한Ａ")


def test_counts_are_by_text() -> None:
    column = TextColumn.of(["A1b2", "", "123", "é"])
    assert column.count(column.are(Property.DIGIT)).tolist() == [2, 0, 3, 0]
    assert column.have(Property.LETTER).tolist() == [True, False, False, True]
    assert TextColumn.of([]).count(np.zeros(0, np.bool_)).tolist() == []


def test_only_chosen_texts_are_changed() -> None:
    column = TextColumn.of(["a", "b", "c"])
    assert column.changed(np.array([True, False, True]), str.upper).to_list() == ["A", "b", "C"]
    assert column.changed(np.zeros(3, np.bool_), str.upper) is column
    assert column.take(np.array([2, 0])).to_list() == ["c", "a"]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (Property.WORD, lambda c: c.isalnum() or unicodedata.category(c)[0] == "M"),
        (Property.SPACE, str.isspace),
        (Property.DIGIT, lambda c: unicodedata.category(c) == "Nd"),
        (Property.IGNORABLE, lambda c: not without_ignorable(c)),
        (Property.LETTER, lambda c: unicodedata.category(c)[0] == "L"),
    ],
)
def test_properties_are_those_of_each_code_point(flag: Property, expected: object) -> None:
    codes = np.array([*range(1, 0xD800), *range(0xE000, sys.maxunicode + 1)], np.uint32)
    wanted = [bool(expected(chr(code))) for code in codes.tolist()]  # type: ignore[operator]
    assert np.array_equal((properties_of(codes) & np.uint32(flag)) != 0, wanted)
