"""Counts the pairs of a dataset that are close to pairs of another split, or of a test file.

Reads: PAIRS of a dataset, and the rows of the test file.
Writes: nothing.

Memory: an index of the held-out pairs (see :class:`pipeline.prepare.near_index.HeldOutIndex`), and
one batch of pairs.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.dataset.dataset import Dataset, dataset_read_errors
from pipeline.dataset.manifest import LeakageCertificate, LeakingPair, SplitComparison
from pipeline.dataset.splits import SPLITS, Split
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import format_of
from pipeline.formats.text_column import TEXT_COLUMN
from pipeline.observability.progress import Bar, OnProgress, ignore_progress, progress_bar
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.leaks_config import N_ROWS_SHOWN, LeaksConfig
from pipeline.prepare.near_index import LEAK_KINDS, HeldOutIndex, LeakKind
from pipeline.prepare.pairs import iter_pairs
from pipeline.prepare.texts import SEPARATOR, PairTexts, TextColumn
from pipeline.prepare.written_pairs import iter_batches
from pipeline.settings import Settings, parse_settings

_BATCH_ROWS = 5_000
_MAX_FILES = 2
_TEXT_COLUMNS = ("source", "target")


class LeakingTexts(LeakingPair):
    """A leaking pair with its texts.

    Args:
        source: its source.
        target: its target.
        of_source: the source of the pair that it is close to.
        of_target: the target of that pair.
    """

    source: str
    target: str
    of_source: str
    of_target: str

    def without_texts(self) -> LeakingPair:
        """The pair by name only, as a certificate has it."""
        values = self.model_dump(include=set(LeakingPair.model_fields))
        return LeakingPair.model_validate(values)


class DatasetCheck(Settings):
    """What is close to what in a dataset, or between a dataset and a test file.

    Args:
        dataset: the dataset's folder.
        against: the test files. Empty if the splits of the dataset were compared.
        near: whether near pairs were looked for, or only equal ones.
        similarity: 1 less the share of words that differ, from which two texts are near.
        max_changed_words: most words that differ between near texts.
        min_words: texts of fewer words are never near.
        min_target_words: targets of fewer words are not compared.
        n_unreadable: rows of the test files that could not be read, and were not compared.
        comparisons: the counts. For a test file, ``against`` is ``test``.
        rows: the first leaking pairs.
        certificate: the leakage certificate of the dataset. None for a test file.
    """

    dataset: str
    against: tuple[str, ...]
    near: bool
    similarity: float
    max_changed_words: int
    min_words: int
    min_target_words: int
    n_unreadable: int
    comparisons: tuple[SplitComparison, ...]
    rows: tuple[LeakingTexts, ...]
    certificate: LeakageCertificate | None = None

    @property
    def n_close(self) -> dict[str, int]:
        """The leaking pairs of all comparisons, by kind."""
        total: Counter[str] = Counter()
        for comparison in self.comparisons:
            total.update(comparison.n_close)
        return {kind: total[kind] for kind in LEAK_KINDS}

    @property
    def has_leaks(self) -> bool:
        """Whether a training pair is equal or near, or the source of a validation pair is equal.

        Validation pairs that are only near are named, and no leaks: given files keep them.
        """
        return any(
            sum(item.n_close.values())
            if item.split == "train"
            else item.n_close.get("exact_source", 0)
            for item in self.comparisons
        )


@dataclasses.dataclass(frozen=True, slots=True)
class NamedPairs:
    """Some pairs, and where each of them comes from.

    Args:
        names: where the pairs come from.
        texts: the pairs.
    """

    names: list[str]
    texts: PairTexts


PairReader = Callable[[], Iterator[NamedPairs]]
"""Reads some pairs from their beginning, in batches."""


def compare_splits(
    pairs_files: Mapping[Split, Sequence[Path]],
    config: LeaksConfig,
    *,
    n_rows: int = N_ROWS_SHOWN,
    on_progress: OnProgress = ignore_progress,
) -> tuple[tuple[SplitComparison, ...], tuple[LeakingTexts, ...]]:
    """Compare the splits of a dataset: train with test and valid, and valid with test.

    Args:
        pairs_files: the PAIRS files of each split.
        config: what is close.
        n_rows: how many leaking pairs are named.
        on_progress: called with the pairs that are done.

    Returns:
        the counts, and the first leaking pairs.
    """
    readers = {split: _written_reader(pairs_files[split]) for split in SPLITS}
    held_out: list[tuple[Split, PairReader]] = [
        ("test", readers["test"]),
        ("valid", readers["valid"]),
    ]
    compared: list[tuple[Split, tuple[Split, ...]]] = [
        ("train", ("test", "valid")),
        ("valid", ("test",)),
    ]
    return _compare(readers, held_out, compared, config, n_rows, on_progress)


def check_dataset(
    dataset: Dataset,
    config: LeaksConfig,
    *,
    n_rows: int = N_ROWS_SHOWN,
    on_progress: OnProgress = ignore_progress,
) -> DatasetCheck:
    """Compare the splits of a dataset, which may be of an earlier release.

    Args:
        dataset: the dataset.
        config: what is close.
        n_rows: how many leaking pairs are named.
        on_progress: called with the pairs that are done.

    Raises:
        InputError: a file of the dataset is missing or damaged.
    """
    comparisons, rows = compare_splits(
        _pairs_files(dataset), config, n_rows=n_rows, on_progress=on_progress
    )
    check = _check(dataset, (), config, comparisons, rows)
    return check.model_copy(update={"certificate": _certificate(dataset, check)})


def _certificate(dataset: Dataset, check: DatasetCheck) -> LeakageCertificate:
    """The certificate of an existing dataset: its manifest, and what is counted now."""
    manifest = dataset.manifest
    before = manifest.leakage or LeakageCertificate(
        method="letters, marks and digits of the source (NFKC, case folded, without spaces and "
        "invisible characters)",
        n_rejected_as_leak=manifest.n_rejected.get("leak", 0),
        n_sources_in_several_splits=0,
        inputs_that_lost_rows={},
    )
    counted = {
        "n_sources_in_several_splits": check.n_close["exact_source"],
        "similarity": check.similarity if check.near else None,
        "max_changed_words": check.max_changed_words if check.near else None,
        "min_words": check.min_words if check.near else None,
        "min_target_words": check.min_target_words,
        "comparisons": check.comparisons,
        "left": tuple(row.without_texts() for row in check.rows),
    }
    return before.model_copy(update=counted)


def check_against(
    dataset: Dataset,
    files: Sequence[Path],
    config: LeaksConfig,
    *,
    source_column: str = "source",
    target_column: str = "target",
    n_rows: int = N_ROWS_SHOWN,
    on_progress: OnProgress = ignore_progress,
) -> DatasetCheck:
    """Compare the training and validation pairs of a dataset with a test file.

    The test split is not compared: a test pair that is in the test file, too, gives nothing away.

    Args:
        dataset: the dataset.
        files: a table, two aligned text files (source and target), or one text file of sources.
        config: what is close.
        source_column: the column of a table with the sources.
        target_column: the column of a table with the targets.
        n_rows: how many leaking pairs are named.
        on_progress: called with the pairs that are done.

    Raises:
        InputError: a file cannot be read or has no row, or a file of the dataset is damaged.
    """
    test = _TestFiles(dataset, files, source_column, target_column)
    pairs_files = _pairs_files(dataset)
    readers = {split: _written_reader(pairs_files[split]) for split in SPLITS}
    compared: list[tuple[Split, tuple[Split, ...]]] = [("train", ("test",)), ("valid", ("test",))]
    comparisons, rows = _compare(
        readers, [("test", test.read)], compared, config, n_rows, on_progress
    )
    check = _check(dataset, files, config, comparisons, rows)
    return check.model_copy(update={"n_unreadable": test.n_unreadable})


def _check(
    dataset: Dataset,
    files: Sequence[Path],
    config: LeaksConfig,
    comparisons: tuple[SplitComparison, ...],
    rows: tuple[LeakingTexts, ...],
) -> DatasetCheck:
    return DatasetCheck(
        dataset=str(dataset.path),
        against=tuple(map(str, files)),
        near=config.near,
        similarity=config.similarity,
        max_changed_words=config.max_changed_words,
        min_words=config.min_words,
        min_target_words=config.min_target_words,
        n_unreadable=0,
        comparisons=comparisons,
        rows=rows,
    )


def _compare(
    readers: Mapping[Split, PairReader],
    held_out: Sequence[tuple[Split, PairReader]],
    compared: Sequence[tuple[Split, tuple[Split, ...]]],
    config: LeaksConfig,
    n_rows: int,
    on_progress: OnProgress,
) -> tuple[tuple[SplitComparison, ...], tuple[LeakingTexts, ...]]:
    """Compare the pairs of some splits with held-out pairs.

    Args:
        readers: the pairs of each split.
        held_out: the pairs of the index, the test split first.
        compared: each split with those that it is compared with.
        config: what is close.
        n_rows: how many leaking pairs are named.
        on_progress: called with the pairs that are done.
    """
    n_against: Counter[Split] = Counter()

    def batches() -> Iterator[tuple[Split, list[str], PairTexts]]:
        for split, read in held_out:
            for pairs in read():
                n_against[split] += len(pairs.names)
                yield split, pairs.names, pairs.texts

    index = HeldOutIndex.build(batches(), config)
    comparisons: list[SplitComparison] = []
    found: list[_Found] = []
    with progress_bar("compare", None, unit="pairs", on_progress=on_progress) as bar:
        for split, against in compared:
            scan = _Scan(index, split, against, n_rows - len(found))
            scan.run(readers[split], bar)
            found += scan.found
            comparisons += [
                SplitComparison(
                    split=split,
                    against=other,
                    n_pairs=scan.n_pairs,
                    n_against=n_against[other],
                    n_close={kind: scan.n_close[other, kind] for kind in _kinds(config)},
                )
                for other in against
            ]
    texts = _texts_of({leak.number for leak in found}, held_out)
    return tuple(comparisons), tuple(leak.with_texts(*texts[leak.number]) for leak in found)


def _kinds(config: LeaksConfig) -> list[LeakKind]:
    """The kinds that are looked for."""
    return [kind for kind in LEAK_KINDS if config.near or kind.startswith("exact")]


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """A leaking pair, and the number of the held-out pair that it is close to."""

    pair: LeakingPair
    source: str
    target: str
    number: int

    def with_texts(self, of_source: str, of_target: str) -> LeakingTexts:
        return LeakingTexts(
            **self.pair.model_dump(),
            source=self.source,
            target=self.target,
            of_source=of_source,
            of_target=of_target,
        )


class _Scan:
    """Counts the leaking pairs of one split, and keeps the first ``n_kept`` of them."""

    def __init__(
        self, index: HeldOutIndex, split: Split, against: tuple[Split, ...], n_kept: int
    ) -> None:
        self._index = index
        self._split = split
        self._against = against
        self._n_kept = n_kept
        self.n_pairs = 0
        self.n_close: Counter[tuple[Split, LeakKind]] = Counter()
        self.found: list[_Found] = []

    def run(self, read: PairReader, bar: Bar) -> None:
        """Look at all pairs."""
        for pairs in read():
            self.n_pairs += len(pairs.names)
            self._add(pairs)
            bar.advance(len(pairs.names))

    def _add(self, pairs: NamedPairs) -> None:
        leaks = self._index.leaks(pairs.texts, against=self._against)
        rows = leaks.rows
        if not len(rows):
            return
        taken = pairs.texts.take(rows)
        sources, targets = taken.source.to_list(), taken.target.to_list()
        for row, source, target in zip(rows.tolist(), sources, targets, strict=True):
            number = int(leaks.of[row])
            kind = LEAK_KINDS[leaks.kind[row]]
            other = self._index.split(number)
            self.n_close[other, kind] += 1
            if len(self.found) < self._n_kept:
                pair = LeakingPair(
                    kind=kind,
                    split=self._split,
                    origin=pairs.names[row],
                    against=other,
                    of=self._index.name(number),
                    similarity=round(float(leaks.similarity[row]), 4),
                )
                self.found.append(_Found(pair, source, target, number))


def _texts_of(
    numbers: set[int], held_out: Sequence[tuple[Split, PairReader]]
) -> dict[int, tuple[str, str]]:
    """The source and the target of some held-out pairs, which are read once more."""
    texts: dict[int, tuple[str, str]] = {}
    end = 0
    for pairs in itertools.chain.from_iterable(read() for _, read in held_out):
        if len(texts) == len(numbers):
            break
        start, end = end, end + len(pairs.names)
        if wanted := [number for number in numbers if start <= number < end]:
            sources, targets = pairs.texts.source.to_list(), pairs.texts.target.to_list()
            texts |= {n: (sources[n - start], targets[n - start]) for n in wanted}
    return texts


def _pairs_files(dataset: Dataset) -> dict[Split, list[Path]]:
    """The PAIRS files of each split.

    Raises:
        InputError: a file is missing or damaged.
    """
    files: dict[Split, list[Path]] = {}
    for split, counts in dataset.manifest.splits.items():
        files[split] = [dataset.path / name for name in counts.pairs_files]
        for file in files[split]:
            with dataset_read_errors(file):
                missing = set(_TEXT_COLUMNS) - set(pq.read_schema(file.absolute()).names)
                if missing:
                    raise KeyError(f"no column {', '.join(sorted(missing))}")
    return files


def _written_reader(files: Sequence[Path]) -> PairReader:
    """Reads PAIRS files. Files without origins have their rows named by file and number."""

    def read() -> Iterator[NamedPairs]:
        for file in files:
            with dataset_read_errors(file):
                yield from _written_pairs(file)

    return read


def _written_pairs(file: Path) -> Iterator[NamedPairs]:
    file = file.absolute()  # pyarrow takes a relative path such as `ds:1/a.parquet` for a URI
    has_origin = "origin" in pq.read_schema(file).names
    columns = [*_TEXT_COLUMNS, "origin"] if has_origin else list(_TEXT_COLUMNS)
    n_before = 0
    for batch in iter_batches([file], columns):
        for start in range(0, len(batch), _BATCH_ROWS):
            part = batch.slice(start, _BATCH_ROWS)
            names = (
                part.column("origin").to_pylist()
                if has_origin
                else [f"{file.name}:{n_before + n}" for n in range(1, len(part) + 1)]
            )
            n_before += len(part)
            yield _named_pairs(names, *(part.column(name).to_pylist() for name in _TEXT_COLUMNS))


def _named_pairs(
    names: list[str], sources: Sequence[str | None], targets: Sequence[str | None]
) -> NamedPairs:
    return NamedPairs(names, PairTexts(_column(sources), _column(targets), "und", "und"))


def _column(texts: Iterable[str | None]) -> TextColumn:
    """A column of texts. Datasets of earlier releases can have the character of its separator."""
    return TextColumn.of((text or "").replace(SEPARATOR, "\ufffd") for text in texts)


class _TestFiles:
    """The pairs of one or two test files.

    Args:
        dataset: tells the languages.
        files: a table, two aligned text files, or one text file of sources.
        source_column: the column of a table with the sources.
        target_column: the column of a table with the targets.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """

    def __init__(
        self, dataset: Dataset, files: Sequence[Path], source_column: str, target_column: str
    ) -> None:
        if not 1 <= len(files) <= _MAX_FILES:
            raise InputError(
                f"{len(files)} test files: give one table, or one file of sources and one of "
                "targets that is aligned with it"
            )
        self._files = files
        self._sources = files[0] if len(files) == 1 and format_of(files[0]) == "text" else None
        self.n_unreadable = 0
        if self._sources is not None:
            return
        item: dict[str, Any] = (
            {"path": files[0], "source_column": source_column, "target_column": target_column}
            if len(files) == 1
            else {"source": files[0], "target": files[1]}
        )
        manifest = dataset.manifest
        langs = {"source_lang": manifest.source_lang, "target_lang": manifest.target_lang}
        self._description = parse_settings(
            CorpusDescription, {**langs, "inputs": [item]}, where="test files"
        )
        check_inputs(self._description)

    def read(self) -> Iterator[NamedPairs]:
        """The pairs that can be read.

        Raises:
            InputError: a file cannot be read, or has no row.
        """
        self.n_unreadable = n_pairs = 0
        rows = self._rows()
        while batch := list(itertools.islice(rows, _BATCH_ROWS)):
            good = [row[:3] for row in batch if row[3] is None]
            self.n_unreadable += len(batch) - len(good)
            n_pairs += len(good)
            yield _named_pairs([row[0] for row in good], [r[1] for r in good], [r[2] for r in good])
        if not n_pairs:
            raise InputError(
                f"{' and '.join(map(str, self._files))}: no row that can be read; check the file"
            )

    def _rows(self) -> Iterator[tuple[str, str | None, str | None, str | None]]:
        """Where each row comes from, its source, its target, and why it cannot be read."""
        if self._sources is not None:
            for number, row in enumerate(iter_rows(self._sources), start=1):
                name = f"{self._sources.name}:{number}"
                yield name, row.values[TEXT_COLUMN], None, row.problem
            return
        for item in self._description.inputs:
            for part in item.parts:
                for pair in iter_pairs(item, part):
                    yield pair.origin, pair.source, pair.target, pair.problem
