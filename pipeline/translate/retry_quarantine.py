"""Retries the rows that a run quarantined.

Reads: the quarantine of a published run.
Writes: one run of the table. The rows to retry are copied to the scratch folder of that run, with
their ids, so a retry does not need the lake.
Run: ``lingo table retry-quarantine TABLE RUN``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import BundleManifest, read_bundle_manifest
from pipeline.lake.files import inspect_file
from pipeline.observability.progress import OnProgress, ignore_progress
from pipeline.schemas import FAILED, TOO_LONG
from pipeline.storage.file_version import InputFile
from pipeline.storage.files import files_in, read_parquet, resolved, write_parquet
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    IDENTITY,
    QUARANTINE_FOLDER,
    RETRY_FOLDER,
    TOMBSTONES_FOLDER,
    Lineage,
    RunManifest,
    RunPlan,
    TableIdentity,
    Unit,
    run_named,
    run_number,
    run_path,
)
from pipeline.table.open_table import open_table
from pipeline.table.table import Table, new_run_id
from pipeline.translate.actors import run_on_actors
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.input_columns import planned_schema
from pipeline.translate.lineage import lineage_of
from pipeline.translate.planning import new_plan, table_identity
from pipeline.translate.publish import check_same_run, finish_run
from pipeline.translate.retry_rows import retry_fields
from pipeline.translate.row_ids import ROW_ID
from pipeline.translate.translation_run import RunUnits, TranslationRun
from pipeline.translate.units import units_of

RETRYABLE_REASONS = (FAILED, TOO_LONG)
"""Reasons that a retry can remove. The quarantine has no text of rows that could not be read."""


def retry_quarantine(
    retry_of: str,
    model: Path,
    output: Location,
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    *,
    run_units: RunUnits = run_on_actors,
    on_progress: OnProgress = ignore_progress,
) -> RunManifest | None:
    """Retry the rows that run ``retry_of`` quarantined, and publish them as one run.

    Skips rows that a later run has already handled, and rows that could not be read: fix their
    file instead, and the next run reads it again. An unfinished retry is continued. The run is
    published however many rows fail again.

    Args:
        retry_of: the id or number of a run.
        model: a model bundle.
        output: the table, here or on S3.
        config: the columns are the table's own. Other settings may differ, so a retry can allow
            longer texts.
        resources: the machines to use.
        run_units: does the units; by default on Ray Data actors.
        on_progress: called with the rows done and the rows in all as the run proceeds.

    Returns:
        the manifest of the published run, or None if there is nothing to retry.

    Raises:
        InputError: there is no such run; else as :func:`~pipeline.translate.stage.translate_table`.
        RunError: as :func:`~pipeline.translate.stage.translate_table`.
    """
    model, table = model.resolve(), open_table(resolved(output))
    bundle = read_bundle_manifest(model)
    identity = TableIdentity.load(table.root / IDENTITY)
    columns = identity.model_dump(include={"text_column", "id_column", "limit"})
    config = config.model_copy(update=columns)
    table.check_identity(table_identity(bundle, config))
    with table.locked():
        plan = table.unfinished()
        published = table.published()
        retried = run_named(retry_of, published)
        if plan is None:
            run_id = new_run_id(published)
            plan = plan_retry(run_id, retried, table, published, bundle, config, lineage_of(model))
            if not plan.units:
                return None
            plan = table.begin(plan)
        requested = {
            "retry_of": retried.run_id,
            "settings": retry_config(config).model_dump(mode="json"),
            "model_id": bundle.model_id,
        }
        check_same_run(table, plan, requested)
        return finish_run(TranslationRun(table, plan, model, resources, on_progress), run_units)


def plan_retry(
    run_id: str,
    retried: RunManifest,
    table: Table,
    published: list[RunManifest],
    model: BundleManifest,
    config: TranslateConfig,
    lineage: Lineage,
) -> RunPlan:
    """Plan a run over the quarantined rows of ``retried`` that no later run has handled.

    Writes the rows to the scratch folder of the new run.
    """
    scratch = table.scratch(run_id)
    config = retry_config(config)
    number = run_number(retried.run_id)
    later = [run for run in published if run_number(run.run_id) > number]
    handled_ids = _handled_ids(table, later)
    added = [field.name for field in retry_fields(planned_schema(published[-1]))]
    kept = {*planned_schema(retried).names, *added}
    units: list[Unit] = []
    files: list[InputFile] = []
    for part in files_in(table.data / run_path(retried) / QUARANTINE_FOLDER, "part-*.parquet"):
        rows = read_parquet(part)
        rows = rows.filter(pc.is_in(rows["reason"], pa.array(RETRYABLE_REASONS)))
        rows = rows.filter(pc.invert(pc.is_in(rows[ROW_ID], handled_ids)))
        if not rows.num_rows:
            continue
        name = f"{RETRY_FOLDER}/{part.name}"
        write_parquet(scratch / name, rows.select([n for n in rows.column_names if n in kept]))
        inspected = inspect_file(scratch, name)
        files.append(inspected.file)
        units += units_of(inspected, model, config)
    return new_plan(
        run_id,
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
        retry_of=retried.run_id,
    )


def retry_config(config: TranslateConfig) -> TranslateConfig:
    """The settings of a retry. Its rows have their ids and final column names already."""
    changes: dict[str, Any] = {
        "id_column": ROW_ID,
        "rename": {},
        "drop_columns": (),
        "keep_columns": None,
        "limit": None,
        "max_failed_share": 1.0,
    }
    return config.model_copy(update=changes)


def _handled_ids(table: Table, runs: list[RunManifest]) -> pa.Array:
    """Ids of the rows that some runs published, quarantined or deleted."""
    chunks = [pa.array([], pa.string())]
    for run in runs:
        for part in _parts(table.data / run_path(run)):
            chunks += read_parquet(part, [ROW_ID])[ROW_ID].chunks
    return pa.concat_arrays(chunks)


def _parts(run_folder: Location) -> Iterator[Location]:
    for folder in (run_folder, run_folder / QUARANTINE_FOLDER, run_folder / TOMBSTONES_FOLDER):
        yield from files_in(folder, "part-*.parquet")
