"""Translates the new rows of a lake into one run of a translation table, each exactly once.

Reads: a file or folder, and a model bundle.
Writes: one run of a table (``pipeline/table/manifest.py`` has the tree).
Run: ``lingo translate INPUT --model BUNDLE --output TABLE``. The same command continues a run that
was interrupted.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lingo_model import check_precision, read_bundle_manifest
from pipeline.cluster.ray_session import is_local
from pipeline.observability.progress import OnProgress, ignore_progress
from pipeline.storage.files import absolute
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest
from pipeline.table.open_table import open_table
from pipeline.table.table import new_run_id
from pipeline.translate.actors import run_on_actors
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.lineage import lineage_of
from pipeline.translate.planning import last_lake_run, plan_run, table_identity
from pipeline.translate.publish import check_same_run, finish_run, lake_request
from pipeline.translate.translation_run import RunUnits, TranslationRun


def translate_table(
    source: Location,
    model: Path,
    output: Location,
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    *,
    run_units: RunUnits = run_on_actors,
    on_progress: OnProgress = ignore_progress,
) -> RunManifest | None:
    """Translate the new rows of ``source`` and publish them as one run of the table ``output``.

    An unfinished run of the table is continued as it was planned.

    Args:
        source: a file or folder, here or on S3.
        model: a model bundle.
        output: the table, here or on S3.
        config: columns, policies and decoding.
        resources: the machines to use.
        run_units: does the units; by default on Ray Data actors.
        on_progress: called with the rows done and the rows in all as the run proceeds.

    Returns:
        the manifest of the published run, or None if nothing is new. ``units_deferred`` lists the
        units that are left for the next run because their file changed meanwhile.

    Raises:
        InputError: input, model and table do not fit together, this machine cannot run the
            precision, or another process writes to the table.
        RunError: actors failed, or the staged rows are not the rows of the input. Nothing is
            published; the same command continues the run.
    """
    source, model, output = absolute(source), model.resolve(), output.resolve()
    bundle = read_bundle_manifest(model)
    if is_local(resources.ray_address):  # the machines of a cluster may support more than this one
        check_precision(config.decode.precision, on_gpu=torch.cuda.is_available())
    table = open_table(output)
    identity = table_identity(bundle, config)
    table.check_identity(identity)
    with table.locked():
        plan = table.unfinished()
        if plan is None:
            published = table.published()
            run_id = new_run_id(published)
            plan, _ = plan_run(run_id, source, bundle, config, published, lineage_of(model))
            last = last_lake_run(published)
            has_moved = config.lake == "moved" and last is not None and last.input != plan.input
            if not (plan.units or plan.deleted_files or has_moved):
                return None
            table.create(identity)
            plan = table.begin(plan)
        check_same_run(table, plan, lake_request(source, bundle, config))
        run = TranslationRun(table, plan, model, resources, on_progress)
        return finish_run(run, run_units)
