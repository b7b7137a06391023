"""What a row says of its translation: numbers worked by hand."""

from __future__ import annotations

import pytest

from pipeline.measures import copy_rate, length_ratio, repetition, words


def test_words_are_runs_of_letters_case_aside() -> None:
    assert words("Don't EAT 3 Straßen_x, 犬!") == ["don", "t", "eat", "strassen", "x", "犬"]


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
