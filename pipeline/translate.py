"""From any table or text to a translation table, exactly once, through Ray Data actors.

Reads: a file or folder, and a model bundle. Writes: one run of a table (``pipeline/table/manifest.py``).
Run: ``lingo translate INPUT --model BUNDLE --output TABLE``; again after an interruption, it goes
on where it stopped.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray.data
import torch
from pydantic import Field
from ray.data import ActorPoolStrategy, DataContext

from lingo_model import InputError, read_bundle_manifest, read_training
from lingo_model.engine import check_tier
from pipeline.cluster.failures import reason_of
from pipeline.cluster.ray_session import is_local, run_on_ray
from pipeline.errors import RunError
from pipeline.observability.progress import progress_bar
from pipeline.reconcile import reconcile
from pipeline.replay import plan_replay, replay_config
from pipeline.run_report import write_run_report
from pipeline.settings import Settings
from pipeline.storage.location import Location, absolute, location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    QUARANTINE,
    RUN_REPORT,
    Lineage,
    RunManifest,
    RunPlan,
    Unit,
    load_identity,
    load_plan,
    run_named,
    run_number,
)
from pipeline.table.published_files import PublishedFile, published_files
from pipeline.table.store import Table, new_run_name, open_table
from pipeline.unit_work import UnitTranslator
from pipeline.units import FileDecision, TranslateConfig, last_of_lake, plan_run, table_identity

# As many actors of one whole CPU as there are CPUs would leave none to the tasks that feed them.
_CPUS_PER_ACTOR = 0.5


# So that actors end at about the same time.
_MIN_TASKS_PER_ACTOR = 8


_RUNS_FOR_PACE = 10


class TranslateResources(Settings):
    """What a run may use. ``n_actors`` None: one for each GPU, without GPUs one for each CPU."""

    n_actors: int | None = Field(default=None, ge=1)
    ray_address: str | None = Field(
        default=None, description="a cluster, or 'local'; default RAY_ADDRESS, else local"
    )


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
                new_run_name(published), source, bundle, config, published, lineage_of(model)
            )
            before = last_of_lake(published)
            moved = config.lake == "moved" and before is not None and before.input != plan.input
            if not (plan.units or plan.files_gone or moved):
                return None
            table.create(identity)
            plan = table.begin(plan)
        wanted = {"input": str(source), "settings": config.model_dump(mode="json")}
        _check_same_run(table, plan, wanted | {"model_id": bundle.model_id})
        return _finish(table, plan, model, resources, watch)


def replay_quarantine(
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
    identity = load_identity(table.root)
    columns = identity.model_dump(include={"text_column", "id_column", "limit"})
    config = config.model_copy(update=columns)
    table.check_identity(table_identity(bundle, config))
    with table.locked():
        plan = table.unfinished()
        published = table.published()
        of = run_named(of_run, published)
        if plan is None:
            name = new_run_name(published)
            plan = plan_replay(name, of, table, published, bundle, config, lineage_of(model))
            if not plan.units:
                return None
            plan = table.begin(plan)
        wanted = {"replay_of": of.run, "settings": replay_config(config).model_dump(mode="json")}
        _check_same_run(table, plan, wanted | {"model_id": bundle.model_id})
        return _finish(table, plan, model, resources, watch)


def _finish(
    table: Table,
    plan: RunPlan,
    model: Path,
    resources: TranslateResources,
    watch: Callable[[int, int], None],
) -> RunManifest:
    _translate_units(table, plan, model, resources, watch)
    # On S3 another process may have published this very run by now.
    earlier = [run for run in table.published() if run_number(run.run) < run_number(plan.run)]
    return _publish(table, plan, published_files(earlier))


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a run would do. ``pace`` is the largest of the newest runs, if there is one;
    ``unfinished`` the name of a run that would be gone on with instead."""

    plan: RunPlan
    decisions: list[FileDecision]
    pace: RunManifest | None
    unfinished: str | None

    @property
    def n_rows(self) -> int:
        """Rows to translate."""
        return sum(unit.n_rows for unit in self.plan.units)

    @property
    def seconds(self) -> float | None:
        """How long that would take at the pace of that run."""
        rate = self.pace.rows_per_second if self.pace is not None else None
        return self.n_rows / rate if rate else None


