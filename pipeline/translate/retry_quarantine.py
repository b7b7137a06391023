"""Rows of a run's quarantine, to be tried again.

Reads: the quarantine of a published run. Writes: the rows that are worth another try, to the
scratch folder of the run that tries them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import BundleManifest
from pipeline.lake.files import inspect_file
from pipeline.schemas import FAILED, QUARANTINE_COLUMNS, TOO_LONG
from pipeline.storage.file_version import InputFile
from pipeline.storage.files import files_in, read_parquet, write_parquet
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    QUARANTINE_FOLDER,
    RETRY_FOLDER,
    TOMBSTONES_FOLDER,
    Lineage,
    RunManifest,
    RunPlan,
    Unit,
    run_number,
    run_path,
)
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.planning import new_plan
from pipeline.translate.row_ids import ROW_ID
from pipeline.translate.units import units_of

# Of rows that could not be read the quarantine has no text; their file must be mended.
REASONS = (FAILED, TOO_LONG)


def plan_retry(
    run: str,
    of: RunManifest,
    table: Table,
    published: list[RunManifest],
    model: BundleManifest,
    config: TranslateConfig,
    lineage: Lineage,
) -> RunPlan:
    """Plan a run over the rows that a run put into quarantine and that nothing became of since.

    The rows are written to the new run's scratch folder, with the ids that they have. However
    many fail again, the run is published: a second failure is news, too.
    """
    scratch = table.scratch(run)
    config = retry_config(config)
    settled = _settled_ids(
        table, [r for r in published if run_number(r.run_id) > run_number(of.run_id)]
    )
    units: list[Unit] = []
    files: list[InputFile] = []
    for part in files_in(table.data / run_path(of) / QUARANTINE_FOLDER, "part-*.parquet"):
        rows = read_parquet(part)
        rows = rows.filter(pc.is_in(rows["reason"], pa.array(REASONS)))
        rows = rows.filter(pc.invert(pc.is_in(rows[ROW_ID], settled)))
        if not rows.num_rows:
            continue
        ours = [name for name in QUARANTINE_COLUMNS.names if name != ROW_ID]
        target = scratch / RETRY_FOLDER / part.name
        write_parquet(target, rows.drop_columns(ours))
        inspected = inspect_file(scratch, f"{RETRY_FOLDER}/{part.name}")
        files.append(inspected.file)
        units += units_of(inspected, model, config)
    return new_plan(
        run,
        scratch,
        model,
        config,
        published,
        lineage=lineage,
        schema_base64=published[-1].schema_base64,
        files=tuple(files),
        deleted_files=(),
        units=tuple(units),
        n_units_skipped=0,
        retry_of=of.run_id,
    )


def retry_config(config: TranslateConfig) -> TranslateConfig:
    """The settings of a run over rows of the quarantine, which have their ids and final names."""
    changes: dict[str, Any] = {
        "id_column": ROW_ID,
        "rename": {},
        "limit": None,
        "max_failed_share": 1.0,
    }
    return config.model_copy(update=changes)


def _settled_ids(table: Table, later: list[RunManifest]) -> pa.Array:
    """Ids of rows of which some runs published, quarantined or retracted a version."""
    found = [pa.array([], pa.string())]
    for run in later:
        folder = table.data / run_path(run)
        found += [ids for part in _parts(folder) for ids in _row_ids(part)]
    return pa.concat_arrays(found)


def _parts(folder: Location) -> Iterator[Location]:
    for below in (folder, folder / QUARANTINE_FOLDER, folder / TOMBSTONES_FOLDER):
        yield from files_in(below, "part-*.parquet")


def _row_ids(part: Location) -> list[pa.Array]:
    chunks: list[pa.Array] = read_parquet(part, [ROW_ID])[ROW_ID].chunks
    return chunks
