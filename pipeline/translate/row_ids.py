"""Row ids: from an id column, or from a file's path and a row's position."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from lingo_model import InputError
from pipeline.lake.range_reader import read_column
from pipeline.storage.hashing import hash64
from pipeline.storage.location import Location
from pipeline.table.manifest import Unit
from pipeline.translate.config import TranslateConfig

ROW_ID = "row_id"


def position_id(path: str, row: int) -> str:
    """Id of a row that has none of its own: of its file and its place there."""
    return _digest(f"{path}\x1f{row}")


def row_id(value: object, path: str, row: int) -> str:
    """Id of a row by the id column's value; an unreadable row may have none."""
    return position_id(path, row) if value is None else str(value)


def expected_row_ids(
    root: Location, units: Iterable[Unit], config: TranslateConfig
) -> Iterator[str]:
    """Ids of the rows that the units of *one file*, all of them, must give, from the input."""
    units = list(units)
    path, n_rows = units[0].path, sum(unit.n_rows for unit in units)
    if config.id_column is None:
        yield from (position_id(path, row) for row in range(n_rows))
        return
    column = read_column(root, path, config.rename, config.id_column)
    for row, (value, _) in enumerate(itertools.islice(column, n_rows)):
        yield row_id(value, path, row)


def source_hash(text: str) -> str:
    """Hash of a source text, the same in every run."""
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def check_unique_ids(root: Location, units: Iterable[Unit], config: TranslateConfig) -> None:
    """Refuse ids that are null or stand twice among the rows of a run, before any work."""
    by_path: dict[str, list[Unit]] = {}
    for unit in units:
        by_path.setdefault(unit.path, []).append(unit)
    hashes = []
    for path, mine in by_path.items():
        n_rows = sum(unit.n_rows for unit in mine)
        assert config.id_column is not None
        column = read_column(root, path, config.rename, config.id_column)
        found = np.empty(n_rows, np.uint64)
        for row in range(n_rows):
            value, is_readable = next(column)
            if value is None and is_readable:
                raise InputError(
                    f"{path}: row {row + 1} has no value in the id column "
                    f"{config.id_column!r}; fill it, or leave --id-column out"
                )
            found[row] = hash64(row_id(value, path, row))
        hashes.append(found)
    if not hashes:
        return
    together = np.concatenate(hashes)
    values, counts = np.unique(together, return_counts=True)
    if (counts > 1).any():
        _name_the_double(root, by_path, config, set(values[counts > 1].tolist()))


def _name_the_double(
    root: Location, by_path: Mapping[str, list[Unit]], config: TranslateConfig, doubled: set[int]
) -> None:
    assert config.id_column is not None
    seen: dict[str, str] = {}
    for path, mine in by_path.items():
        column = read_column(root, path, config.rename, config.id_column)
        for row in range(sum(unit.n_rows for unit in mine)):
            value = row_id(next(column)[0], path, row)
            if hash64(value) not in doubled:
                continue
            place = f"row {row + 1} of {path}"
            if value in seen:
                raise InputError(
                    f"id column {config.id_column!r}: {value!r} stands in {seen[value]} and in "
                    f"{place}; make ids unique, or leave --id-column out"
                )
            seen[value] = place
