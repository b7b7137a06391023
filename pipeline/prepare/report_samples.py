"""Collects what the report shows: lengths, and samples of languages, repairs and rejected rows.

A sample takes the rows whose places have the lowest hashes. So it is spread over the input, and it
is the same for any number of workers and any size of chunks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.report import LENGTH_EDGES, N_EXAMPLES, RATIO_EDGES
from pipeline.prepare.config import LanguageConfig
from pipeline.prepare.languages import LanguageJudge
from pipeline.prepare.raw_rows import RawBatch
from pipeline.prepare.repeated_keys import places_of
from pipeline.prepare.texts import Hashes, Mask, PairTexts, TextColumn, mix64

N_JUDGED = 384
"""Rows of each input whose languages are told. The error of a share is about two percent."""

DISTRIBUTIONS = ("source_characters", "target_characters", "source_words", "target_words", "ratio")
"""The numbers of a pair whose distributions the report shows."""

_MAX_JUDGED_CHARACTERS = 1000
_MAX_EXAMPLE_CHARACTERS = 300
_BEFORE_DIFFERENCE = 60
_CUT = "…"

Item = list[Any]
"""The hash of a row's place, then JSON values."""


class LowestHashes:
    """Keeps the items with the lowest hashes.

    Args:
        size: how many it keeps.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.items: list[Item] = []

    def add(self, hashes: Hashes, item_of: Callable[[int], list[Any]]) -> None:
        """Offer some rows.

        Args:
            hashes: the hash of each row's place. No two places have one hash.
            item_of: the values of a row, by its position in ``hashes``.
        """
        if len(self.items) == self._size:
            candidates = np.flatnonzero(hashes < np.uint64(self.items[-1][0]))
        else:
            candidates = np.arange(len(hashes))
        if len(candidates) > self._size:
            order = np.argpartition(hashes[candidates], self._size)
            candidates = candidates[order[: self._size]]
        self.merge([int(hashes[row]), *item_of(row)] for row in candidates.tolist())

    def merge(self, items: Iterable[Item]) -> None:
        """Offer the items of another collection."""
        self.items = sorted([*self.items, *items], key=lambda item: item[0])[: self._size]


def place_hashes(rank: npt.NDArray[np.int32], number: npt.NDArray[np.int64]) -> Hashes:
    """A number for each place of a row that looks random. Different places have different ones."""
    return mix64(places_of(rank, number))


class ChunkSamples:
    """Samples of the rows of a chunk: of repairs, and of languages.

    Args:
        rank: the rank of the chunk's part.
        languages: how languages are judged. None if they are not sampled.
    """

    def __init__(self, rank: int, languages: LanguageConfig | None) -> None:
        self._rank = rank
        self._languages = languages
        self._texts = LowestHashes(N_JUDGED)
        self._repairs: dict[str, LowestHashes] = defaultdict(lambda: LowestHashes(N_EXAMPLES))

    def add(self, batch: RawBatch, texts: PairTexts, repairs: Mapping[str, Mask]) -> None:
        """Offer the rows of a batch.

        Args:
            batch: the rows as they were read.
            texts: the texts after repairs.
            repairs: the rows that each repair changed.
        """
        ranks = np.full(len(batch), self._rank, np.int32)
        hashes = place_hashes(ranks, batch.numbers)
        if self._languages is not None:
            readable = np.ones(len(batch), np.bool_)
            readable[list(batch.problems)] = False
            rows = np.flatnonzero(readable)

            def judged(position: int) -> list[str]:
                row = int(rows[position])
                return [
                    side.text(row)[:_MAX_JUDGED_CHARACTERS] for side in (texts.source, texts.target)
                ]

            self._texts.add(hashes[rows], judged)
        for name, mask in repairs.items():
            changed = np.flatnonzero(mask)
            if not len(changed):
                continue

            def repaired(position: int, changed: npt.NDArray[np.int64] = changed) -> list[Any]:
                row = int(changed[position])
                return [int(batch.numbers[row]), *_changed_texts(batch, texts, row)]

            self._repairs[name].add(hashes[changed], repaired)

    def result(self) -> dict[str, Any]:
        """The samples as JSON values.

        Returns:
            ``languages``: for each row of the sample the hash of its place, and the languages of
            source and target or None; ``repaired``: for each repair the rows with the hash, the
            rank, the number of the row, and the texts of both sides before and after.
        """
        return {
            "languages": self._labels(),
            "repaired": {
                name: [[item[0], self._rank, *item[1:]] for item in sample.items]
                for name, sample in self._repairs.items()
            },
        }

    def _labels(self) -> list[Item]:
        if self._languages is None or not self._texts.items:
            return []
        judge = LanguageJudge("", "", self._languages)
        hashes, *sides = zip(*self._texts.items, strict=True)
        labels = [judge.languages(TextColumn.of(texts)) for texts in sides]
        return [list(item) for item in zip(hashes, *labels, strict=True)]


def _changed_texts(batch: RawBatch, texts: PairTexts, row: int) -> list[list[str]]:
    """The sides that repairs changed: name, text before and text after, without the equal rest."""
    found = []
    for side, old, new in (
        ("source", batch.source, texts.source),
        ("target", batch.target, texts.target),
    ):
        before, after = old.text(row), new.text(row)
        if before != after:
            found.append([side, *_around_difference(before, after)])
    return found


def _around_difference(before: str, after: str) -> tuple[str, str]:
    """Both texts from some characters before their first difference, cut to a readable length."""
    head = before[: len(after) + 1], after[: len(before) + 1]
    n_equal = next((n for n, (a, b) in enumerate(zip(*head, strict=False)) if a != b), 0)
    start = max(0, n_equal - _BEFORE_DIFFERENCE)
    if start == 0 or len(before) <= _MAX_EXAMPLE_CHARACTERS:
        return shortened(before), shortened(after)
    return _CUT + shortened(before[start:]), _CUT + shortened(after[start:])


def shortened(text: str, n_characters: int = _MAX_EXAMPLE_CHARACTERS) -> str:
    """The beginning of a text, with an ellipsis if it is cut."""
    return text if len(text) <= n_characters else text[:n_characters] + _CUT


class RejectedSamples:
    """Samples of rejected rows, by input and reason.

    Args:
        inputs: the number of the input of each rank.
    """

    def __init__(self, inputs: npt.NDArray[np.int64]) -> None:
        self._inputs = inputs
        self.samples: dict[tuple[int, str], LowestHashes] = defaultdict(
            lambda: LowestHashes(N_EXAMPLES)
        )

    def add(self, rows: pa.Table) -> None:
        """Offer some rejected rows, with their places."""
        if not len(rows):
            return
        ranks, numbers = rows["rank"].to_numpy(), rows["number"].to_numpy()
        hashes = place_hashes(ranks, numbers)
        reasons = pc.dictionary_encode(rows["reason"].combine_chunks())
        names = reasons.dictionary.to_pylist()
        keys = self._inputs[ranks] * len(names) + reasons.indices.to_numpy()
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        for positions in np.split(order, starts[1:]):

            def item_of(
                position: int, positions: npt.NDArray[np.int64] = positions
            ) -> list[dict[str, Any]]:
                row: list[dict[str, Any]] = rows.slice(int(positions[position]), 1).to_pylist()
                return row

            number, reason = divmod(int(keys[positions[0]]), len(names))
            self.samples[number, names[reason]].add(hashes[positions], item_of)


def length_counts(rows: pa.Table, inputs: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Count the lengths of kept rows.

    Args:
        rows: spilled rows.
        inputs: the number of the input of each rank.

    Returns:
        for each of :data:`DISTRIBUTIONS`: ``bins``, a list of input, bin and number of pairs; and
        ``totals``, a list of input, sum and largest value.
    """
    numbers = inputs[rows["rank"].to_numpy()]
    values = {name: rows[name].to_numpy() for name in DISTRIBUTIONS if name != "ratio"}
    source, target = values["source_characters"], values["target_characters"]
    values["ratio"] = np.maximum(target, 1) / np.maximum(source, 1)
    return {
        name: _counted(numbers, values[name], RATIO_EDGES if name == "ratio" else LENGTH_EDGES)
        for name in DISTRIBUTIONS
    }


