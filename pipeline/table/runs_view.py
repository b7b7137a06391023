"""The view ``runs``, from the manifests of published runs."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from pipeline.table.manifest import RunManifest

RUNS_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("run_date", pa.date32()),
        ("started_at", pa.timestamp("us", "UTC")),
        ("finished_at", pa.timestamp("us", "UTC")),
        ("model_id", pa.string()),
        *[
            (f"n_{name}", pa.int64())
            for name in ("input", "translated", "reused", "passed_through", "quarantined")
        ],
        *[
            (f"n_units_{name}", pa.int64())
            for name in ("planned", "skipped", "deferred", "emitted")
        ],
        ("n_rows_deleted", pa.int64()),
        ("retry_of", pa.string()),
        ("model", pa.string()),
        ("dataset_fingerprint", pa.string()),
        ("corpus", pa.list_(pa.string())),
    ]
)


def register_runs(connection: duckdb.DuckDBPyConnection, runs: Iterable[RunManifest]) -> None:
    """Register the view ``runs`` with one row for each of the runs."""
    rows = list(map(_run_row, runs))
    connection.register("runs", pa.Table.from_pylist(rows, schema=RUNS_SCHEMA))


def _run_row(run: RunManifest) -> dict[str, object]:
    values = run.model_dump() | run.rows.model_dump() | run.lineage.model_dump()
    return {"run": run.run_id} | {name: values[name] for name in RUNS_SCHEMA.names if name != "run"}
