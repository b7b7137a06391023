"""Reads the raw pairs of one input of a corpus.

Reads: the files of the input.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.bilingual import BILINGUAL_FORMATS, bilingual_rows
from pipeline.formats.describe import describe_columns
from pipeline.formats.encoding import checked_row
from pipeline.formats.read import are_too_many, iter_rows
from pipeline.formats.rows import MALFORMED, Row, format_of
from pipeline.formats.text_column import TEXT_COLUMN
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_columns import (
    MISSING,
    TextColumns,
    as_text,
    leaf_names,
    other_columns,
    other_keys,
    text_columns,
    tree_of_sample,
    tree_of_schema,
    value_at,
)
from pipeline.prepare.input_files import InputPart
from pipeline.prepare.misalignment import unequal_lengths

_MAX_NAMED_KEYS = 20


@dataclasses.dataclass(slots=True)
class RawPair:
    """A pair as it was read.

    Args:
        source: the source text, or None if the row has none.
        target: the target text, or None if the row has none.
        origin: the input's name and the row's number, such as ``train.tsv:7``.
        problem: one of the problems of :class:`pipeline.formats.rows.Row`, or None if the row is
            good.
        extra: the other columns of the row.
        detail: why the row has its problem.
        line: the number of the row's first line in the file, counted from 1. None for Parquet.
        text: the beginning of a malformed row's text, as it is in the file.
        unit: the name of a translation unit in its file. None if the format or the unit has none.
    """

    source: str | None
    target: str | None
    origin: str
    problem: str | None
    extra: dict[str, Any]
    detail: str | None = dataclasses.field(default=None, compare=False)
    line: int | None = dataclasses.field(default=None, compare=False)
    text: str | None = dataclasses.field(default=None, compare=False)
    unit: str | None = dataclasses.field(default=None, compare=False)


def iter_pairs(
    item: CorpusInput, part: InputPart, *, origin: str | None = None
) -> Iterator[RawPair]:
    """Read every pair of one part of an input, in order, as a stream.

    Args:
        item: the input, which says how its files are read.
        part: one of the input's parts.
        origin: what the origins of its pairs begin with; by default the name of the first file.

    Raises:
        InputError: a file cannot be read, aligned files have different numbers of lines, or no row
            of a JSONL file has one of the columns.
    """
    origin = origin or part.files[0].name
    if part.source is not None and part.target is not None:
        yield from _aligned_pairs(item, part.source, part.target, origin)
    elif part.path is not None:
        file_format = format_of(part.path, item.encoding)
        if file_format in BILINGUAL_FORMATS:
            yield from _unit_pairs(item, part.path, origin)
        elif file_format == "jsonl":
            yield from _json_pairs(item, part.path, origin)
        else:
            yield from _table_pairs(item, part.path, origin)


def _aligned_pairs(
    item: CorpusInput, source_file: Path, target_file: Path, origin: str
) -> Iterator[RawPair]:
    sources = iter_rows(source_file, item.read_options)
    targets = iter_rows(target_file, item.read_options)
    line = 0
    while True:
        source, target = next(sources, None), next(targets, None)
        if source is None and target is None:
            return
        if source is None or target is None:
            raise InputError(unequal_lengths(source_file, target_file, item.read_options))
        line += 1
        bad = source if source.problem else target
        yield RawPair(
            source.values[TEXT_COLUMN],
            target.values[TEXT_COLUMN],
            f"{origin}:{line}",
            bad.problem,
            {},
            detail=bad.detail,
            line=line,
            text=bad.text,
        )


def _unit_pairs(item: CorpusInput, path: Path, origin: str) -> Iterator[RawPair]:
    for number, row in enumerate(bilingual_rows(path, item.bilingual_options), start=1):
        yield _pair(
            row, row.values.get("source"), row.values.get("target"), f"{origin}:{number}", {}
        )


def _table_pairs(item: CorpusInput, path: Path, origin: str) -> Iterator[RawPair]:
    schema = describe_columns(path, item.read_options).schema or pa.schema([])
    columns = text_columns(item.column_settings, tree_of_schema(schema))
    take = _taker(columns)
    kept = other_columns(item.column_settings, columns, schema.names)
    is_as_it_is = list(kept) == list(kept.values()) and (
        kept.keys() | set(columns.names) == set(schema.names)
    )
    for number, row in enumerate(iter_rows(path, item.read_options), start=1):
        source, target = take(row.values)
        extra = row.values
        if not is_as_it_is:
            extra = {new: extra[old] for old, new in kept.items() if old in extra}
        yield _pair(row, source, target, f"{origin}:{number}", extra)


def _json_pairs(item: CorpusInput, path: Path, origin: str) -> Iterator[RawPair]:
    sample = tree_of_sample(path, item.read_options)
    columns = text_columns(item.column_settings, sample)
    # The dataset has no columns for the other keys, unless the description names them.
    kept = other_keys(item.column_settings)
    take = _taker(columns)
    keys = _SeenKeys(path, columns.names, leaf_names(sample))
    for number, row in enumerate(iter_rows(path, item.read_options), start=1):
        extra = {new: as_text(row.values.get(old)) for old, new in kept.items()} if kept else {}
        is_empty = not row.values
        source, target = take(row.values)
        keys.add(row, source, target, number, is_empty=is_empty)
        yield _pair(row, source, target, f"{origin}:{number}", extra)
    keys.check()


class _SeenKeys:
    """Which of the two columns the rows of a JSON file have.

    Args:
        path: the file.
        columns: the columns with source and target.
        names: the columns of the first rows.
    """

    def __init__(self, path: Path, columns: tuple[str, str], names: list[str]) -> None:
        self._path = path
        self._columns = columns
        self._names = names
        # In a null object, any key is null, so that does not tell whether other objects have it.
        is_nested = any("." in name for name in columns)
        self._absent = (MISSING, None) if is_nested else (MISSING,)
        self._present = {name for name in columns if name in names}
        self._has_keys = False
        self._n_rows = self._n_foreign = self._first_foreign = 0

    def add(self, row: Row, source: Any, target: Any, number: int, *, is_empty: bool) -> None:
        """Note the columns of a row. A row with other keys only becomes malformed."""
        self._n_rows = number
        if source not in self._absent and target not in self._absent:
            self._has_keys = True
            if len(self._present) < len(self._columns):
                self._present.update(self._columns)
            return
        self._has_keys = self._has_keys or not is_empty
        if row.problem == MALFORMED:
            return
        both = list(zip(self._columns, (source, target), strict=True))
        self._present.update(name for name, text in both if text not in self._absent)
        missing = [name for name, text in both if text is MISSING]
        if missing:
            row.detail = row.detail or f"the row has no {' and no '.join(map(repr, missing))}"
        # Writers leave out keys that are null. A row without both has another format.
        if len(missing) == len(both) and not is_empty:
            self._n_foreign += 1
            self._first_foreign = self._first_foreign or number
            row.problem = row.problem or MALFORMED

    def check(self) -> None:
        """Check the file as a whole.

        Raises:
            InputError: no row is an object, no row has one of the columns, or many have neither.
        """
        if not self._n_rows:
            return
        if not self._has_keys:
            raise InputError(
                f"{self._path}: no row is a JSON object; write one JSON object on each line"
            )
        for name in self._columns:
            if name not in self._present:
                named = ", ".join(map(repr, self._names[:_MAX_NAMED_KEYS]))
                raise InputError(
                    f"{self._path}: no row has {name!r}; set source_column and target_column (the "
                    f"rows have {named})"
                )
        if are_too_many(self._n_foreign, self._n_rows):
            source, target = self._columns
            raise InputError(
                f"{self._path}: {self._n_foreign} of {self._n_rows} rows have neither {source!r} "
                f"nor {target!r} (the first is row {self._first_foreign}); give all rows the same "
                "keys, or split the file by its keys and give each part as an input"
            )


_Take: TypeAlias = Callable[[dict[str, Any]], tuple[Any, Any]]


def _taker(columns: TextColumns) -> _Take:
    """A function that gives source and target of a row, and removes them if they are columns."""
    source, target = columns.names
    if "." in source or "." in target:
        return lambda values: (value_at(values, source), value_at(values, target))
    return lambda values: (values.pop(source, MISSING), values.pop(target, MISSING))


def _pair(row: Row, source: Any, target: Any, origin: str, extra: dict[str, Any]) -> RawPair:
    """A pair of the values of a row, which may have any types."""
    detail, problem = row.detail, row.problem
    if not (isinstance(source, str) and isinstance(target, str)):
        source = None if source is MISSING else source
        target = None if target is MISSING else target
        if isinstance(source, bytes) or isinstance(target, bytes):  # a binary column of Parquet
            decoded = checked_row({"source": _decoded(source), "target": _decoded(target)})
            source, target = decoded.values["source"], decoded.values["target"]
            problem, detail = problem or decoded.problem, detail or decoded.detail
        if not (isinstance(source, str | None) and isinstance(target, str | None)):
            if problem is None:
                problem, detail = MALFORMED, "source or target is not text"
            source = source if isinstance(source, str) else None
            target = target if isinstance(target, str) else None
    return RawPair(
        source,
        target,
        origin,
        problem,
        extra,
        detail=detail,
        line=row.line,
        text=row.text,
        unit=row.unit,
    )


def _decoded(value: Any) -> Any:
    """Bytes as text, in which bytes that are not UTF-8 are lone surrogates."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
