"""Finds the validation or test pair that a pair is equal or near to.

Reads and writes: an index of the held-out pairs, which several processes can share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.leaks_config import LeaksConfig
from pipeline.prepare.near import Signatures, Words, signatures_of_words, words_of
from pipeline.prepare.texts import Hashes, Mask, PairTexts, TextColumn

LeakKind = Literal["exact_source", "near_source", "exact_target", "near_target"]
LEAK_KINDS: tuple[LeakKind, ...] = get_args(LeakKind)
"""How a pair can be close to a held-out pair. A pair has the first of these kinds that holds."""

NO_LEAK = -1

_Rows = npt.NDArray[np.int64]
_SIDES = ("source", "target")
_FILTER_BITS_PER_KEY = 16
_MIN_FILTER_BITS = 16
_NAMES = "names.arrow"
_ROWS_AT_ONCE = 4096
_DEPTHS = 4  # more than the most words that a signature leaves out


@dataclasses.dataclass(frozen=True, slots=True)
class Leaks:
    """How close each of some pairs is to the held-out pairs.

    Args:
        kind: the position of the pair's kind in :data:`LEAK_KINDS`, or -1.
        of: the number of the held-out pair that it is close to, or -1.
        similarity: 1 less the share of words that differ, or 0.
    """

    kind: npt.NDArray[np.int8]
    of: _Rows
    similarity: npt.NDArray[np.float32]

    @property
    def rows(self) -> _Rows:
        """The numbers of the pairs that leak."""
        return np.flatnonzero(self.kind != NO_LEAK)


class KeyTable:
    """A map from 64-bit keys to the lowest number that was given with each of them.

    A filter of bits (Bloom 1970, with one hash) tells at once that most other keys are not in it.

    Args:
        keys: the different keys, ascending.
        numbers: the number of each key.
        bits: the filter; a power of two of bits, of which a key's highest bits choose one.
    """

    def __init__(
        self, keys: Hashes, numbers: npt.NDArray[np.int32], bits: npt.NDArray[np.uint8]
    ) -> None:
        self._keys = keys
        self._numbers = numbers
        self._bits = bits
        self._shift = np.uint64(64 - (len(bits) * 8).bit_length() + 1)

    @classmethod
    def of(cls, keys: Hashes, numbers: _Rows) -> Self:
        """A table of some keys, which may repeat."""
        order = np.argsort(keys)
        keys, numbers = keys[order], numbers[order]
        firsts = _firsts(keys)
        keys = keys[firsts]
        if len(firsts):
            numbers = np.minimum.reduceat(numbers, firsts)
        n_bits = max(_MIN_FILTER_BITS, (len(keys) * _FILTER_BITS_PER_KEY - 1).bit_length())
        places = keys >> np.uint64(64 - n_bits)
        bits = np.zeros(1 << (n_bits - 3), np.uint8)
        of_bytes = (places >> np.uint64(3)).astype(np.int64)
        firsts = _firsts(of_bytes)
        if len(firsts):
            bits[of_bytes[firsts]] = np.bitwise_or.reduceat(_bit_masks(places), firsts)
        return cls(keys, numbers.astype(np.int32), bits)

    def find(self, keys: Hashes) -> tuple[_Rows, _Rows]:
        """The positions of the keys that the table has, and their numbers."""
        if not len(self._keys):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        places = keys >> self._shift
        of_bytes = (places >> np.uint64(3)).astype(np.int64)
        found = np.flatnonzero(self._bits[of_bytes] & _bit_masks(places))
        wanted = keys[found]
        slots = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        is_equal = self._keys[slots] == wanted
        return found[is_equal], self._numbers[slots[is_equal]].astype(np.int64)

    def save(self, folder: Path, name: str) -> None:
        """Write the table to files of a folder."""
        for part in ("keys", "numbers", "bits"):
            np.save(folder / f"{name}.{part}.npy", getattr(self, f"_{part}"))

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        """Map the files of a table into memory."""
        parts = ("keys", "numbers", "bits")
        return cls(*(np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in parts))


def _firsts(values: npt.NDArray[Any]) -> _Rows:
    """The positions of the first of each run of equal values."""
    is_first = np.ones(len(values), np.bool_)
    is_first[1:] = values[1:] != values[:-1]
    return np.flatnonzero(is_first)


def _bit_masks(places: Hashes) -> npt.NDArray[np.uint8]:
    """The mask of each bit in its byte, by the number of the bit."""
    return np.left_shift(np.uint8(1), (places & np.uint64(7)).astype(np.uint8))


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    """The sources or the targets of the held-out pairs.

    Args:
        equal: the pairs by the letters of this side.
        near: the pairs by the signatures of this side. Their numbers are multiplied by
            ``_DEPTHS``, and the number of words that the signature leaves out is added.
        counts: the number of words of each pair's text.
    """

    equal: KeyTable
    near: KeyTable
    counts: npt.NDArray[np.int32]


class HeldOutIndex:
    """The validation and test pairs, by their letters and by their signatures.

    Make one with :meth:`build` or :meth:`load`. Takes about 450 bytes for a pair of 12 words.

    Args:
        config: what is close.
        names: the name of each pair, such as ``test.en:17``.
        splits: the position of each pair's split in ``SPLITS``.
        sides: sources and targets.
    """

    def __init__(
        self,
        config: LeaksConfig,
        names: pa.Array,
        splits: npt.NDArray[np.int8],
        sides: tuple[_Side, _Side],
    ) -> None:
        self.config = config
        self._names = names
        self._splits = splits
        self._sides = sides

    def __len__(self) -> int:
        return len(self._splits)

    def name(self, number: int) -> str:
        """The name of a pair."""
        return str(self._names[number].as_py())

    def split(self, number: int) -> Split:
        """The split of a pair."""
        return SPLITS[int(self._splits[number])]

    @classmethod
    def build(
        cls, batches: Iterable[tuple[Split, Sequence[str], PairTexts]], config: LeaksConfig
    ) -> HeldOutIndex:
        """An index of some pairs, which get numbers in this order.

        If a pair is close to several pairs, the one with the lowest number is found. So the pairs
        of the test split come first.

        Args:
            batches: the split of some pairs, their names, and their texts.
            config: what is close.
        """
        builders = (_SideBuilder(config, 0), _SideBuilder(config, 1))
        names: list[pa.Array] = []
        splits: list[npt.NDArray[np.int8]] = []
        for split, some_names, texts in batches:
            if len(some_names) != len(texts):
                raise ValueError(f"{len(some_names)} names for {len(texts)} pairs")
            names.append(pa.array(some_names, pa.large_string()))
            splits.append(np.full(len(texts), SPLITS.index(split), np.int8))
            for builder, column in zip(builders, (texts.source, texts.target), strict=True):
                builder.add(column)
        joined = pa.concat_arrays([pa.array([], pa.large_string()), *names])
        all_splits = np.concatenate([np.zeros(0, np.int8), *splits])
        return cls(config, joined, all_splits, (builders[0].side(), builders[1].side()))

    def save(self, folder: Path) -> None:
        """Write the index to a new folder."""
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(self.config.model_dump_json(), encoding="utf-8")
        table = pa.table({"name": self._names})
        with (
            pa.OSFile(str(folder / _NAMES), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as f,
        ):
            f.write_table(table)
        np.save(folder / "splits.npy", self._splits)
        for name, side in zip(_SIDES, self._sides, strict=True):
            side.equal.save(folder, f"{name}.equal")
            side.near.save(folder, f"{name}.near")
            np.save(folder / f"{name}.counts.npy", side.counts)

    @classmethod
    def load(cls, folder: Path) -> HeldOutIndex:
        """Map a saved index into memory. The processes of one machine share its pages."""
        config = LeaksConfig.model_validate_json((folder / "config.json").read_bytes())
        with pa.memory_map(str(folder / _NAMES)) as mapped:
            names = pa.ipc.open_file(mapped).read_all()["name"].combine_chunks()
        sides = [
            _Side(
                KeyTable.load(folder, f"{name}.equal"),
                KeyTable.load(folder, f"{name}.near"),
                np.load(folder / f"{name}.counts.npy", mmap_mode="r"),
            )
            for name in _SIDES
        ]
        splits = np.load(folder / "splits.npy", mmap_mode="r")
        return cls(config, names, splits, (sides[0], sides[1]))

    def leaks(
        self,
        texts: PairTexts,
        *,
        against: Collection[Split] = ("test", "valid"),
        source_hashes: Hashes | None = None,
    ) -> Leaks:
        """How close each of some pairs is to the held-out pairs.

        Args:
            texts: the pairs.
            against: the splits whose pairs count. ``("test",)`` for pairs of a validation split.
            source_hashes: the sources' :attr:`~pipeline.prepare.texts.TextColumn.letter_hashes`, if
                they are known.
        """
        n = len(texts)
        leaks = Leaks(np.full(n, NO_LEAK, np.int8), np.full(n, -1), np.zeros(n, np.float32))
        if not len(self) or not n:
            return leaks
        is_against = np.array([split in against for split in SPLITS])[self._splits]
        for start in range(0, n, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            part = Leaks(leaks.kind[rows], leaks.of[rows], leaks.similarity[rows])
            for number, column in enumerate((texts.source, texts.target)):
                some = _part_of(column, rows)
                known = None if number else source_hashes
                letters = some.letter_hashes if known is None else known[rows]
                self._add_side(part, number, some, letters, is_against)
        return leaks

    def _add_side(
        self, leaks: Leaks, number: int, column: TextColumn, letters: Hashes, is_against: Mask
    ) -> None:
        """Add what one side shows of the pairs that do not leak yet."""
        side = self._sides[number]
        words = words_of(column)
        rows, of = side.equal.find(letters)
        is_asked = letters[rows] != 0
        if number:
            is_asked &= words.counts[rows] >= self.config.min_target_words
        kept = is_asked & is_against[of] & (leaks.kind[rows] == NO_LEAK)
        rows, of = rows[kept], of[kept]
        leaks.kind[rows], leaks.of[rows], leaks.similarity[rows] = 2 * number, of, 1.0
        if self.config.near:
            self._add_near(leaks, number, words, is_against)

    def _add_near(self, leaks: Leaks, number: int, words: Words, is_against: Mask) -> None:
        side = self._sides[number]
        signed = _signatures_of_side(words, self.config, number)
        found, numbers = side.near.find(signed.hashes)
        rows, of = signed.rows[found], numbers // _DEPTHS
        changed = np.maximum(signed.left_out[found], numbers % _DEPTHS)
        kept = is_against[of] & (leaks.kind[rows] == NO_LEAK)
        if not kept.any():
            return
        rows, of = rows[kept], of[kept]
        similarity = 1.0 - changed[kept] / np.maximum(words.counts[rows], side.counts[of])
        order = np.lexsort((of, -similarity, rows))
        rows, of, similarity = rows[order], of[order], similarity[order]
        first = _firsts(rows)
        rows = rows[first]
        leaks.kind[rows] = 2 * number + 1
        leaks.of[rows], leaks.similarity[rows] = of[first], similarity[first]


def _part_of(column: TextColumn, rows: slice) -> TextColumn:
    """Some neighbouring texts of a column. Arrays of few texts stay in the processor's cache."""
    starts, ends = column.starts[rows], column.ends[rows]
    if len(starts) == len(column):
        return column
    return TextColumn.from_codes(column.codes[starts[0] : ends[-1] + 1])


