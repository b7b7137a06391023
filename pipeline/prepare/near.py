"""Finds texts that are nearly equal: the same words in any order, up to one or two words.

A word is a run of letters, marks and digits, in which single signs may be, as in ``T-shirt``,
``don't`` and ``1,000``. These signs, the case and the digits of a number do not count. A letter of
a script without spaces is a word by itself. The hash of a text is a mix of the sum of its words'
hashes, so the order of the words does not count either. Its signatures are this hash and, for each
word, the hash of the text without that word. If two words may change, the hash of the text without
each two words is a signature, too.

Two texts share a signature exactly if they have the same words, or if so many words are replaced,
added or taken away. So near texts are found by equal numbers, and none is missed. This is symmetric
deletion (Garbe 2012, "1000x faster spelling correction") with words for letters.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import sys

import numpy as np
import numpy.typing as npt

from pipeline.prepare.characters import Property, properties_of
from pipeline.prepare.leaks_config import ComparedForm, DuplicateKey, LeaksConfig
from pipeline.prepare.texts import Hashes, Mask, PairTexts, TextColumn, mix64

_ZERO = ord("0")
_SPACE = ord(" ")
_FIRST_WITHOUT_SPACES = 0x0E00  # Thai, the first script of Property.NO_SPACES
_DASHES = "\u2012\u2013\u2014\u2015"
"""Punctuation that ends a word also without spaces around it."""
_TAG = re.compile(r"</?[a-z][^<>]{0,200}>")
_JOINS, _LETTER, _DIGIT = 1, 2, 3
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd; 2**64 divided by the golden ratio
_TARGET_SALT = np.uint64(0xD6E8FEB86659FD93)  # odd; it tells the two sides apart
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Words:
    """The words of a column of texts, as hashes.

    Args:
        hashes: the hash of each word, text after text.
        counts: the number of words of each text.
    """

    hashes: Hashes
    counts: npt.NDArray[np.int64]

    def sums(self) -> Hashes:
        """The sum of each text's hashes, modulo 2**64."""
        sums = np.zeros(len(self.counts), np.uint64)
        filled = self.counts > 0
        if filled.any():
            starts = (np.cumsum(self.counts) - self.counts)[filled]
            sums[filled] = np.add.reduceat(self.hashes, starts)
        return sums


@dataclasses.dataclass(frozen=True, slots=True)
class Signatures:
    """Some signatures of a column of texts.

    Args:
        rows: the number of the text that each signature belongs to.
        hashes: the signatures.
        left_out: the number of words that each signature leaves out.
    """

    rows: npt.NDArray[np.int64]
    hashes: Hashes
    left_out: npt.NDArray[np.int8]

    def take(self, chosen: Mask) -> Signatures:
        """The signatures for which a mask is true."""
        return Signatures(self.rows[chosen], self.hashes[chosen], self.left_out[chosen])


def words_of(column: TextColumn) -> Words:
    """The words of each text, folded, with 0 for each number.

    The hash of a word is a polynomial in an odd number modulo 2**64, whose coefficients are mixed
    code points. It is computed in the text, and then divided by the power at the word's start.
    """
    codes = _joined_words(_without_tags(column.folded).codes)
    values = _values_of_codes().take(codes)
    is_word = values != 0
    is_first = is_word & ~_shifted(is_word)
    if codes.max(initial=0) >= _FIRST_WITHOUT_SPACES:
        flags = properties_of(codes)
        alone = (flags & np.uint32(Property.NO_SPACES)) != 0
        is_mark = (flags & np.uint32(Property.MARK)) != 0
        is_first |= alone | (is_word & _shifted(alone) & ~is_mark)
    firsts = np.flatnonzero(is_first)
    counts = np.diff(np.searchsorted(firsts, np.flatnonzero(codes == 0)), prepend=0)
    if not len(firsts):
        return Words(np.zeros(0, np.uint64), counts)
    powers, inverses = _powers(len(values))
    sums = np.cumsum(values * powers[: len(values)])  # faster than reduceat for short segments
    ends = np.append(firsts[1:], len(values)) - 1
    hashes = np.diff(sums[ends], prepend=np.uint64(0)) * inverses[firsts]
    return Words(mix64(hashes), counts)


def _without_tags(folded: TextColumn) -> TextColumn:
    """The texts with a space for each tag, such as ``<i>``. A tag is no word of a text."""
    is_open = folded.codes == ord("<")
    if not is_open.any():
        return folded
    return folded.changed(folded.count(is_open) > 0, lambda text: _TAG.sub(" ", text))


