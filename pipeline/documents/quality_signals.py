"""What a translated row says of itself: numbers that need no reference translation, and how they
are spread over the rows of a run."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

_WORD = re.compile(r"[^\W\d_]+")

# Vowel signs of Indic scripts, points of Arabic and Hebrew, and the joiners between letters. (With
# those beyond the basic plane, of scripts that few write, a look takes twenty times as long.)
_MARKS = "\u200c\u200d" + "".join(
    chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M"
)

_MARK = re.compile(f"[{_MARKS}]")
_WORD_WITH_MARKS = re.compile(rf"(?:[^\W\d_]+[{_MARKS}]*)+")
_WORDS_PER_RUN = 4


def words(text: str) -> list[str]:
    """The runs of letters and their marks in a text, case aside, however they are composed."""
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if _MARK.search(text):
            return _WORD_WITH_MARKS.findall(text)
    return _WORD.findall(text)


def length_ratio(source: str, translation: str) -> float | None:
    """Characters of the translation for one of the source; None for an empty source."""
    return len(translation) / len(source) if source else None


def repetition(translated: Sequence[str]) -> float:
    """The share of a translation's runs of four words that stood in it before; 0 to 1."""
    if len(set(translated)) == len(translated):
        return 0.0  # nothing stands twice, as in most sentences
    runs = list(zip(*(islice(translated, i, None) for i in range(_WORDS_PER_RUN)), strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def copy_rate(source: Sequence[str], translated: Sequence[str]) -> float | None:
    """The share of a translation's words that the source has too; 0 to 1, None for no words."""
    known = set(source)
    return sum(map(known.__contains__, translated)) / len(translated) if translated else None
