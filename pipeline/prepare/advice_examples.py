"""Rows that the advice on the cleaning rules shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

_MAX_SHOWN_CHARACTERS = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A row that a rule drops.

    Args:
        origin: its input and its number, such as ``train.tsv:7``.
        source: the source, repaired.
        target: the target, repaired.
        detail: what is wrong with it.
    """

    origin: str
    source: str
    target: str
    detail: str

    def lines(self) -> Iterator[str]:
        """The row as lines of text."""
        yield f"    {self.origin} ({self.detail})"
        yield f"        {_shortened(self.source)}"
        yield f"        {_shortened(self.target)}"


def _shortened(text: str) -> str:
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[: _MAX_SHOWN_CHARACTERS - 1]}…"
