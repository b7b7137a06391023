"""Flow ``translate-corpus``: translate the new rows of a lake into a translation table."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_run
from flows.stages import find_model, retry_quarantined_rows, translate_new_rows
from pipeline.models.reference import CHAMPION
from pipeline.storage.location import LocationField
from pipeline.translate.config import TranslateConfig, TranslateResources


@flow(log_prints=True)
def translate_corpus(
    source: LocationField,
    table: LocationField,
    models: Path,
    model: str = CHAMPION,
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    retry_quarantine_of: str | None = None,
) -> str | None:
    """Translate the rows that are new or changed since the last run, and publish them as one run.

    Args:
        source: the lake, a file or folder on this machine or on S3.
        table: the translation table, on this machine or on S3.
        models: folder of models.
        model: a model's name in that folder, its path, or ``champion``.
        config: columns, policies and decoding.
        resources: actors and Ray cluster.
        retry_quarantine_of: name or number of a run. If given, the flow retries the quarantined
            rows of that run and does not read ``source``.

    Returns:
        the id of the published run, or None if there was nothing to translate.
    """
    bundle = find_model(model, models)
    if retry_quarantine_of is None:
        manifest = translate_new_rows(source, bundle, table, config, resources)
    else:
        manifest = retry_quarantined_rows(retry_quarantine_of, bundle, table, config, resources)
    show_run(table, manifest)
    return manifest.run_id if manifest is not None else None