def _counted(
    inputs: npt.NDArray[np.int64], values: npt.NDArray[Any], edges: tuple[float, ...]
) -> dict[str, list[list[Any]]]:
    bins = _bins(values, edges)
    n_inputs = int(inputs.max(initial=-1)) + 1
    counts = np.bincount(inputs * len(edges) + bins, minlength=n_inputs * len(edges))
    table = counts.reshape(n_inputs, len(edges))
    longest = np.zeros(n_inputs, values.dtype)
    if n_inputs == 1:
        longest[:] = values.max()
    else:
        np.maximum.at(longest, inputs, values)
    totals = _sums(inputs, values, n_inputs)
    return {
        "bins": [[*map(int, place), int(table[*place])] for place in np.argwhere(table)],
        "totals": [
            [number, totals[number], longest[number].item()]
            for number in np.flatnonzero(table.sum(axis=1)).tolist()
        ],
    }


def _bins(values: npt.NDArray[Any], edges: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """The bin of each value."""
    if edges is not LENGTH_EDGES:
        found: npt.NDArray[np.int64] = np.searchsorted(edges, values, "right") - 1
        return found
    bins: npt.NDArray[np.int64] = _BIN_OF_LENGTH[
        np.minimum(values, LENGTH_EDGES[-1])
    ]  # faster than a search
    return bins


_BIN_OF_LENGTH = np.repeat(
    np.arange(len(LENGTH_EDGES)), np.diff(LENGTH_EDGES, append=LENGTH_EDGES[-1] + 1)
)


def _sums(inputs: npt.NDArray[np.int64], values: npt.NDArray[Any], n_inputs: int) -> list[int]:
    """The sum of the values of each input. Ratios are summed in thousandths, so that the order of
    the rows does not matter."""
    whole = values if values.dtype.kind == "i" else np.rint(1000 * values)
    sums = np.bincount(inputs, weights=whole, minlength=n_inputs)  # exact up to 2**53
    return [int(value) for value in sums]
