"""Rows of a run's quarantine, to be tried again.

Reads: the quarantine of a published run. Writes: the rows that are worth another try, below the
staging folder of the run that tries them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lingo_model import BundleManifest
from pipeline.lake import inspect_file
from pipeline.schemas import QUARANTINE_COLUMNS
from pipeline.storage import fingerprint_of, write_parquet
from pipeline.table import (
    FORMAT_VERSION,
    QUARANTINE,
    REPLAY,
    RETRACTED,
    Lineage,
    RunManifest,
    RunPlan,
    Table,
    Unit,
    run_folder,
    run_number,
    utc_now,
)
from pipeline.unit_work import FAILED, TOO_LONG
from pipeline.units import ROW_ID, TranslateConfig, memory_of, settings_key_of, unit_id_of

# Of rows that could not be read the quarantine has no text; their file must be mended.
REASONS = (FAILED, TOO_LONG)


def plan_replay(
    run: str,
    of: RunManifest,
    table: Table,
    model: BundleManifest,
    config: TranslateConfig,
    lineage: Lineage,
) -> RunPlan:
    """Plan a run over the rows that a run put into quarantine and that nothing became of since.

    The rows are written below the new run's staging folder, with the ids that they have. However
    many fail again, the run is published: a second failure is news, too.
    """
    published = table.published()
    staged = table.staged(run)
    config = config.model_copy(update={"id_column": ROW_ID, "rename": {}, "max_failed_share": 1.0})
    settings_key = settings_key_of(config, model)
    settled = _settled_ids(table, [r for r in published if run_number(r.run) > run_number(of.run)])
    units, files = [], []
    for part in sorted((table.data / run_folder(of) / QUARANTINE).glob("part-*.parquet")):
        rows = pq.read_table(part, partitioning=None)
        rows = rows.filter(pc.is_in(rows["reason"], pa.array(REASONS)))
        rows = rows.filter(pc.invert(pc.is_in(rows[ROW_ID], settled)))
        if not rows.num_rows:
            continue
        ours = [name for name in QUARANTINE_COLUMNS.names if name != ROW_ID]
        target = staged / REPLAY / part.name
        write_parquet(target, rows.drop_columns(ours))
        file = inspect_file(target, staged).file
        content_id = fingerprint_of([run, file.path, file.sha256, settings_key])
        files.append(file)
        units += [
            Unit(
                unit_id=unit_id_of(content_id, model),
                content_id=content_id[:24],
                path=file.path,
                first_row=first_row,
                n_rows=min(config.rows_per_unit, file.n_rows - first_row),
            )
            for first_row in range(0, file.n_rows, config.rows_per_unit)
        ]
    now = utc_now()
    key, runs = memory_of(model, config, published)
    return RunPlan(
        format_version=FORMAT_VERSION,
        run=run,
        run_date=now[:10],
        started_at=now,
        input=str(staged),
        model_id=model.model_id,
        lineage=lineage,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        settings=config.model_dump(mode="json"),
        settings_key=settings_key,
        memory_key=key,
        memory_runs=runs,
        schema_base64=published[-1].schema_base64,
        files=tuple(files),
        files_gone=(),
        units=tuple(units),
        n_units_skipped=0,
        replay_of=of.run,
    )


def _settled_ids(table: Table, later: list[RunManifest]) -> pa.Array:
    """Ids of rows of which some runs published, quarantined or retracted a version."""
    found = [pa.array([], pa.string())]
    for run in later:
        folder = table.data / run_folder(run)
        found += [ids for part in _parts(folder) for ids in _row_ids(part)]
    return pa.concat_arrays(found)


def _parts(folder: Path) -> Iterator[Path]:
    for below in (folder, folder / QUARANTINE, folder / RETRACTED):
        yield from sorted(below.glob("part-*.parquet"))


def _row_ids(part: Path) -> list[pa.Array]:
    chunks: list[pa.Array] = pq.read_table(part, columns=[ROW_ID], partitioning=None)[ROW_ID].chunks
    return chunks
