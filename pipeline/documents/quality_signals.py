"""Quality signals of a translation: numbers that need no reference translation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

from pipeline.documents.numbers import has_number, same_numbers

_WORD = re.compile(r"[^\W\d_]+")

# Combining marks (vowel signs of Indic scripts, points of Arabic and Hebrew) and the joiners
# between letters. Marks beyond the basic plane belong to rare scripts and are left out, because
# with them the search takes twenty times as long.
_MARKS = "\u200c\u200d" + "".join(
    chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c))[0] == "M"
)

_MARK = re.compile(f"[{_MARKS}]")
_WORD_WITH_MARKS = re.compile(rf"(?:[^\W\d_]+[{_MARKS}]*)+")
_NGRAM_ORDER = 4


def words(text: str) -> list[str]:
    """The words of a text: runs of letters with their combining marks.

    Words are case-folded and in Unicode normalisation form C, so that equal words compare equal.
    """
    text = text.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if _MARK.search(text):
            return _WORD_WITH_MARKS.findall(text)
    return _WORD.findall(text)


def length_ratio(source: str, translation: str) -> float | None:
    """Length of the translation divided by that of the source, in characters; None if the source is
    empty."""
    return len(translation) / len(source) if source else None


def repetition(translated: Sequence[str]) -> float:
    """The share of a translation's 4-grams that repeat an earlier one; 0 to 1.

    Args:
        translated: the words of the translation.
    """
    if len(set(translated)) == len(translated):
        return 0.0  # no word is repeated, as in most sentences
    ngrams = list(zip(*(islice(translated, i, None) for i in range(_NGRAM_ORDER)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def copy_rate(source: Sequence[str], translated: Sequence[str]) -> float | None:
    """The share of a translation's words that are also in the source; 0 to 1.

    Args:
        source: the words of the source.
        translated: the words of the translation.

    Returns:
        the share, or None for a translation without words.
    """
    source_words = set(source)
    if not translated:
        return None
    return sum(map(source_words.__contains__, translated)) / len(translated)


def numbers_ok(source: str, translation: str) -> bool | None:
    """Whether a translation has the numbers of its source, in any format; None if the source has
    none."""
    return same_numbers(source, translation) if has_number(source) else None
