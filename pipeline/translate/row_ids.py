"""Row ids: the value of an id column, or a hash of the file's path and the row's position."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from lingo_model import InputError
from pipeline.lake.range_reader import read_column
from pipeline.storage.hashing import hash64, hex_digest
from pipeline.storage.location import Location
from pipeline.table.manifest import Unit
from pipeline.translate.config import TranslateConfig

ROW_ID = "row_id"
"""The name of the id column in the output."""


def position_id(path: str, row: int) -> str:
    """Id of a row without an id of its own: hash of its file's path and its position from 0."""
    return hex_digest(path, str(row))


def id_text(value: object) -> str:
    """The text of a value of the id column. Null and the empty text are no id.

    Binary becomes hexadecimal digits; dates and timestamps are as in ISO 8601, with a space
    between day and time.
    """
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value)


def row_id(value: object, path: str, row: int) -> str:
    """Id of a row by the value of the id column. A row that cannot be read may have no value."""
    return id_text(value) or position_id(path, row)


def expected_row_ids(
    root: Location, units: Iterable[Unit], config: TranslateConfig
) -> Iterator[str]:
    """Ids that the output must have for all units of *one* file, read from the input."""
    units = list(units)
    path, n_rows = units[0].path, sum(unit.n_rows for unit in units)
    if config.id_column is None:
        yield from (position_id(path, row) for row in range(n_rows))
        return
    column = read_column(root, path, config.rename, config.id_column)
    for row, (value, _) in enumerate(itertools.islice(column, n_rows)):
        yield row_id(value, path, row)


def check_unique_ids(root: Location, units: Iterable[Unit], config: TranslateConfig) -> None:
    """Refuse an id column with nulls, empty or repeated values, before any work is done.

    Raises:
        InputError: names the rows.
    """
    if config.id_column is None:
        return
    rows_by_path: dict[str, int] = {}
    for unit in units:
        rows_by_path[unit.path] = rows_by_path.get(unit.path, 0) + unit.n_rows
    if not rows_by_path:
        return
    hashes = np.concatenate(
        [
            _id_hashes(root, path, n_rows, config.rename, config.id_column)
            for path, n_rows in rows_by_path.items()
        ]
    )
    values, counts = np.unique(hashes, return_counts=True)
    if (counts > 1).any():
        repeated = set(values[counts > 1].tolist())
        _refuse_repeated_id(root, rows_by_path, config.rename, config.id_column, repeated)


def _id_hashes(
    root: Location, path: str, n_rows: int, rename: Mapping[str, str], id_column: str
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    hashes = np.empty(n_rows, np.uint64)
    column = itertools.islice(read_column(root, path, rename, id_column), n_rows)
    for row, (value, is_readable) in enumerate(column):
        if is_readable and not id_text(value):
            raise InputError(
                f"{path}: row {row + 1} has no value in the id column {id_column!r}; add one, or "
                "leave out --id-column"
            )
        hashes[row] = hash64(row_id(value, path, row))
    return hashes


def _refuse_repeated_id(
    root: Location,
    rows_by_path: Mapping[str, int],
    rename: Mapping[str, str],
    id_column: str,
    repeated_hashes: set[int],
) -> None:
    """Read the ids again and name the first one that is repeated. Equal hashes of different ids
    are no error."""
    first_seen: dict[str, str] = {}
    for path, n_rows in rows_by_path.items():
        column = itertools.islice(read_column(root, path, rename, id_column), n_rows)
        for row, (value, _) in enumerate(column):
            identifier = row_id(value, path, row)
            if hash64(identifier) not in repeated_hashes:
                continue
            position = f"row {row + 1} of {path}"
            if identifier in first_seen:
                raise InputError(
                    f"id column {id_column!r}: {identifier!r} is in {first_seen[identifier]} and "
                    f"in {position}; make the ids unique, or leave out --id-column"
                )
            first_seen[identifier] = position
