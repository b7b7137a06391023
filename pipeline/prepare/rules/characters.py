"""Rules about the characters of a side: letters, and characters and words that repeat."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pipeline.prepare.characters import Property
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.copies import words_of
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts, TextColumn

_LETTERS = Property.LETTER | Property.MARK
# Characters that make rules, the leaders of tables of contents, and templates such as `XXXXXXXX`.
_LEADERS = np.array(sorted(map(ord, ".…·-–—_=*~#+/\\|─━═•?xXHNfF")), np.uint32)
_MAX_WORDS_IN_UNIT = 4  # what repeats has one to so many words


def _letter_shares(column: TextColumn) -> npt.NDArray[np.float64]:
    """The share of letters and marks among the visible characters of each text.

    A wide letter counts as two.
    """
    n_letters = column.count(column.are(_LETTERS))
    n_visible = column.n_characters - column.count(column.are(Property.SPACE))
    if not column.is_ascii:
        n_wide = column.count(column.are(Property.WIDE))
        n_letters, n_visible = n_letters + n_wide, n_visible + n_wide
    shares: npt.NDArray[np.float64] = n_letters / np.maximum(n_visible, 1)
    return shares


def _few_letters(texts: PairTexts, config: CleanConfig) -> Mask:
    rows = np.zeros(len(texts), np.bool_)
    for column in (texts.source, texts.target):
        is_long = column.n_characters >= config.letters_min_characters
        rows |= is_long & (_letter_shares(column) < (config.min_letter_share or 0.0))
    return rows


def _shares(source: str, target: str, config: CleanConfig) -> str:
    source_share, target_share = _letter_shares(TextColumn.of([source, target]))
    return f"{source_share:.0%} and {target_share:.0%} letters"


def _repeated_characters(texts: PairTexts, config: CleanConfig) -> Mask:
    limit = config.max_repeated_characters or 1
    rows = np.zeros(len(texts), np.bool_)
    with_leaders: list[Mask] = []
    for column in (texts.source, texts.target):
        repeats = np.zeros(len(column.codes), np.bool_)
        repeats[1:] = column.codes[1:] == column.codes[:-1]
        repeats &= ~column.are(Property.DIGIT | Property.SPACE)
        repeats[column.ends] = False
        with_run = column.have_runs(repeats, limit)
        with_leader = np.zeros(len(texts), np.bool_)
        if with_run.any():
            is_leader = np.isin(column.codes, _LEADERS)
            with_leader = column.have_runs(repeats & is_leader, limit)
            rows |= column.have_runs(repeats & ~is_leader, limit)
        with_leaders.append(with_leader)
    return rows | (with_leaders[0] ^ with_leaders[1])


def _longest_repetition(source: str, target: str, config: CleanConfig) -> str:
    runs = (
        (sum(1 for _ in run), character)
        for text in (source, target)
        for character, run in itertools.groupby(text)
        if not character.isdigit() and not character.isspace()
    )
    length, character = max(runs, default=(0, ""))
    return f"{character!r} {length} times"


def _repeated_words(texts: PairTexts, config: CleanConfig) -> Mask:
    limit = config.max_repeated_words or 1
    rows = np.zeros(len(texts), np.bool_)
    for column in (texts.source, texts.target):
        candidates = np.flatnonzero(_rows_with_similar_words(column, limit))
        rows[[row for row in candidates.tolist() if _repetition(column.text(row), limit)]] = True
    return rows


def _rows_with_similar_words(column: TextColumn, limit: int) -> Mask:
    """The rows where some words repeat more than ``limit`` times, or seem to.

    Words are compared by their lengths, their first and their last two characters.
    """
    words = column.words
    rows = np.zeros(len(column), np.bool_)
    if not len(words.starts):
        return rows
    codes = column.codes.view(np.int32)
    keys = words.rows * 64 + words.lengths
    for places in (words.starts, words.ends - 1, np.maximum(words.starts, words.ends - 2)):
        keys *= 8191
        keys += codes[places]
    for n_words in range(1, _MAX_WORDS_IN_UNIT + 1):
        runs = keys[n_words:] == keys[:-n_words]
        known, length = 1, n_words * limit
        while known < length and len(runs):
            step = min(known, length - known)
            runs = runs[:-step] & runs[step:]
            known += step
        rows[words.rows[np.flatnonzero(runs)]] = True
    return rows


def _repetition(text: str, limit: int) -> str:
    """The words that repeat more than ``limit`` times in a row, or an empty text."""
    words = text.split()
    for n_words in range(1, _MAX_WORDS_IN_UNIT + 1):
        n_equal = 0
        for position in range(n_words, len(words)):
            n_equal = n_equal + 1 if words[position] == words[position - n_words] else 0
            if n_equal >= n_words * limit:
                unit = " ".join(words[position - n_words + 1 : position + 1])
                if words_of(unit):
                    return unit
    return ""


def _repeated_unit(source: str, target: str, config: CleanConfig) -> str:
    limit = config.max_repeated_words or 1
    return repr(_repetition(source, limit) or _repetition(target, limit))


FEW_LETTERS = Rule(
    "few_letters", _few_letters, lambda config: config.min_letter_share is not None, _shares
)
REPEATED_CHARACTERS = Rule(
    "repeated_characters",
    _repeated_characters,
    lambda config: config.max_repeated_characters is not None,
    _longest_repetition,
)
REPEATED_WORDS = Rule(
    "repeated_words",
    _repeated_words,
    lambda config: config.max_repeated_words is not None,
    _repeated_unit,
)
