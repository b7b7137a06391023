"""What a translated row says of itself: numbers that need no reference translation, and how they
are spread over the rows of a run."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from pipeline.settings import Settings

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


RANGES = {
    "score": (-5.0, 0.0),
    "length_ratio": (0.0, 3.0),
    "repetition": (0.0, 1.0),
    "copy_rate": (0.0, 1.0),
    "unknown_rate": (0.0, 1.0),
}
"""The measures whose distribution a run records, and the range of its bins."""

_N_BINS = 50


class Distribution(Settings):
    """How a measure is spread over rows: their number, mean and extremes, and counts in bins of
    equal width from ``low`` to ``high``, where what lies beyond is in the outermost."""

    n_rows: int
    mean: float
    least: float
    most: float
    low: float
    high: float
    counts: tuple[int, ...]


class Tally:
    """Gathers the distributions of the measures, a table at a time."""

    def __init__(self) -> None:
        self._counts = {name: np.zeros(_N_BINS, np.int64) for name in RANGES}
        self._sums = dict.fromkeys(RANGES, 0.0)
        self._least = dict.fromkeys(RANGES, np.inf)
        self._most = dict.fromkeys(RANGES, -np.inf)

    def add(self, table: pa.Table) -> None:
        """Take in a table with a column of each measure; nulls do not count."""
        for name, (low, high) in RANGES.items():
            values = table[name].drop_null().to_numpy()
            if len(values):
                inside = np.clip(values, low, high)
                self._counts[name] += np.histogram(inside, _N_BINS, (low, high))[0]
                self._sums[name] += float(values.sum())
                self._least[name] = min(self._least[name], float(values.min()))
                self._most[name] = max(self._most[name], float(values.max()))

    def distributions(self) -> dict[str, Distribution]:
        """Of each measure that any row had."""
        found = {}
        for name, (low, high) in RANGES.items():
            n_rows = int(self._counts[name].sum())
            if n_rows:
                found[name] = Distribution(
                    n_rows=n_rows,
                    mean=self._sums[name] / n_rows,
                    least=float(self._least[name]),
                    most=float(self._most[name]),
                    low=low,
                    high=high,
                    counts=tuple(self._counts[name].tolist()),
                )
        return found
