"""Copies rows of earlier runs into a run, because a newer version of a row was taken back.

A row id can be in two files. The row that was published last is the current one. If its file loses
the id, the other file's row is the current one again. Its run is older than that of the row that is
gone, so a copy in the new run makes it the newest one.

Reads: the rows of published runs.
Writes: one file of a staged run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.schemas import TRANSLATION_COLUMNS
from pipeline.storage.files import files_in, read_parquet, write_parquet
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest, restored_file, run_number, run_path
from pipeline.translate.row_ids import ROW_ID
from pipeline.translate.tombstones import read_row_ids


def restore_rows(
    hidden: Mapping[str, list[str]],
    runs: Sequence[RunManifest],
    data: Location,
    staged: Location,
    run_id: str,
    input_columns: pa.Schema,
) -> tuple[int, list[str]]:
    """Copy the current rows of some ids into a staged run.

    Args:
        hidden: ids by the run that has their current rows.
        runs: the manifests of the published runs.
        data: the folder of the published runs.
        staged: the folder in which the new run is built.
        run_id: the id of the new run.
        input_columns: the input columns of the new run.

    Returns:
        the number of copied rows, and the ids whose current row is in the quarantine.
    """
    by_id = {run.run_id: run for run in runs}
    schema = pa.schema([*input_columns, *TRANSLATION_COLUMNS])
    tables: list[pa.Table] = []
    quarantined: list[str] = []
    for source_id, ids in hidden.items():
        remaining = set(ids)
        for run in (*_retries_of(source_id, runs), by_id[source_id]):
            for table in _rows(data / run_path(run), remaining):
                remaining.difference_update(table[ROW_ID].to_pylist())
                tables.append(_conformed(table, schema))
        quarantined += [row_id for row_id in ids if row_id in remaining]
    file = staged / restored_file(run_id)
    if tables:
        write_parquet(file, pa.concat_tables(tables))
    else:
        file.unlink(missing_ok=True)  # an attempt that was interrupted may have written it
    return sum(table.num_rows for table in tables), quarantined


def _retries_of(run_id: str, runs: Iterable[RunManifest]) -> list[RunManifest]:
    """The runs that retried the quarantine of a run, or of such a run, newest first."""
    retried = {run_id}
    retries = []
    for run in sorted(runs, key=lambda run: run_number(run.run_id)):
        if run.retry_of in retried:
            retried.add(run.run_id)
            retries.append(run)
    return retries[::-1]


def _rows(folder: Location, ids: set[str]) -> Iterable[pa.Table]:
    """The translated rows of a run that have one of the ids, a table for each file that has any."""
    for part in files_in(folder, "part-*.parquet") if ids else ():
        if not ids.isdisjoint(read_row_ids(part)):
            table = read_parquet(part)
            yield table.filter(pc.is_in(table[ROW_ID], pa.array(sorted(ids), pa.string())))


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a schema. A column that it does not have is null."""
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
