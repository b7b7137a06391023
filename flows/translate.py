"""Flow ``translate-corpus``: what is new in a lake to a run of a translation table."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_run
from flows.stages import find_model, replay_rows, translate_new_rows
from pipeline.storage.location import LocationField
from pipeline.translate.config import TranslateConfig, TranslateResources


@flow(log_prints=True)
def translate_corpus(
    source: LocationField,
    table: LocationField,
    models: Path,
    model: str = "champion",
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    replay: str | None = None,
) -> str | None:
    """Translate the rows that the table does not have yet, and publish them as one run.

    Args:
        source: a file or folder, here or on S3.
        table: the translation table, here or on S3.
        models: folder of models.
        model: a name in ``models``, or ``champion``.
        config: columns and policies.
        resources: what it runs on.
        replay: a run, by name or number: try its quarantine again, and leave ``source`` alone.

    Returns:
        the run's name, or None where nothing was new.
    """
    bundle = find_model(model, models)
    if replay is None:
        manifest = translate_new_rows(source, bundle, table, config, resources)
    else:
        manifest = replay_rows(replay, bundle, table, config, resources)
    show_run(table, manifest)
    return manifest.run_id if manifest is not None else None
