"""A column of texts as one array of code points, so that NumPy can look at all texts at once.

A rule that looks at one text after the other takes microseconds for each of them. A rule that looks
at the code points of ten thousand texts at once takes nanoseconds for each character.

:mod:`pipeline.prepare.characters` gives the properties of code points.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lingo_model.unicode_text import without_ignorable
from pipeline.prepare.characters import Property, foldings, properties_of

_END_OF_ASCII = 0x80

SEPARATOR = "\0"
"""Stands after each text of a column. No text has it: readers replace it by U+FFFD."""

Mask = npt.NDArray[np.bool_]
"""One truth value for each text, or for each code point."""

Counts = npt.NDArray[np.int32]
"""One number for each text."""

Hashes = npt.NDArray[np.uint64]
"""A 64-bit hash for each text. Of 10 million different texts, the chance that any two have one hash
is 3 in a million."""


@dataclasses.dataclass(frozen=True, slots=True)
class Runs:
    """Runs of neighbouring code points within texts, in order.

    Args:
        starts: positions of the first code points.
        ends: positions after the last code points.
        rows: the text that each run belongs to.
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of code points of each run."""
        return self.ends - self.starts


@dataclasses.dataclass(frozen=True, slots=True)
class PairTexts:
    """The texts of some pairs, and their languages.

    Args:
        source: the sources.
        target: the targets, as many.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
    """

    source: TextColumn
    target: TextColumn
    source_lang: str
    target_lang: str

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: Mask | npt.NDArray[np.int64]) -> PairTexts:
        """Some of the pairs, chosen by a mask or by their numbers."""
        return dataclasses.replace(
            self, source=self.source.take(rows), target=self.target.take(rows)
        )


class TextColumn:
    """A column of texts that does not change.

    Args:
        joined: all texts, each with a :data:`SEPARATOR` after it.
    """

    def __init__(self, joined: str) -> None:
        self.joined = joined

    @classmethod
    def from_codes(cls, codes: npt.NDArray[np.uint32]) -> TextColumn:
        """A column from the code points of its texts, with a NUL after each text."""
        column = cls.__new__(cls)
        column.codes = codes
        return column

    @cached_property
    def joined(self) -> str:
        """All texts, each with a :data:`SEPARATOR` after it."""
        return self.codes.tobytes().decode("utf-32-le")

    @classmethod
    def of(cls, texts: Iterable[str]) -> TextColumn:
        """A column of some texts. No text may have a NUL character."""
        return cls("".join(f"{text}{SEPARATOR}" for text in texts))

    @classmethod
    def from_arrow(cls, array: pa.Array | pa.ChunkedArray) -> TextColumn:
        """A column of the texts of an Arrow array without nulls."""
        joined = SEPARATOR.join(array.to_pylist())
        return cls(joined + SEPARATOR if len(array) else "")

    def to_list(self) -> list[str]:
        """The texts."""
        return self.joined.split(SEPARATOR)[:-1]

    def to_arrow(self) -> pa.LargeStringArray:
        """The texts as an Arrow array."""
        encoded = np.frombuffer(self.joined.encode(), np.uint8)
        ends = np.flatnonzero(encoded == 0)
        offsets = np.zeros(len(ends) + 1, np.int64)
        offsets[1:] = ends - np.arange(len(ends))
        return pa.LargeStringArray.from_buffers(
            len(ends), pa.py_buffer(offsets), pa.py_buffer(encoded[encoded != 0])
        )

    def __len__(self) -> int:
        return len(self.ends)

    @cached_property
    def is_ascii(self) -> bool:
        """Whether all texts are ASCII."""
        if "joined" in self.__dict__:
            return self.joined.isascii()
        return int(self.codes.max(initial=0)) < _END_OF_ASCII

    @cached_property
    def codes(self) -> npt.NDArray[np.uint32]:
        """The code points of all texts and separators."""
        return np.frombuffer(self.joined.encode("utf-32-le"), np.uint32)

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """The position of each text's separator in :attr:`codes`."""
        return np.flatnonzero(self.codes == 0)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The position of each text's first code point in :attr:`codes`."""
        starts = np.zeros_like(self.ends)
        starts[1:] = self.ends[:-1] + 1
        return starts

    @cached_property
    def n_characters(self) -> Counts:
        """The number of code points of each text."""
        return (self.ends - self.starts).astype(np.int32)

    @cached_property
    def properties(self) -> npt.NDArray[np.uint32]:
        """The :class:`Property` flags of each code point. Separators have none."""
        return properties_of(self.codes)

    @cached_property
    def properties_of_rows(self) -> npt.NDArray[np.uint32]:
        """The flags that at least one code point of each text has."""
        if not len(self):
            return np.zeros(0, np.uint32)
        return np.bitwise_or.reduceat(self.properties, self.starts)

    def are(self, flags: Property) -> Mask:
        """For each code point, whether it has one of some properties."""
        return cast(Mask, (self.properties & np.uint32(flags)) != 0)

    def have(self, flags: Property) -> Mask:
        """For each text, whether one of its code points has one of some properties."""
        return cast(Mask, (self.properties_of_rows & np.uint32(flags)) != 0)

    def count(self, of_codes: Mask) -> Counts:
        """For each text, the number of its code points for which a mask is true."""
        if not len(self):
            return np.zeros(0, np.int32)
        return np.add.reduceat(of_codes, self.starts, dtype=np.int32)

    def row_of_codes(self) -> npt.NDArray[np.int64]:
        """For each code point, the number of its text. A separator belongs to the text before."""
        return np.repeat(np.arange(len(self)), self.n_characters + 1)

    def runs(self, of_codes: Mask) -> Runs:
        """The longest runs of code points for which a mask is true, which separators never are."""
        edges = np.flatnonzero(np.diff(of_codes, prepend=False, append=False))
        starts, ends = edges[::2], edges[1::2]
        return Runs(starts, ends, np.searchsorted(self.ends, starts))

    @cached_property
    def words(self) -> Runs:
        """The longest runs of code points that are not spaces."""
        in_word = ~self.are(Property.SPACE)
        in_word[self.ends] = False
        begins, stops = in_word.copy(), in_word.copy()
        begins[1:] &= ~in_word[:-1]
        stops[:-1] &= ~in_word[1:]
        rows = np.repeat(np.arange(len(self)), self.count(begins))
        return Runs(np.flatnonzero(begins), np.flatnonzero(stops) + 1, rows)

    def text(self, row: int) -> str:
        """One of the texts, by its number."""
        return self.joined[self.starts[row] : self.ends[row]]

    def rows_at(self, positions: npt.NDArray[np.int64]) -> Mask:
        """For each text, whether one of some positions in :attr:`codes` is within it."""
        rows = np.zeros(len(self), np.bool_)
        rows[np.searchsorted(self.ends, positions)] = True
        return rows

    def contain(self, part: str) -> Mask:
        """For each text, whether it contains a text. ``part`` must not be empty."""
        positions: list[int] = []
        position = self.joined.find(part)
        while position >= 0:
            positions.append(position)
            position = self.joined.find(part, position + 1)
        return self.rows_at(np.array(positions, np.int64))

    def have_runs(self, of_codes: Mask, length: int) -> Mask:
        """For each text, whether a mask is true for so many neighbouring code points.

        Args:
            of_codes: one truth value for each code point. It is false for separators.
            length: the shortest run that counts, 1 or more.
        """
        runs, known = of_codes, 1  # whether a run of `known` code points begins at each place
        while known < length:
            step = min(known, length - known)
            runs = runs[:-step] & runs[step:]
            known += step
        return self.rows_at(np.flatnonzero(runs))

    def take(self, rows: Mask | npt.NDArray[np.int64]) -> TextColumn:
        """A column of some of the texts, chosen by a mask or by their numbers."""
        numbers = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        texts = self.to_list()
        return TextColumn.of([texts[number] for number in numbers.tolist()])

    def changed(self, rows: Mask, change: Callable[[str], str]) -> TextColumn:
        """The column after a function was applied to the texts for which a mask is true.

        Args:
            rows: one truth value for each text.
            change: takes a text and returns one. It is called for those texts only.
        """
        numbers = np.flatnonzero(rows)
        if not len(numbers):
            return self
        texts = self.to_list()
        for number in numbers.tolist():
            texts[number] = change(texts[number])
        return TextColumn.of(texts)

    def with_texts(self, texts: Mapping[int, str]) -> TextColumn:
        """The column with other texts at some places.

        Args:
            texts: the new texts by the numbers of the rows.
        """
        if not texts:
            return self
        all_texts = self.to_list()
        for row, text in texts.items():
            all_texts[row] = text
        return TextColumn.of(all_texts)

    def mapped(self, change: Callable[[str], str]) -> TextColumn:
        """The column after a function was applied to all texts at once, as one string.

        Args:
            change: takes :attr:`joined` and returns it changed, with as many separators.
        """
        joined = change(self.joined)
        return self if joined is self.joined or joined == self.joined else TextColumn(joined)

    def nfc(self) -> TextColumn:
        """The texts in Unicode NFC."""
        return self if self.is_ascii else self.mapped(_nfc)

    @cached_property
    def folded(self) -> TextColumn:
        """The texts in NFKC, case folded, without default ignorable characters."""
        if self.is_ascii:
            return self.mapped(str.lower)
        composing = self.have(Property.COMPOSING)
        if not composing.any():
            return self._folded_by_character()
        parts = {
            True: self.take(composing).mapped(_folded),
            False: self.take(~composing)._folded_by_character(),
        }
        return _interleaved(composing, parts)

    def _folded_by_character(self) -> TextColumn:
        """The folded form of texts without composing characters."""
        forms = foldings()
        codes = forms.codes[self.codes]
        has_one = forms.has_one_code[self.codes]
        others = np.flatnonzero(~has_one)
        if len(others):  # their forms take their places
            lengths = forms.lengths[self.codes[others]].astype(np.int64)
            steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            inserted = forms.codes[np.repeat(forms.starts[self.codes[others]], lengths) + steps]
            places = np.repeat(others - np.arange(len(others)), lengths)
            codes = np.insert(codes[has_one], places, inserted)
        return TextColumn.from_codes(codes)

    @cached_property
    def letter_hashes(self) -> Hashes:
        """Hashes of the normalised texts: NFKC, case folded, and only letters, marks and digits.

        Spaces go, because words are written apart and together ("e-mail", "email"), and Chinese
        comes with and without spaces. Invisible characters go, because nobody sees them. A text
        without letters, marks and digits, such as "...", has a hash of its other characters that
        are not spaces. An empty text has 0.
        """
        return self.folded.hashes(self._letters_of_folded)

    @cached_property
    def digitless_hashes(self) -> Hashes:
        """Hashes as :attr:`letter_hashes`, but all digits count as the same."""
        folded = self.folded
        if not folded.have(Property.DIGIT).any():
            return self.letter_hashes
        codes = np.where(folded.are(Property.DIGIT), np.uint32(ord("0")), folded.codes)
        return TextColumn.from_codes(codes).hashes(self._letters_of_folded)

    @cached_property
    def _letters_of_folded(self) -> Mask:
        """The code points of the folded texts that tell two texts apart."""
        folded = self.folded
        kept = folded.are(Property.WORD)
        without = folded.count(kept) == 0
        if without.any():
            visible = ~folded.are(Property.SPACE) & (folded.codes != 0)
            kept = kept | (visible & np.repeat(without, folded.n_characters + 1))
        return kept

    def hashes(self, of_codes: Mask) -> Hashes:
        """A hash of the code points of each text for which a mask is true. 0 if there are none.

        The hash depends on the order of these code points, and on nothing else.
        """
        counts = self.count(of_codes)
        return hash_segments(self.codes[of_codes], counts)


