"""Reads the raw pairs of one input of a corpus.

Reads: the files of the input.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.formats.encoding import checked_row
from pipeline.formats.read import are_too_many, iter_rows
from pipeline.formats.rows import MALFORMED, format_of
from pipeline.formats.text_column import TEXT_COLUMN
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_files import InputPart

_MAX_NAMED_KEYS = 20


@dataclasses.dataclass(slots=True)
class RawPair:
    """A pair as it was read.

    Args:
        source: the source text, or None if the row has none.
        target: the target text, or None if the row has none.
        origin: the input's name and the row's number, such as ``train.tsv:7``.
        problem: ``undecodable``, ``malformed``, or None if the row is good.
        extra: the other columns of the row.
        detail: why the row has its problem.
        line: the number of the row's first line in the file, counted from 1. None for Parquet.
        text: the beginning of a malformed row's text, as it is in the file.
    """

    source: str | None
    target: str | None
    origin: str
    problem: str | None
    extra: dict[str, Any]
    detail: str | None = dataclasses.field(default=None, compare=False)
    line: int | None = dataclasses.field(default=None, compare=False)
    text: str | None = dataclasses.field(default=None, compare=False)


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
    if part.path is not None:
        yield from _table_pairs(item, part.path, origin)
    elif part.source is not None and part.target is not None:
        yield from _aligned_pairs(part.source, part.target, origin)


def _aligned_pairs(source_file: Path, target_file: Path, origin: str) -> Iterator[RawPair]:
    sources, targets = iter_rows(source_file), iter_rows(target_file)
    line = 0
    while True:
        source, target = next(sources, None), next(targets, None)
        if source is None and target is None:
            return
        if source is None or target is None:
            n_source = line + (source is not None) + sum(1 for _ in sources)
            n_target = line + (target is not None) + sum(1 for _ in targets)
            raise InputError(
                f"{source_file} has {n_source} lines and {target_file} has {n_target}: aligned "
                "files need equally many; find the line that is missing or doubled"
            )
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


def _table_pairs(item: CorpusInput, path: Path, origin: str) -> Iterator[RawPair]:
    # The dataset has no columns for the other keys of JSONL; see extra_schema.
    is_jsonl = format_of(path) == "jsonl"
    columns = (item.source_column, item.target_column)
    keys_seen: dict[str, None] = {}
    number = n_foreign = first_foreign = 0
    for number, row in enumerate(iter_rows(path, item.read_options), start=1):
        values = row.values
        if is_jsonl and row.problem != MALFORMED:
            is_full = len(keys_seen) >= _MAX_NAMED_KEYS
            keys_seen |= dict.fromkeys(values.keys() & set(columns) if is_full else values)
            if missing := [column for column in columns if column not in values]:
                row.detail = row.detail or f"the row has no {' and no '.join(map(repr, missing))}"
            if values and len(missing) == len(columns):  # another format; null keys are omitted
                n_foreign += 1
                first_foreign = first_foreign or number
                row.problem = row.problem or MALFORMED
        source, target = (values.pop(column, None) for column in columns)
        if isinstance(source, bytes) or isinstance(target, bytes):  # a binary column of Parquet
            decoded = checked_row({"source": _decoded(source), "target": _decoded(target)})
            source, target = decoded.values["source"], decoded.values["target"]
            row.problem = row.problem or decoded.problem
            row.detail = row.detail or decoded.detail
        is_text = isinstance(source, str | None) and isinstance(target, str | None)
        yield RawPair(
            source if isinstance(source, str) else None,
            target if isinstance(target, str) else None,
            f"{origin}:{number}",
            row.problem or (None if is_text else MALFORMED),
            {} if is_jsonl else values,
            detail=row.detail if row.problem or is_text else "source or target is not text",
            line=row.line,
            text=row.text,
        )
    if is_jsonl and number:
        _check_keys(path, columns, keys_seen)
        if are_too_many(n_foreign, number):
            raise InputError(
                f"{path}: {n_foreign} of {number} rows have neither {columns[0]!r} nor "
                f"{columns[1]!r} (the first is row {first_foreign}); give all rows the same keys, "
                "or split the file by its keys and give each part as an input"
            )


def _check_keys(path: Path, columns: tuple[str, str], keys: Mapping[str, None]) -> None:
    """Refuse a JSON file none of whose rows has one of the columns."""
    if not keys:
        raise InputError(f"{path}: no row is a JSON object; write one JSON object on each line")
    for column in columns:
        if column not in keys:
            named = ", ".join(map(repr, itertools.islice(keys, _MAX_NAMED_KEYS)))
            raise InputError(
                f"{path}: no row has {column!r}; set source_column and target_column (the rows "
                f"have {named})"
            )


def _decoded(value: Any) -> Any:
    """Bytes as text, in which bytes that are not UTF-8 are lone surrogates."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