def _joined_words(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Code points without punctuation inside words, and with one digit for each number."""
    kinds = _kinds_of_codes().take(codes)
    is_word = kinds >= _LETTER
    inside = np.flatnonzero(~is_word[1:-1] & is_word[:-2] & is_word[2:]) + 1
    inside = inside[kinds[inside] == _JOINS]
    if len(inside):
        kept = np.ones(len(codes), np.bool_)
        kept[inside] = False
        codes, kinds = codes[kept], kinds[kept]
    is_digit = kinds == _DIGIT
    is_repeated = is_digit & _shifted(is_digit)
    return codes[~is_repeated] if is_repeated.any() else codes


def signatures(column: TextColumn, config: LeaksConfig) -> Signatures:
    """The signatures of each text that has enough words.

    Two texts share a signature exactly if both have at least ``min_words`` words, at most
    ``max_changed_words`` words are replaced, added or taken away, and ``1 - changed / n`` is at
    least ``similarity``. There ``n`` is the number of words of the longer text, and ``changed`` is
    the number of words that change. For the signature that leaves out the fewest words, it is the
    larger number of words that one of the two leaves out.

    Args:
        column: the texts.
        config: the limits.
    """
    return signatures_of_words(words_of(column), config)


def signatures_of_words(words: Words, config: LeaksConfig) -> Signatures:
    """The signatures of texts whose words are known; see :func:`signatures`."""
    sums = words.sums()
    rows = [np.flatnonzero(words.counts >= config.min_words)]
    rests = [sums[rows[0]]]
    for n_left_out in range(1, config.max_changed_words + 1):
        is_long = words.counts >= _min_words_for(n_left_out, config)
        counts = words.counts[is_long]
        left_out = words.hashes[np.repeat(is_long, words.counts)]
        if n_left_out == 2:
            counts, left_out = _sums_of_two(counts, left_out)
        rows.append(np.repeat(np.flatnonzero(is_long), counts))
        rests.append(sums[rows[-1]] - left_out)
    depths = np.repeat(np.arange(len(rows), dtype=np.int8), list(map(len, rows)))
    return Signatures(np.concatenate(rows), mix64(np.concatenate(rests)), depths)


def _sums_of_two(
    counts: npt.NDArray[np.int64], hashes: Hashes
) -> tuple[npt.NDArray[np.int64], Hashes]:
    """The sums of each two words of a text, and how many there are of each text.

    Args:
        counts: the number of words of each text.
        hashes: the hashes of all words.
    """
    ends = np.repeat(np.cumsum(counts), counts)
    n_after = ends - np.arange(len(hashes)) - 1  # the words of the text after each word
    firsts = np.repeat(np.arange(len(hashes)), n_after)
    steps = np.arange(len(firsts)) - np.repeat(np.cumsum(n_after) - n_after, n_after)
    return counts * (counts - 1) // 2, hashes[firsts] + hashes[firsts + 1 + steps]


def near_keys(texts: PairTexts, config: LeaksConfig) -> Signatures:
    """Keys of pairs. A pair is a near-duplicate of an earlier pair if they share a key.

    They share a key exactly if their sources and their targets have the same words in any order,
    apart from one word of either the sources or the targets. If one word changes on both sides, the
    pair is a new example of translation, so such pairs share no key. Pairs with a side of too few
    words share a key if both sides have equal letters.

    Args:
        texts: the pairs.
        config: ``min_words`` and ``similarity``, which hold for both sides.
    """
    sides = (words_of(texts.source), words_of(texts.target))
    is_long = np.minimum(sides[0].counts, sides[1].counts) >= config.min_words
    short = np.flatnonzero(~is_long)
    letters = duplicate_keys(texts, "pair", "letters")[short]
    wholes = [mix64(words.sums()) for words in sides]
    one_word = config.model_copy(update={"max_changed_words": 1})
    keys = [Signatures(short, letters, np.zeros(len(short), np.int8))]
    for number, words in enumerate(sides):
        signed = signatures_of_words(words, one_word)
        signed = signed.take(is_long[signed.rows])
        pair = [whole[signed.rows] for whole in wholes]
        pair[number] = signed.hashes
        # A word less on one side must not meet a word less on the other.
        hashes = mix64(_pair_hashes(*pair) + np.uint64(number))
        keys.append(dataclasses.replace(signed, hashes=hashes))
    return Signatures(
        *(np.concatenate([getattr(key, name) for key in keys]) for name in Signatures.__slots__)
    )


def duplicate_keys(texts: PairTexts, by: DuplicateKey, compare: ComparedForm = "text") -> Hashes:
    """One key for each pair. Pairs with equal keys are duplicates.

    Args:
        texts: the pairs.
        by: what is compared.
        compare: ``text``: Unicode NFC without invisible characters, each run of white space as one
            space, stripped. ``letters``: letters, marks and digits, as
            :attr:`~pipeline.prepare.texts.TextColumn.letter_hashes` compares them.
    """
    if by == "pair":
        return _pair_hashes(_compared(texts.source, compare), _compared(texts.target, compare))
    return _compared(texts.source if by == "source" else texts.target, compare)


def _compared(column: TextColumn, compare: ComparedForm) -> Hashes:
    return column.letter_hashes if compare == "letters" else _spaced_hashes(column)


def _spaced_hashes(column: TextColumn) -> Hashes:
    """Hashes of the texts in NFC, without invisible characters, and with single spaces."""
    column = column.nfc()
    if column.have(Property.IGNORABLE).any():
        column = TextColumn.from_codes(column.codes[~column.are(Property.IGNORABLE)])
    is_space = column.are(Property.SPACE)
    is_edge = is_space | (column.codes == 0)
    # A space after an edge is one too many, and one before an edge, too.
    has_odd_space = bool((is_space[1:] & is_edge[:-1] | is_edge[1:] & is_space[:-1]).any()) or bool(
        (is_space & (column.codes != _SPACE)).any() or is_space[:1].any()
    )
    if has_odd_space:
        codes = np.where(is_space, np.uint32(_SPACE), column.codes)
        codes = codes[~(is_space & np.append(is_edge[1:], False))]  # the last of a run stays
        starts = np.flatnonzero(codes == 0)[:-1] + 1
        leading = np.insert(starts, 0, 0)
        column = TextColumn.from_codes(np.delete(codes, leading[codes[leading] == _SPACE]))
    return column.hashes(column.codes != 0)


def _pair_hashes(sources: Hashes, targets: Hashes) -> Hashes:
    return mix64(mix64(sources) + targets * _TARGET_SALT)


def _min_words_for(n_changed: int, config: LeaksConfig) -> float:
    """The number of words from which so many words may change."""
    if config.similarity >= 1.0:
        return math.inf
    return max(config.min_words, math.ceil(n_changed / (1.0 - config.similarity) - _ROUNDING))


@functools.cache
def _kinds_of_codes() -> npt.NDArray[np.uint8]:
    """What each code point is in a word: ``_DIGIT``, ``_LETTER``, ``_JOINS``, or 0."""
    flags = properties_of(np.arange(sys.maxunicode + 1, dtype=np.uint32))
    kinds = np.zeros(len(flags), np.uint8)
    kinds[(flags & np.uint32(Property.PUNCTUATION | Property.SYMBOL)) != 0] = _JOINS
    kinds[list(map(ord, _DASHES))] = 0
    kinds[(flags & np.uint32(Property.WORD)) != 0] = _LETTER
    kinds[(flags & np.uint32(Property.DIGIT)) != 0] = _DIGIT
    return kinds


@functools.cache
def _values_of_codes() -> Hashes:
    """A number that looks random for each code point that can be in a word, and 0 for others.

    All digits have the number of the digit 0.
    """
    kinds = _kinds_of_codes()
    codes = np.arange(len(kinds), dtype=np.uint64)
    values = mix64(
        (np.where(kinds == _DIGIT, np.uint64(_ZERO), codes) + np.uint64(1)) * _MULTIPLIER
    )
    values[kinds < _LETTER] = 0
    return values


_known_powers = (np.ones(1, np.uint64), np.ones(1, np.uint64))


def _powers(n: int) -> tuple[Hashes, Hashes]:
    """At least ``n`` powers of an odd number modulo 2**64, from the power 0 on, and 1 over each."""
    global _known_powers  # a cache; its values do not depend on the callers
    if len(_known_powers[0]) < n:
        factors = (_MULTIPLIER, np.uint64(pow(int(_MULTIPLIER), -1, 2**64)))
        size = 1 << max(16, (n - 1).bit_length())
        powers = [np.full(size, factor, np.uint64) for factor in factors]
        for array in powers:
            array[0] = 1
            np.cumprod(array, out=array)
        _known_powers = (powers[0], powers[1])
    return _known_powers


def _shifted(mask: Mask) -> Mask:
    """For each code point, the value of the code point before."""
    shifted = np.zeros_like(mask)
    shifted[1:] = mask[:-1]
    return shifted
