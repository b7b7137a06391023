"""The numbers of a text, whatever language formats them."""

from __future__ import annotations

import re
import unicodedata

# Marks between the digits of a number, its groups or its decimals.
_SEPARATORS = ".,'’·٫٬\u00a0\u202f\u2009"
_MINUS = "-−"
_NUMBER = re.compile(
    rf"(?:(?<![\w.,)])[{_MINUS}])?(?:\d{{1,3}}(?: \d{{3}}(?!\d))+|\d+)(?:[{_SEPARATORS}]\d+)*"
)
_DIGITS = re.compile(r"\d+")
# Groups of three digits, or of two before the last three as in India, with one kind of separator.
_GROUPED = re.compile(r"\d{1,3}(?:(?P<mark>\D)\d{3})(?:(?P=mark)\d{3})*|\d{1,2}(?:,\d\d)+,\d{3}")
_OTHER_DIGIT = re.compile(r"[^\D0-9]")


def same_numbers(first: str, second: str) -> bool:
    """Whether two texts have the same numbers, each as often.

    ``1,000.50``, ``1.000,50`` and ``1 000,50`` are one number. ``10:30`` and ``10.30`` have the
    same digits, and so have ``2024-01-02`` and ``02.01.2024``. A lone separator before three digits
    separates a group, unless the number begins with 0.
    """
    if not has_number(first) and not has_number(second):
        return True
    numbers = [numbers_of(text) for text in (first, second)]
    if sorted(numbers[0]) == sorted(numbers[1]):
        return True
    n_negative = [sum(number.startswith("-") for number in of_text) for of_text in numbers]
    return n_negative[0] == n_negative[1] and digit_runs_of(first) == digit_runs_of(second)


def has_number(text: str) -> bool:
    """Whether a text has a digit."""
    return _DIGITS.search(text) is not None


def numbers_of(text: str) -> list[str]:
    """The numbers of a text in one form: without groups, with a point before the decimals."""
    numbers: list[str] = []
    for match in _NUMBER.finditer(_with_ascii_digits(text)):
        sign = "-" if match[0][0] in _MINUS else ""
        first, *others = _plain(match[0].lstrip(_MINUS))
        numbers += [sign + first, *others]
    return numbers


def digit_runs_of(text: str) -> list[str]:
    """The runs of digits of a text, sorted, as ASCII digits without zeros before them."""
    return sorted(run.lstrip("0") for run in _DIGITS.findall(_with_ascii_digits(text)))


def _with_ascii_digits(text: str) -> str:
    if text.isascii():
        return text
    return _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)


def _plain(number: str) -> list[str]:
    """A number without a sign; or the numbers of a date such as 02.01.2024."""
    whole, decimals = number, ""
    if number.startswith("0") or not _GROUPED.fullmatch(number):
        *_, last = (-1, *(i for i, c in enumerate(number) if not c.isdigit()))
        if last >= 0:
            whole, decimals = number[:last], number[last + 1 :].rstrip("0")
    if whole.isdigit() or _GROUPED.fullmatch(whole):
        digits = "".join(_DIGITS.findall(whole)).lstrip("0") or "0"
        return [f"{digits}.{decimals}" if decimals else digits]
    return [run.lstrip("0") or "0" for run in _DIGITS.findall(number)]
