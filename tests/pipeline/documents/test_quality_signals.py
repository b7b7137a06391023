"""Quality signals, computed by hand."""

from __future__ import annotations

import pytest

from pipeline.documents.quality_signals import (
    copy_rate,
    length_ratio,
    numbers_ok,
    repetition,
    words,
)


def test_words_are_case_folded_runs_of_letters() -> None:
    assert words("Don't EAT 3 Straßen_x, 犬!") == ["don", "t", "eat", "strassen", "x", "犬"]


def test_words_keep_their_combining_marks() -> None:
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
        ("a b c", 0.0),  # fewer than four words
        ("", 0.0),
        ("a a a a a", 0.5),  # two equal 4-grams
        ("a b a b a b a b", 0.6),  # abab baba abab baba abab: three of five repeat
    ],
)
def test_repetition(text: str, expected: float) -> None:
    assert repetition(text.split()) == pytest.approx(expected)


def test_copy_rate() -> None:
    assert copy_rate(["the", "cat"], ["die", "cat", "cat", "da"]) == 0.5
    assert copy_rate([], ["da"]) == 0.0
    assert copy_rate(["the"], []) is None


def test_numbers_ok() -> None:
    assert numbers_ok("It costs 1,000.50 on 3 days.", "In 3 Tagen 1.000,50.") is True
    assert numbers_ok("It costs 1,000.50.", "Es kostet 1.000.") is False
    assert numbers_ok("It costs 5.", "Es kostet fünf.") is False
    assert numbers_ok("It costs.", "Es kostet 5.") is None
