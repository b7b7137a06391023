"""The rule about sides that are copies of each other.

Untranslated sentences are the noise that harms a model most: it learns to copy (Khayrallah and
Koehn 2018, "On the impact of various types of noise on neural machine translation").
"""

from __future__ import annotations

import re

import numpy as np

from pipeline.prepare.characters import Property
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import Rule, where_rows
from pipeline.prepare.texts import Mask, PairTexts, TextColumn

# Letters, with apostrophes, hyphens and points within.
_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*")
# Punctuation around a word.
_AROUND = re.compile(r"\A[^\w/@%{}<>$\\=-]+|[^\w/@%{}<>$\\=]+\Z")
_LETTERS_IN_WORD = 2  # of a script without spaces
_MAX_SHARP_S = 2  # that are two letters on the other side
_MAX_PARTICLE_LETTERS = 3  # of words such as `of`, `de` and `the` in names


def words_of(text: str) -> list[str]:
    """The words of a text, without names of files, options, addresses, placeholders and numbers."""
    tokens = (_AROUND.sub("", token) for token in text.split())
    return [token for token in tokens if _WORD.fullmatch(token)]


def _n_words(text: str, words: list[str]) -> int:
    """The number of words of a text. In scripts without spaces, two letters count as a word."""
    n_words = len(words)
    if text.isascii():
        return n_words
    column = TextColumn.of([text])
    return n_words + int(column.are(Property.NO_SPACES).sum()) // _LETTERS_IN_WORD


def _is_name(text: str, words: list[str]) -> bool:
    """Whether a text looks like a name: capitalised words, perhaps with `of`, `de` or `the`."""
    if text.isupper():
        return False
    n_capitalised = sum(word[0].isupper() for word in words)
    particles = [word for word in words if not word[0].isupper()]
    return len(particles) <= n_capitalised and all(
        len(word) <= _MAX_PARTICLE_LETTERS and word.islower() for word in particles
    )


def _is_copy(source: str, target: str, limit: int) -> bool:
    """Whether two texts of equal letters are a copy that teaches nothing."""
    words = words_of(source)
    if len(words) != len(words_of(target)):
        return False  # `container name` and `Containername`
    return _n_words(source, words) > limit and not _is_name(source, words)


def _copy(texts: PairTexts, config: CleanConfig) -> Mask:
    limit = -1 if config.max_copied_words is None else config.max_copied_words
    source, target = texts.source, texts.target
    n_letters = [column.count(column.are(Property.LETTER)) for column in (source, target)]
    # Copies have as many letters, perhaps in another case. A sharp s may become two letters.
    tolerance = 0 if source.is_ascii and target.is_ascii else _MAX_SHARP_S
    may_be_equal = (abs(n_letters[0] - n_letters[1]) <= tolerance) & (n_letters[0] > limit)
    rows = np.flatnonzero(may_be_equal)
    if len(rows):
        are_equal = source.take(rows).letter_hashes == target.take(rows).letter_hashes
        may_be_equal[rows[~are_equal]] = False
    return where_rows(may_be_equal, lambda row: _is_copy(source.text(row), target.text(row), limit))


def _length(source: str, target: str, config: CleanConfig) -> str:
    return f"{_n_words(source, words_of(source))} words"


COPY = Rule("copy", _copy, lambda config: config.max_copied_words is not None, _length)