def hash_segments(codes: npt.NDArray[np.uint32], lengths: Sequence[int] | Counts) -> Hashes:
    """A hash of each of some segments that follow each other in an array. 0 for an empty one.

    This is multilinear hashing: each code point is mixed, multiplied by a number for its place in
    the segment, and the products are added (Lemire and Kaser 2014, "Strongly universal string
    hashing is fast", section 3).

    Args:
        codes: the segments, without gaps.
        lengths: the number of code points of each segment.
    """
    lengths = np.asarray(lengths, np.int64)
    hashes = np.zeros(len(lengths), np.uint64)
    filled = lengths > 0
    if not filled.any():
        return hashes
    starts = (np.cumsum(lengths) - lengths)[filled]
    lengths = lengths[filled]
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    products = codes.astype(np.uint64)
    products += np.uint64(1)
    products *= np.uint64(_GOLDEN_RATIO)
    products ^= products >> np.uint64(32)
    products *= _multipliers(int(lengths.max()))[places]
    sums = np.add.reduceat(products, starts)
    hashes[filled] = np.maximum(mix64(sums + lengths.astype(np.uint64)), np.uint64(1))
    return hashes


def mix64(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Mix the bits of 64-bit numbers, one to one: the output step of SplitMix64.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 16.
    """
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


_GOLDEN_RATIO = 0x9E3779B97F4A7C15
_known_multipliers = np.zeros(0, np.uint64)


def _multipliers(n: int) -> npt.NDArray[np.uint64]:
    """At least ``n`` odd 64-bit numbers that look random: SplitMix64 from seed 0."""
    global _known_multipliers  # a cache; its values do not depend on the callers
    if len(_known_multipliers) < n:
        states = np.arange(1, max(n, 4096) + 1, dtype=np.uint64) * np.uint64(_GOLDEN_RATIO)
        _known_multipliers = mix64(states) | np.uint64(1)
    return _known_multipliers


def _interleaved(choice: Mask, parts: dict[bool, TextColumn]) -> TextColumn:
    """A column that takes its texts from two others, in order, as a mask says."""
    lengths = np.empty(len(choice), np.int64)
    for is_chosen, part in parts.items():
        lengths[choice == is_chosen] = part.n_characters + 1
    starts = np.cumsum(lengths) - lengths
    codes = np.empty(lengths.sum(), np.uint32)
    for is_chosen, part in parts.items():
        shifts = starts[choice == is_chosen] - part.starts
        codes[np.repeat(shifts, part.n_characters + 1) + np.arange(len(part.codes))] = part.codes
    return TextColumn.from_codes(codes)


def _folded(text: str) -> str:
    return without_ignorable(unicodedata.normalize("NFKC", text).casefold())


def _nfc(text: str) -> str:
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
