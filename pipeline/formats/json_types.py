"""Finds the values of a JSON file that no column type can hold together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.formats.rows import Row

_MAX_INT64 = 2**63 - 1
_MIN_INT64 = -(2**63)
_MAX_EXACT_INTEGER = 2**53
_MAX_TEXT_CHARACTERS = 40


def type_conflict(rows: Iterable[Row]) -> str | None:
    """The first key that has values of two types, or an integer that is too large.

    Args:
        rows: the rows of the file.

    Returns:
        the key, both types, and the lines of the values; None if there is no such key.
    """
    first_places: dict[tuple[str, str], str] = {}
    kinds: dict[str, str] = {}
    large: dict[str, str] = {}
    fractions: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        place = f"row {number}" if row.line is None else f"line {row.line}"
        for key, value in _values(row.values):
            kind = _kind(value)
            known = kinds.setdefault(key, kind)
            if known != kind:
                return (
                    f"key {key!r} is {known} in {first_places[key, known]} and {kind} in {place}: "
                    f"{_shortened(value)}"
                )
            first_places.setdefault((key, kind), place)
            if isinstance(value, int) and not _MIN_INT64 <= value <= _MAX_INT64:
                return f"key {key!r} has the number {value} in {place}, which has more than 64 bits"
            if isinstance(value, int) and abs(value) > _MAX_EXACT_INTEGER:
                large.setdefault(key, f"{value} in {place}")
            elif isinstance(value, float):
                fractions.setdefault(key, f"{value} in {place}")
            if key in large and key in fractions:
                return (
                    f"key {key!r} has {large[key]} and {fractions[key]}, and no type holds both "
                    "exactly"
                )
    return None


def _values(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is not null, with its key. The keys of inner objects follow a dot."""
    for key, value in values.items():
        yield from _inner_values(f"{prefix}{key}", value)


def _inner_values(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if value is None:
        return
    yield key, value
    if isinstance(value, dict):
        yield from _values(value, f"{key}.")
    elif isinstance(value, list):
        for element in value:
            yield from _inner_values(f"{key}[]", element)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT_CHARACTERS else f"{text[:_MAX_TEXT_CHARACTERS]}..."