def forecast(
    source: Location, model: Path, output: Location, config: TranslateConfig | None = None
) -> Forecast:
    """Plan a run without doing or writing anything.

    Raises:
        InputError: as :func:`translate_table`.
    """
    config = config if config is not None else TranslateConfig()
    bundle = read_bundle_manifest(model)
    table = open_table(output.resolve())
    table.check_identity(table_identity(bundle, config))
    unfinished = table.unfinished()
    published = table.published()
    plan, decisions = plan_run(
        new_run_name(published), absolute(source), bundle, config, published, lineage_of(model)
    )
    # Of a small run, start-up is the most: it says little of the pace.
    pace = max(published[-_RUNS_FOR_PACE:], key=lambda run: run.rows.n_input, default=None)
    return Forecast(plan, decisions, pace, unfinished.run if unfinished else None)


def forecast_text(found: Forecast, *, each_unit: bool) -> str:
    """A forecast for people; with ``each_unit``, a line for each unit and why."""
    lines = []
    if found.unfinished is not None:
        lines.append(f"run {found.unfinished} is unfinished: it would be gone on with, as planned")
    if each_unit:
        for decision in found.decisions:
            for unit in decision.units:
                rows = f"rows {unit.first_row + 1:,} to {unit.first_row + unit.n_rows:,}"
                verb = "translate" if decision.todo else "skip"
                lines.append(f"{verb} {unit.unit_id} {decision.path} {rows}: {decision.why}")
    by_reason: dict[tuple[bool, str], list[int]] = {}
    for decision in found.decisions:
        counts = by_reason.setdefault((decision.todo, decision.why), [0, 0, 0])
        n_rows = sum(unit.n_rows for unit in decision.units)
        for i, n in enumerate((1, len(decision.units), n_rows)):
            counts[i] += n
    for (todo, why), (n_files, n_units, n_rows) in sorted(by_reason.items(), reverse=True):
        verb = "translate" if todo else "skip"
        lines.append(f"{verb} {n_rows:,} rows, {n_units:,} units, {n_files:,} files: {why}")
    if found.pace is None or not found.seconds:
        lines.append(f"to translate: {found.n_rows:,} rows")
    else:
        lines.append(
            f"to translate: {found.n_rows:,} rows, about {found.seconds / 60:,.1f} minutes at "
            f"{found.pace.rows_per_second:,.0f} rows/s as in run {found.pace.run}"
        )
    return "\n".join(lines)


def lineage_of(model: Path) -> Lineage:
    """What a model's bundle says of where it comes from."""
    training = read_training(model)
    return Lineage(
        model=str(model.resolve()),
        dataset_fingerprint=read_bundle_manifest(model).dataset_fingerprint,
        corpus=tuple(training.get("corpus", ())),
    )


def abort_unfinished(output: Location) -> str | None:
    """Discard a table's unfinished run, also one whose plan is damaged; returns its name, or None
    where there is none. On S3 no other process may work on it.

    Raises:
        InputError: no table there, or another process writes to it.
    """
    load_identity(output)
    table = open_table(output)
    with table.locked():
        return table.discard_unfinished()


