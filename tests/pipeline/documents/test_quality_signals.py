"""What a row says of its translation: numbers worked by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.documents.quality_signals import copy_rate, length_ratio, repetition, words
from pipeline.table.distributions import RANGES, DistributionBuilder


def test_words_are_runs_of_letters_case_aside() -> None:
    assert words("Don't EAT 3 Straßen_x, 犬!") == ["don", "t", "eat", "strassen", "x", "犬"]


def test_words_keep_their_marks_however_they_are_composed() -> None:
    assert words("मेरा नाम राहुल है") == ["मेरा", "नाम", "राहुल", "है"]
    assert words("می\u200cخواهم") == ["می\u200cخواهم"]
    assert words("Cafe\u0301") == words("Café") == ["café"]


def test_length_ratio() -> None:
    assert length_ratio("four", "sixsix") == 1.5
    assert length_ratio("", "x") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c d e", 0.0),
        ("a b c", 0.0),  # no run of four
        ("", 0.0),
        ("a a a a a", 0.5),  # two runs of four, the second as the first
        ("a b a b a b a b", 0.6),  # abab baba abab baba abab: three of five stood before
    ],
)
def test_repetition(text: str, expected: float) -> None:
    assert repetition(text.split()) == pytest.approx(expected)


def test_copy_rate() -> None:
    assert copy_rate(["the", "cat"], ["die", "cat", "cat", "da"]) == 0.5
    assert copy_rate([], ["da"]) == 0.0
    assert copy_rate(["the"], []) is None


def measured(**values: list[float | None]) -> pa.Table:
    n_rows = len(next(iter(values.values())))
    columns = {name: values.get(name, [None] * n_rows) for name in RANGES}
    return pa.table({name: pa.array(column, pa.float64()) for name, column in columns.items()})


def test_distributions_over_tables() -> None:
    tally = DistributionBuilder()
    tally.add(measured(repetition=[0.0, 0.01, None, 1.0], length_ratio=[1.0, 2.0, 50.0, None]))
    tally.add(measured(repetition=[0.5]))
    found = tally.distributions()
    assert set(found) == {"repetition", "length_ratio"}  # the others have no values
    repetition = found["repetition"]
    assert (repetition.n_rows, repetition.least, repetition.most) == (4, 0.0, 1.0)
    assert repetition.mean == pytest.approx(1.51 / 4)
    # Fifty bins of 0.02: two in the first, one in the middle, one in the last.
    assert {i: n for i, n in enumerate(repetition.counts) if n} == {0: 2, 25: 1, 49: 1}
    ratio = found["length_ratio"]
    assert (ratio.most, ratio.counts[49], sum(ratio.counts)) == (50.0, 1, 3)  # beyond, in the last
