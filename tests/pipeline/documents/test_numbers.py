"""Numbers are compared whatever language formats them."""

from __future__ import annotations

import pytest

from pipeline.documents.numbers import has_number, same_numbers


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1,000.50", "1.000,50"),
        ("1,000.50", "1 000,50"),
        ("1,000.50", "1\u202f000,50"),
        ("1,000.50", "1000.5"),
        ("1'234'567", "1,234,567"),
        ("12,34,567.8", "1.234.567,8"),
        ("1,000", "1.000"),
        ("3.5", "3,5"),
        ("0.500", "0,5"),
        ("007", "7"),
        ("-5 °C", "−5 °C"),
        ("2024-01-02", "02.01.2024"),
        ("1/2/2024", "2.1.2024"),
        ("10:30", "10.30"),
        ("at 9, 12 and 3", "a las 3, 9 y 12"),
        ("٣٫٥ and １２", "3.5 12"),
        ("192.168.1.10", "192.168.1.10"),
        ("no number", "kein"),
        ("{0} of 5.", "5 von {0}"),
        ("x²", "x²"),
    ],
)
def test_equal_numbers(first: str, second: str) -> None:
    assert same_numbers(first, second)
    assert same_numbers(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1,000.50", "1,000.05"),
        ("1.5", "15"),
        ("1.5", "5.1.0"),
        ("-5", "5"),
        ("3 and 3", "3"),
        ("12", "21"),
        ("2024-01-02", "2024-01-03"),
        ("7", "seven"),
        ("none", "1"),
        ("1,000", "100"),
    ],
)
def test_different_numbers(first: str, second: str) -> None:
    assert not same_numbers(first, second)
    assert not same_numbers(second, first)


def test_a_digit_of_any_script_is_a_number() -> None:
    assert [has_number(text) for text in ("a5", "٣", "x²", "five", "")] == [
        *(True, True, False, False, False)
    ]
