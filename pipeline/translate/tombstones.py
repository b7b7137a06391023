"""Finds the rows whose earlier versions are void after a run. Their ids become its tombstones.

A row id comes from a path and a position, or from the id column. Ids of the first kind are deleted
if the new version of their file is shorter. Ids of the second kind are lost if the new version of
their file does not have them. They are deleted if no other file has them. If another file has
them, its row is the current one again; ``restored_rows.py`` copies it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from pipeline.lake.files import is_unchanged
from pipeline.storage.file_version import InputFile
from pipeline.storage.files import names_below, read_parquet, stamp_of
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    QUARANTINE_FOLDER,
    RunManifest,
    Unit,
    run_number,
    run_path,
)
from pipeline.table.published_files import PublishedFile
from pipeline.translate.config import TranslateConfig
from pipeline.translate.row_ids import expected_row_ids, position_id


def deleted_row_ids(
    table_ids: PublishedRowIds,
    published: PublishedFile | None,
    root: Location,
    units: list[Unit],
    config: TranslateConfig,
) -> list[str]:
    """Ids that the table has of a file and that the file's new version does not have.

    Args:
        table_ids: the ids in the table.
        published: the file's newest version in the table, if there is one.
        root: the folder that paths are relative to.
        units: the units of the file's new version; empty for a file that is deleted or empty.
        config: the settings of the run.
    """
    if published is None:
        return []
    if config.id_column is None:
        n_rows = sum(unit.n_rows for unit in units)
        n_published_rows = sum(unit.n_rows for unit in published.units)
        path = published.seen.path
        return [position_id(path, row) for row in range(n_rows, n_published_rows)]
    kept = set(expected_row_ids(root, units, config)) if units else set()
    return [row_id for row_id in table_ids.of(published) if row_id not in kept]


def is_still_deleted(root: Location, path: str, emptied: InputFile | None) -> bool:
    """Whether a file that was deleted or empty when the run was planned still is.

    Args:
        root: the folder that ``path`` is relative to.
        path: the file's relative path.
        emptied: the empty file as the plan saw it; None for a deleted file.
    """
    if emptied is not None:
        return is_unchanged(root, emptied)
    # A folder may have the name now.
    return stamp_of(root / path) is None or not (root / path).is_file()


class LostIds:
    """Ids that files no longer have, sorted out by where else they are."""

    def __init__(self) -> None:
        self._lost_from: dict[str, int] = {}

    def add(self, ids: Iterable[str], run_id: str) -> None:
        """Add the ids that a file lost. ``run_id`` is the run that published the file before."""
        number = run_number(run_id)
        for row_id in ids:
            self._lost_from[row_id] = max(number, self._lost_from.get(row_id, 0))

    def drop(self, ids: Iterable[str]) -> None:
        """Drop the ids that are in the new files of the run."""
        for row_id in ids:
            self._lost_from.pop(row_id, None)
            if not self._lost_from:
                break

    def hidden_rows(
        self, table_ids: PublishedRowIds, files: Iterable[PublishedFile]
    ) -> dict[str, list[str]]:
        """Take the ids out that other files of the table have.

        Args:
            table_ids: the ids in the table.
            files: the files of the table that the run leaves as they are.

        Returns:
            the ids whose current row is older than the lost one, which hides it, by the run that
            has the row.
        """
        hidden: dict[str, list[str]] = {}
        if not self._lost_from:
            return hidden
        for run, ids in table_ids.newest_first(files):
            for row_id in ids:
                lost_from = self._lost_from.pop(row_id, None)
                if lost_from is not None and run_number(run.run_id) <= lost_from:
                    hidden.setdefault(run.run_id, []).append(row_id)
                if not self._lost_from:
                    return hidden
        return hidden

    def remaining(self) -> list[str]:
        """The ids that are in no file."""
        return list(self._lost_from)


class PublishedRowIds:
    """The row ids of a table's published files, read back from Parquet.

    Args:
        data: the folder of the published runs.
    """

    def __init__(self, data: Location) -> None:
        self._data = data
        self._names_by_run: dict[str, set[str]] = {}

    def of(self, file: PublishedFile) -> Iterator[str]:
        """Ids of a published file, quarantined rows included."""
        return self._of_run(run_path(file.run), [file])

    def newest_first(
        self, files: Iterable[PublishedFile]
    ) -> Iterator[tuple[RunManifest, Iterator[str]]]:
        """Runs, and the ids of some published files in each. Each part is read once."""
        by_run: dict[str, list[PublishedFile]] = {}
        for file in sorted(files, key=lambda file: run_number(file.run.run_id), reverse=True):
            by_run.setdefault(run_path(file.run), []).append(file)
        for path, files_of_run in by_run.items():
            yield files_of_run[0].run, self._of_run(path, files_of_run)

    def _of_run(self, path: str, files: list[PublishedFile]) -> Iterator[str]:
        folder = self._data / path
        if path not in self._names_by_run:
            self._names_by_run[path] = names_below(folder)
        units = [unit for file in files for unit in file.units]
        wanted = {unit.unit_id for unit in units}
        for part in files[0].run.compacted:
            if any(unit_id in wanted for unit_id, _ in part.units):
                ids = iter(read_row_ids(folder / part.file_name))
                for unit_id, n_rows in part.units:
                    ids_of_unit = list(itertools.islice(ids, n_rows))
                    if unit_id in wanted:
                        yield from ids_of_unit
        for unit in units:
            for name in unit_files(unit):
                if name in self._names_by_run[path]:
                    yield from read_row_ids(folder / name)


def unit_files(unit: Unit) -> tuple[str, str]:
    """The files of a unit's rows and of its quarantined rows, relative to the run's folder."""
    return unit.file_name, f"{QUARANTINE_FOLDER}/{unit.file_name}"


def read_row_ids(part: Location) -> list[str]:
    """The row ids of one Parquet file of a run."""
    ids: list[str] = read_parquet(part, ["row_id"])["row_id"].to_pylist()
    return ids
