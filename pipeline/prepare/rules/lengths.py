"""Rules about lengths: empty, too short and too long sides, long words, unequal lengths."""

from __future__ import annotations

import numpy as np

from lingo_model.unicode_text import has_visible_character
from pipeline.prepare.characters import Property
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import Rule, where_rows
from pipeline.prepare.texts import Counts, Mask, PairTexts, TextColumn

# SentencePiece reads this character as a space, so a text of nothing else has no subwords.
_SPACE_MARK = "\u2581"
# Texts with a letter or a digit are not empty. No rule needs to look at their other characters.
_VISIBLE = Property.LETTER | Property.DIGIT


def _is_empty(text: str) -> bool:
    return not has_visible_character(text.replace(_SPACE_MARK, " "))


def _empty_rows(column: TextColumn) -> Mask:
    return where_rows(~column.have(_VISIBLE), lambda row: _is_empty(column.text(row)))


def _empty(texts: PairTexts, config: CleanConfig) -> Mask:
    return _empty_rows(texts.source) | _empty_rows(texts.target)


def word_counts(column: TextColumn) -> Counts:
    """The number of words of each text.

    A word is a run of characters without spaces. In scripts without spaces between words, each
    letter counts as a word.
    """
    words = column.words
    counts = np.bincount(words.rows, minlength=len(column)).astype(np.int32)
    if column.have(Property.NO_SPACES).any():
        unspaced = column.are(Property.NO_SPACES)
        unspaced[words.starts] = False  # the word's first letter counts already
        counts += column.count(unspaced)
    return counts


def _too_short(texts: PairTexts, config: CleanConfig) -> Mask:
    rows = np.minimum(texts.source.n_characters, texts.target.n_characters) < config.min_characters
    if config.min_words > 1:
        rows |= word_counts(texts.source) < config.min_words
        rows |= word_counts(texts.target) < config.min_words
    return rows


def _too_long(texts: PairTexts, config: CleanConfig) -> Mask:
    rows = np.zeros(len(texts), np.bool_)
    for column in (texts.source, texts.target):
        if config.max_characters is not None:
            rows |= column.n_characters > config.max_characters
        if config.max_words is not None:
            rows |= word_counts(column) > config.max_words
    return rows


def _long_word(texts: PairTexts, config: CleanConfig) -> Mask:
    limit = config.max_word_characters or 0
    rows = np.zeros(len(texts), np.bool_)
    for column in (texts.source, texts.target):
        if column.n_characters.max(initial=0) <= limit:
            continue
        in_word = column.are(Property.WORD)
        if not column.is_ascii:
            in_word &= ~column.are(Property.NO_SPACES)
        rows |= column.have_runs(in_word, limit + 1)
    return rows


def widths_of(column: TextColumn) -> Counts:
    """The width of each text: its length, in which a wide letter counts as two.

    Chinese, Japanese and Korean texts have fewer characters than their translations.
    """
    if column.is_ascii:
        return column.n_characters
    return column.n_characters + column.count(column.are(Property.WIDE))


def _ratio(texts: PairTexts, config: CleanConfig) -> Mask:
    widths = widths_of(texts.source), widths_of(texts.target)
    limit = config.max_length_ratio or 1.0
    n_characters = np.maximum(texts.source.n_characters, texts.target.n_characters)
    is_long = n_characters >= config.ratio_min_characters
    return is_long & (np.maximum(*widths) > limit * np.minimum(*widths))


def _lengths(source: str, target: str, config: CleanConfig) -> str:
    return f"{len(source)} and {len(target)} characters"


def _words(source: str, target: str, config: CleanConfig) -> str:
    counts = [word_counts(TextColumn.of([text]))[0] for text in (source, target)]
    return f"{_lengths(source, target, config)}, {counts[0]} and {counts[1]} words"


def _longest_word(source: str, target: str, config: CleanConfig) -> str:
    longest = 0
    for text in (source, target):
        column = TextColumn.of([text])
        in_word = column.are(Property.WORD) & ~column.are(Property.NO_SPACES)
        longest = max(longest, int(column.runs(in_word).lengths.max(initial=0)))
    return f"a word of {longest} characters"


def _nothing(source: str, target: str, config: CleanConfig) -> str:
    sides = [side for side, text in (("source", source), ("target", target)) if _is_empty(text)]
    return " and ".join(sides)


EMPTY = Rule("empty", _empty, lambda config: True, _nothing)
TOO_SHORT = Rule(
    "too_short",
    _too_short,
    lambda config: config.min_characters > 1 or config.min_words > 1,
    _words,
)
TOO_LONG = Rule(
    "too_long",
    _too_long,
    lambda config: config.max_characters is not None or config.max_words is not None,
    _words,
)
LONG_WORD = Rule(
    "long_word", _long_word, lambda config: config.max_word_characters is not None, _longest_word
)
RATIO = Rule("ratio", _ratio, lambda config: config.max_length_ratio is not None, _lengths)
