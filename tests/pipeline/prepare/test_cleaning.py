"""Cleaning: a pair at a limit is kept, and a pair beyond it is rejected."""

from __future__ import annotations

import unicodedata

import pytest
from pydantic import ValidationError

from lingo_model import InputError
from pipeline.dataset.splits import Split
from pipeline.prepare.cleaning import cleaned_texts, reason_to_reject
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.pairs import RawPair

CONFIG = CleanConfig(max_characters=40, max_length_ratio=2.5, ratio_min_characters=10)


def pair(source: str | None, target: str | None, problem: str | None = None) -> RawPair:
    """A pair as read."""
    return RawPair(source, target, "x:1", problem, {})


def reason(source: str | None, target: str | None, problem: str | None = None) -> str | None:
    """The reason under CONFIG, which must be the same if the sides are exchanged."""
    reason = reason_to_reject(pair(source, target, problem), CONFIG)
    assert reason_to_reject(pair(target, source, problem), CONFIG) == reason
    return reason


def test_a_good_pair_is_kept() -> None:
    assert reason("good morning", "buenos días") is None


@pytest.mark.parametrize("problem", ["undecodable", "malformed"])
def test_a_problem_in_reading_comes_first(problem: str) -> None:
    assert reason("good", "bueno", problem) == problem
    assert reason(None, "", problem) == problem
    assert reason("a" * 99, "b", problem) == problem


@pytest.mark.parametrize(
    "nothing",
    [
        *(None, "", " ", "\t\r\n", "\u00a0\u2028\u3000"),
        *("\u200b", "\ufeff", "\u200e \u200f", "\u200c\u200d", "\u00ad", "\u2060", "\ufe0f"),
        *("\x00", "\x07\x1b", "\ufffd", "\ufffd\u200b\ufffd", "\uffff", "\u0378", "\u2066\u2069"),
        "\u2581 \u2581",
    ],
)
def test_an_empty_side(nothing: str | None) -> None:
    assert reason(nothing, "algo") == "empty"
    assert reason(nothing, nothing) == "empty"
    assert reason(nothing, "a" * 99) == "empty"
    assert reason(".", "a") is None


def test_too_long() -> None:
    assert reason("a" * 40, "b" * 40) is None
    assert reason("a" * 41, "b" * 40) == "too_long"
    assert reason("a" * 41, "b") == "too_long"  # before ratio


def test_lengths_are_in_characters() -> None:
    assert reason("año" * 13, "😀" * 40) is None  # 40 characters of 4 bytes
    assert reason("año" * 13, "😀" * 41) == "too_long"


def test_surrounding_space_does_not_count() -> None:
    spaced = "  " + "a" * 40 + "\r\n"
    assert reason(spaced, "b" * 40) is None
    assert cleaned_texts(pair(spaced, None)) == ("a" * 40, "")


def test_ratio() -> None:
    assert reason("a" * 8, "b" * 20) is None  # 20 = 2.5 * 8
    assert reason("a" * 8, "b" * 21) == "ratio"
    assert reason("a" * 4, "b" * 10) is None
    assert reason("a" * 4, "b" * 11) == "ratio"


def test_the_ratio_of_short_texts_does_not_count() -> None:
    assert reason("a", "b" * 9) is None  # both shorter than 10 characters
    assert reason("a", "b" * 10) == "ratio"


def test_the_defaults() -> None:
    config = CleanConfig()
    assert reason_to_reject(pair("a" * 1000, "b" * 1000), config) is None
    assert reason_to_reject(pair("a" * 1001, "b" * 1000), config) == "too_long"
    assert reason_to_reject(pair("a" * 20, "b" * 100), config) is None
    assert reason_to_reject(pair("a" * 20, "b" * 101), config) == "ratio"
    assert reason_to_reject(pair("a", "b" * 19), config) is None
    assert reason_to_reject(pair("a", "b" * 20), config) == "ratio"


@pytest.mark.parametrize(
    "values", [{"max_characters": 0}, {"max_length_ratio": 0.9}, {"ratio_min_characters": -1}]
)
def test_limits_that_nothing_could_meet_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CleanConfig.model_validate(values)


@pytest.mark.parametrize(
    ("source", "target"), [("", "x"), (None, None), ("a" * 99, "b"), ("a", "b" * 39)]
)
@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_given_file_is_kept_whole(source: str | None, target: str | None, split: Split) -> None:
    assert reason_to_reject(pair(source, target), CONFIG, split) is None
    assert reason_to_reject(pair(source, target), CONFIG, "train") is not None


@pytest.mark.parametrize("problem", ["undecodable", "malformed"])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_row_of_a_given_file_that_cannot_be_read_is_an_error(problem: str, split: Split) -> None:
    with pytest.raises(InputError, match=f"^x:1: the row is {problem}, and a given {split} file"):
        reason_to_reject(pair("good", "bueno", problem), CONFIG, split)


@pytest.mark.parametrize("text", ["café", "Ελλάδα", "한국어", "ñandú Ångström"])
def test_both_normal_forms_become_the_same_pair(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    assert cleaned_texts(pair(f" {decomposed} ", decomposed)) == (text, text)


def test_the_error_says_where_the_row_is_and_why_it_cannot_be_read() -> None:
    row = RawPair("a", None, "x.csv:6", "malformed", {}, detail="1 cell, the header has 2", line=9)
    with pytest.raises(InputError) as error:
        reason_to_reject(row, CONFIG, "test")
    assert str(error.value) == (
        "x.csv:6 (line 9 of the file): the row is malformed (1 cell, the header has 2), and a "
        "given test file is used whole; mend the row, or take the row out of the file"
    )