class _SideBuilder:
    """Collects the keys of one side of the held-out pairs."""

    def __init__(self, config: LeaksConfig, number: int) -> None:
        self._config = config
        self._number = number
        self._n = 0
        self._letters: list[Hashes] = []
        self._counts: list[npt.NDArray[np.int32]] = []
        self._numbers: list[npt.NDArray[np.int32]] = []
        self._hashes: list[Hashes] = []

    def add(self, column: TextColumn) -> None:
        """Add the texts of some pairs."""
        words = words_of(column)
        signed = _signatures_of_side(words, self._config, self._number)
        self._letters.append(column.letter_hashes)
        self._counts.append(words.counts.astype(np.int32))
        numbers = (signed.rows + self._n) * _DEPTHS + signed.left_out
        self._numbers.append(numbers.astype(np.int32))
        self._hashes.append(signed.hashes)
        self._n += len(column)

    def side(self) -> _Side:
        """The tables of all pairs. Nothing can be added afterwards."""
        letters = _joined(self._letters, np.uint64)
        filled = np.flatnonzero(letters)
        return _Side(
            equal=KeyTable.of(letters[filled], filled),
            near=KeyTable.of(_joined(self._hashes, np.uint64), _joined(self._numbers, np.int32)),
            counts=_joined(self._counts, np.int32),
        )


def _joined(parts: list[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The parts as one array. Empties the list, so that the memory of the parts is free."""
    joined = np.concatenate([np.zeros(0, dtype), *parts])
    parts.clear()
    return joined


def _signatures_of_side(words: Words, config: LeaksConfig, number: int) -> Signatures:
    """The signatures of sources (0) or targets (1). Targets need ``min_target_words``, too."""
    signed = signatures_of_words(words, config)
    if number == 0 or config.min_target_words <= config.min_words:
        return signed
    return signed.take(words.counts[signed.rows] >= config.min_target_words)
