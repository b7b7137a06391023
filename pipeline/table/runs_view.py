"""The rows of the view ``runs``."""

from __future__ import annotations

import datetime

import pyarrow as pa

from pipeline.table.manifest import RunManifest

_RUNS = pa.schema(
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
        ("n_rows_retracted", pa.int64()),
        ("replay_of", pa.string()),
        ("model", pa.string()),
        ("dataset_fingerprint", pa.string()),
        ("corpus", pa.list_(pa.string())),
    ]
)


def _row(run: RunManifest) -> dict[str, object]:
    """A run as the view ``runs`` shows it."""
    flat = run.model_dump() | run.rows.model_dump() | run.lineage.model_dump()
    for name in ("started_at", "finished_at"):
        flat[name] = datetime.datetime.fromisoformat(flat[name])
    flat["run_date"] = datetime.date.fromisoformat(run.run_date)
    return {name: flat[name] for name in _RUNS.names}
