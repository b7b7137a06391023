"""Rows whose earlier versions are void after a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from pipeline.lake.files import is_unchanged
from pipeline.storage.file_version import InputFile
from pipeline.storage.files import names_below, read_parquet, stamp_of
from pipeline.storage.location import Location
from pipeline.table.manifest import QUARANTINE_FOLDER, Unit, run_path
from pipeline.table.published_files import PublishedFile
from pipeline.translate.config import TranslateConfig
from pipeline.translate.row_ids import expected_row_ids, position_id


def deleted_row_ids(
    published: PublishedRowIds,
    before: PublishedFile | None,
    root: Location,
    units: list[Unit],
    config: TranslateConfig,
) -> list[str]:
    """Ids of rows that the table has of a file whose newest version, ``units``, has them not."""
    if before is None:
        return []
    if config.id_column is None:
        path = before.seen.path
        n_rows, n_before = (sum(unit.n_rows for unit in those) for those in (units, before.units))
        return [position_id(path, row) for row in range(n_rows, n_before)]
    kept = set(expected_row_ids(root, units, config)) if units else set()
    return [row_id for row_id in published.of([before]) if row_id not in kept]


def is_still_deleted(root: Location, path: str, emptied: InputFile | None) -> bool:
    """Whether a file that the plan found deleted, or empty, still is."""
    if emptied is not None:
        return is_unchanged(root, emptied)
    return stamp_of(root / path) is None


def without_moved_ids(gone: list[str], elsewhere: Iterator[str]) -> list[str]:
    """Of ids that are gone from their file, those that have not moved to another."""
    left = set(gone)
    for row_id in elsewhere:
        left.discard(row_id)
        if not left:
            break
    return [row_id for row_id in gone if row_id in left]


class PublishedRowIds:
    """Ids of the rows that a table has, read back. Args: data: where its runs are."""

    def __init__(self, data: Location) -> None:
        self._data = data
        self._names: dict[str, set[str]] = {}

    def of(self, files: Iterable[PublishedFile]) -> Iterator[str]:
        """Those of the newest published versions of some files; each part is read once."""
        by_run: dict[str, list[PublishedFile]] = {}
        for file in files:
            by_run.setdefault(run_path(file.run), []).append(file)
        for run, mine in by_run.items():
            if run not in self._names:
                self._names[run] = names_below(self._data / run)
            units = [unit for file in mine for unit in file.units]
            wanted = {unit.unit_id for unit in units}
            for part in mine[0].run.compacted:
                if any(unit_id in wanted for unit_id, _ in part.units):
                    ids = iter(read_row_ids(self._data / run / part.file_name))
                    for unit_id, n_rows in part.units:
                        found = list(itertools.islice(ids, n_rows))
                        yield from found if unit_id in wanted else ()
            for unit in units:
                for name in unit_files(unit):
                    if name in self._names[run]:
                        yield from read_row_ids(self._data / run / name)


def unit_files(unit: Unit) -> tuple[str, str]:
    """Where its rows and those of its quarantine are, below a run's folder."""
    return unit.file_name, f"{QUARANTINE_FOLDER}/{unit.file_name}"


def read_row_ids(part: Location) -> list[str]:
    found: list[str] = read_parquet(part, ["row_id"])["row_id"].to_pylist()
    return found