def _check_same_run(table: Table, plan: RunPlan, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if (found := getattr(plan, name)) != value:
            raise InputError(
                f"{table.root}: unfinished run {plan.run} has {name}={found!r}, not {value!r}; "
                "finish it with its own settings, or discard it with --abort"
            )


def _translate_units(
    table: Table,
    plan: RunPlan,
    model: Path,
    resources: TranslateResources,
    watch: Callable[[int, int], None],
) -> None:
    """Translate what is not staged yet."""
    staged = table.staged(plan)
    done_before = {path.name for path in staged.glob("part-*.parquet")}
    todo = [i for i, unit in enumerate(plan.units) if unit.file_name not in done_before]
    n_rows = sum(unit.n_rows for unit in plan.units)
    done = [n_rows - sum(plan.units[i].n_rows for i in todo)]

    n_may_fail = plan.settings["max_failed_share"] * n_rows
    n_failed = 0

    def on_ray() -> None:
        nonlocal n_failed
        for unit_number, failed in _receipts(table, plan, model, resources, todo):
            done[0] += plan.units[unit_number].n_rows
            n_failed += failed
            if n_failed > n_may_fail:  # whatever follows, reconciling would refuse it
                raise RunError(
                    f"{staged}: stopped after {n_failed:,} rows failed, more than "
                    f"max_failed_share={plan.settings['max_failed_share']} of {n_rows:,}; nothing "
                    f"was published: {QUARANTINE}/ there says why. Discard the run with --abort, "
                    "mend the cause and run again, or allow a larger share"
                )

    if not todo:
        return
    with progress_bar("translate", n_rows) as bar:
        shown = -1

        def on_poll() -> None:
            nonlocal shown
            if done[0] != shown:
                shown = done[0]
                bar.show(shown)
                watch(shown, n_rows)

        run_on_ray(on_ray, address=resources.ray_address, watch=on_poll)
        on_poll()


def task_groups(
    units: Sequence[Unit], todo: Sequence[int], n_actors: int, rows_per_task: int
) -> list[list[int]]:
    """The units of each task, by number: small ones of the same or neighbouring files together, up
    to ``rows_per_task``, but so that every actor gets several tasks."""
    n_rows = sum(units[i].n_rows for i in todo)
    most = min(rows_per_task, n_rows / (n_actors * _MIN_TASKS_PER_ACTOR))
    groups: list[list[int]] = []
    size = 0
    for i in todo:
        if not groups or size + units[i].n_rows > most:
            groups.append([])
            size = 0
        groups[-1].append(i)
        size += units[i].n_rows
    return groups


class _Actor:
    """What Ray Data runs: a UnitTranslator that takes tasks, each some units by number."""

    def __init__(self, table: str, run: str, model: str) -> None:
        # Paths, not the plan: an actor that died is started again from its small arguments alone.
        place = open_table(location(table))
        self._plan = load_plan(place.plan_file(run))
        staged = place.staged(self._plan)
        self._translator = UnitTranslator(staged, place.data, self._plan, Path(model))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        numbers = [int(number) for task in batch["task"] for number in task.split(",")]
        n_failed = [self._translator.translate(self._plan.units[i]) or 0 for i in numbers]
        return {"unit": np.array(numbers), "n_failed": np.array(n_failed)}


def _receipts(
    table: Table, plan: RunPlan, model: Path, resources: TranslateResources, todo: list[int]
) -> Any:
    """Numbers of units as they are done, and of their rows that failed; called with Ray running."""
    staged = table.staged(plan)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # we raise it ourselves
    context = DataContext.get_current()
    context.enable_progress_bars = False
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    n_actors = resources.n_actors or n_gpus or int(ray.cluster_resources().get("CPU", 1))
    groups = task_groups(plan.units, todo, n_actors, plan.settings["rows_per_unit"])
    tasks = [{"task": ",".join(map(str, group))} for group in groups]
    units = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
        _Actor,
        fn_constructor_args=(str(table.root), plan.run, str(model)),
        batch_size=1,
        compute=ActorPoolStrategy(size=min(n_actors, len(tasks))),
        num_cpus=_CPUS_PER_ACTOR,
        num_gpus=1 if n_gpus else 0,
    )
    try:
        for batch in units.iter_batches(batch_size=1, prefetch_batches=0):
            yield from zip(batch["unit"].tolist(), batch["n_failed"].tolist(), strict=True)
    except ray.exceptions.RayError as error:
        raise RunError(
            f"{staged}: translating failed ({reason_of(str(error))}); nothing was published: run "
            "the same command again to go on"
        ) from error


def _publish(table: Table, plan: RunPlan, before: dict[str, PublishedFile]) -> RunManifest:
    staged = table.staged(plan)
    result = reconcile(staged, plan, table.data, before)
    deferred = {unit.path for unit in result.deferred}
    deferred.update(set(plan.files_gone) - set(result.files_gone))
    manifest = RunManifest(
        **plan.model_dump(
            exclude={"files", "files_gone", "memory_runs", "units", "n_units_skipped"}
        ),
        # What is tried again says nothing of which version of its file the table has.
        files=tuple(
            file for file in plan.files if file.path not in deferred and not plan.replay_of
        ),
        files_gone=result.files_gone,
        finished_at=utc_now(),
        units=result.emitted,
        units_deferred=result.deferred,
        n_units_planned=plan.n_units_skipped + len(plan.units),
        n_units_skipped=plan.n_units_skipped,
        n_units_deferred=len(result.deferred),
        n_units_emitted=len(result.emitted),
        rows=result.rows,
        n_rows_retracted=result.n_rows_retracted,
        quarantined=dict(result.quarantined),
        measures=result.measures,
        n_placeholders_lost=result.n_placeholders_lost,
        n_truncated=result.n_truncated,
        row_id_digest=result.row_id_digest,
    )
    write_run_report(staged / RUN_REPORT, manifest)
    return table.publish(manifest)
