"""Finishes a run: does its units, reconciles the staged files with the input, and publishes."""

from __future__ import annotations

from typing import Any

from lingo_model import BundleManifest, InputError
from pipeline.storage.location import Location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import RUN_REPORT, RunManifest, RunPlan, run_number
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig
from pipeline.translate.reconcile import reconcile
from pipeline.translate.run_config import run_config
from pipeline.translate.run_report import write_run_report
from pipeline.translate.translation_run import RunUnits, TranslationRun


def finish_run(run: TranslationRun, run_units: RunUnits) -> RunManifest:
    """Do the unfinished units of a run, check the result and publish it.

    Raises:
        RunError: units cannot be done, or the staged rows are not the rows of the input.
    """
    run_units(run)
    # On S3 another process may have published this very run meanwhile.
    number = run_number(run.plan.run_id)
    earlier = [other for other in run.table.published() if run_number(other.run_id) < number]
    return _publish(run, earlier)


def lake_request(
    source: Location, model: BundleManifest, config: TranslateConfig
) -> dict[str, Any]:
    """The values that the plan of a run over a lake must have, by field.

    Args:
        source: the file or folder, absolute.
        model: the manifest of the model's bundle.
        config: the settings.
    """
    return {
        "retry_of": None,
        "input": str(source),
        "settings": config.model_dump(mode="json"),
        "model_id": model.model_id,
    }


def check_same_run(table: Table, plan: RunPlan, requested: dict[str, Any]) -> None:
    """Refuse to continue an unfinished run with other input or settings.

    Args:
        table: the table of the run.
        plan: the plan of the unfinished run.
        requested: the values that the plan must have, by field.

    Raises:
        InputError: names the first field that differs, its values and the remedy.
    """
    for name, value in requested.items():
        # A plan of an earlier release does not have the settings that came later.
        planned = (
            run_config(plan).model_dump(mode="json") if name == "settings" else getattr(plan, name)
        )
        if planned != value:
            key, planned, value = _first_difference(name, planned, value)
            raise InputError(
                f"{table.root}: unfinished run {plan.run_id} has {key}={planned!r}, not {value!r}; "
                "finish it with its own command and settings, or discard it with "
                f"`lingo table abort {table.root}`"
            )


def _first_difference(key: str, planned: Any, requested: Any) -> tuple[str, Any, Any]:
    """The dotted key of the first value that differs within two nested settings."""
    if isinstance(planned, dict) and isinstance(requested, dict):
        for name in sorted(planned.keys() | requested.keys()):
            if planned.get(name) != requested.get(name):
                return _first_difference(f"{key}.{name}", planned.get(name), requested.get(name))
    return key, planned, requested


def _publish(run: TranslationRun, earlier: list[RunManifest]) -> RunManifest:
    plan = run.plan
    result = reconcile(run.staged, plan, run.table.data, earlier)
    deferred = {unit.path for unit in result.deferred}
    deferred.update(set(plan.deleted_files) - set(result.deleted_files))
    manifest = RunManifest(
        **plan.model_dump(
            exclude={"files", "deleted_files", "memory_runs", "units", "n_units_skipped"}
        ),
        # A retry does not change which version of a file the table has.
        files=tuple(
            file for file in plan.files if file.path not in deferred and plan.retry_of is None
        ),
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
        n_rows_restored=result.n_rows_restored,
        quarantined=dict(result.quarantined),
        quality_signals=result.quality_signals,
        n_placeholders_lost=result.n_placeholders_lost,
        n_truncated=result.n_truncated,
        row_id_digest=result.row_id_digest,
    )
    write_run_report(run.staged / RUN_REPORT, manifest)
    return run.table.publish(manifest)
