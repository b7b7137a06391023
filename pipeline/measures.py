"""What a translated row says of itself: numbers that need no reference translation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

_WORD = re.compile(r"[^\W\d_]+")
_WORDS_PER_RUN = 4


def words(text: str) -> list[str]:
    """The runs of letters of a text, case aside."""
    return _WORD.findall(text.casefold())


def length_ratio(source: str, translation: str) -> float | None:
    """Characters of the translation for one of the source; None for an empty source."""
    return len(translation) / len(source) if source else None


def repetition(translated: Sequence[str]) -> float:
    """The share of a translation's runs of four words that stood in it before; 0 to 1."""
    runs = list(zip(*(islice(translated, i, None) for i in range(_WORDS_PER_RUN)), strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def copy_rate(source: Sequence[str], translated: Sequence[str]) -> float | None:
    """The share of a translation's words that the source has too; 0 to 1, None for no words."""
    known = set(source)
    return sum(word in known for word in translated) / len(translated) if translated else None
