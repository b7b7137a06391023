"""From any table or text to a translation table, exactly once, through Ray Data actors.

Reads: a file or folder, and a model bundle. Writes: one run of a table (``pipeline/table/manifest.py``).
Run: ``lingo translate INPUT --model BUNDLE --output TABLE``; again after an interruption, it goes
on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lingo_model import InputError, read_bundle_manifest
from lingo_model.engine import check_tier
from pipeline.cluster.ray_session import is_local
from pipeline.storage.files import absolute
from pipeline.storage.location import Location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    IDENTITY,
    RUN_REPORT,
    RunManifest,
    RunPlan,
    TableIdentity,
    run_named,
    run_number,
)
from pipeline.table.open_table import open_table
from pipeline.table.published_files import PublishedFile, published_files
from pipeline.table.table import Table, new_run_id
from pipeline.translate.actors import run_on_actors
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.forecast import lineage_of
from pipeline.translate.planning import last_of_lake, plan_run, table_identity
from pipeline.translate.reconcile import reconcile
from pipeline.translate.retry_quarantine import plan_retry, retry_config
from pipeline.translate.run_report import write_run_report


def translate_table(
    source: Location,
    model: Path,
    output: Location,
    config: TranslateConfig | None = None,
    resources: TranslateResources | None = None,
    *,
    watch: Callable[[int, int], None] = lambda n_done, n_rows: None,
) -> RunManifest | None:
    """Translate what is new in ``source`` and publish it as one run of the table ``output``.

    An unfinished run of the table is gone on with, as it was planned.

    Args:
        source: a file or folder, here or on S3. model: a bundle. output: the table, here or on S3.
        watch: called with rows done and rows in all as the run goes on.

    Returns:
        the published run's manifest, or None where there is nothing new. Its
        ``units_deferred`` lists what was left for the next run because the input changed.

    Raises:
        InputError: input, model and table do not fit together, the tier does not run on this
            machine, or another process writes there.
        RunError: actors failed, or the staged rows are not those of the input; nothing is
            published, and the same command goes on.
    """
    config = config if config is not None else TranslateConfig()
    resources = resources if resources is not None else TranslateResources()
    source, model, output = absolute(source), model.resolve(), output.resolve()
    bundle = read_bundle_manifest(model)
    if is_local(resources.ray_address):  # a cluster's machines may have what this one lacks
        check_tier(config.decode.tier, on_gpu=torch.cuda.is_available())
    table = open_table(output)
    identity = table_identity(bundle, config)
    table.check_identity(identity)
    with table.locked():
        plan = table.unfinished()
        if plan is None:
            published = table.published()
            plan, _ = plan_run(
                new_run_id(published), source, bundle, config, published, lineage_of(model)
            )
            before = last_of_lake(published)
            moved = config.lake == "moved" and before is not None and before.input != plan.input
            if not (plan.units or plan.deleted_files or moved):
                return None
            table.create(identity)
            plan = table.begin(plan)
        wanted = {"input": str(source), "settings": config.model_dump(mode="json")}
        _check_same_run(table, plan, wanted | {"model_id": bundle.model_id})
        return _finish(table, plan, model, resources, watch)


def retry_quarantine(
    of_run: str,
    model: Path,
    output: Location,
    config: TranslateConfig | None = None,
    resources: TranslateResources | None = None,
    *,
    watch: Callable[[int, int], None] = lambda n_done, n_rows: None,
) -> RunManifest | None:
    """Try the rows again that run ``of_run`` put into quarantine, and publish them as a run.

    Of rows that a later run has settled nothing is done, and of rows that could not be read
    neither: their file must be mended. An unfinished replay is gone on with.

    Args:
        of_run: a run's name or number. config: columns are the table's; other settings may differ,
            so that what was too long then is not now.

    Returns:
        the published run's manifest, or None where there is nothing to try.

    Raises:
        InputError: no such run, or as :func:`translate_table`.
        RunError: as :func:`translate_table`.
    """
    config = config if config is not None else TranslateConfig()
    resources = resources if resources is not None else TranslateResources()
    model, table = model.resolve(), open_table(output.resolve())
    bundle = read_bundle_manifest(model)
    identity = TableIdentity.load(table.root / IDENTITY)
    columns = identity.model_dump(include={"text_column", "id_column", "limit"})
    config = config.model_copy(update=columns)
    table.check_identity(table_identity(bundle, config))
    with table.locked():
        plan = table.unfinished()
        published = table.published()
        of = run_named(of_run, published)
        if plan is None:
            name = new_run_id(published)
            plan = plan_retry(name, of, table, published, bundle, config, lineage_of(model))
            if not plan.units:
                return None
            plan = table.begin(plan)
        wanted = {"retry_of": of.run_id, "settings": retry_config(config).model_dump(mode="json")}
        _check_same_run(table, plan, wanted | {"model_id": bundle.model_id})
        return _finish(table, plan, model, resources, watch)


def _finish(
    table: Table,
    plan: RunPlan,
    model: Path,
    resources: TranslateResources,
    watch: Callable[[int, int], None],
) -> RunManifest:
    run_on_actors(table, plan, model, resources, watch)
    # On S3 another process may have published this very run by now.
    earlier = [run for run in table.published() if run_number(run.run_id) < run_number(plan.run_id)]
    return _publish(table, plan, published_files(earlier))


def abort_unfinished(output: Location) -> str | None:
    """Discard a table's unfinished run, also one whose plan is damaged; returns its name, or None
    where there is none. On S3 no other process may work on it.

    Raises:
        InputError: no table there, or another process writes to it.
    """
    TableIdentity.load(output / IDENTITY)
    table = open_table(output)
    with table.locked():
        return table.discard_unfinished()


def _check_same_run(table: Table, plan: RunPlan, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if (found := getattr(plan, name)) != value:
            raise InputError(
                f"{table.root}: unfinished run {plan.run_id} has {name}={found!r}, not {value!r}; "
                "finish it with its own settings, or discard it with --abort"
            )


def _publish(table: Table, plan: RunPlan, before: dict[str, PublishedFile]) -> RunManifest:
    staged = table.staged(plan)
    result = reconcile(staged, plan, table.data, before)
    deferred = {unit.path for unit in result.deferred}
    deferred.update(set(plan.deleted_files) - set(result.deleted_files))
    manifest = RunManifest(
        **plan.model_dump(
            exclude={"files", "deleted_files", "memory_runs", "units", "n_units_skipped"}
        ),
        # What is tried again says nothing of which version of its file the table has.
        files=tuple(file for file in plan.files if file.path not in deferred and not plan.retry_of),
        deleted_files=result.deleted_files,
        finished_at=utc_now(),
        units=result.emitted,
        units_deferred=result.deferred,
        n_units_planned=plan.n_units_skipped + len(plan.units),
        n_units_skipped=plan.n_units_skipped,
        n_units_deferred=len(result.deferred),
        n_units_emitted=len(result.emitted),
        rows=result.rows,
        n_rows_deleted=result.n_rows_deleted,
        quarantined=dict(result.quarantined),
        measures=result.measures,
        n_placeholders_lost=result.n_placeholders_lost,
        n_truncated=result.n_truncated,
        row_id_digest=result.row_id_digest,
    )
    write_run_report(staged / RUN_REPORT, manifest)
    return table.publish(manifest)
