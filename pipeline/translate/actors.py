"""Runs the units of a plan on Ray Data actors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from pipeline.cluster.failures import reason_in_traceback
from pipeline.cluster.ray_session import run_on_ray
from pipeline.errors import RunError
from pipeline.observability.progress import progress_bar
from pipeline.storage.location import location
from pipeline.table.manifest import QUARANTINE_FOLDER, RunPlan, Unit
from pipeline.table.open_table import open_table
from pipeline.table.table import Table
from pipeline.translate.config import TranslateResources
from pipeline.translate.unit_translator import UnitTranslator

# As many actors of one whole CPU as there are CPUs would leave none to the tasks that feed them.
_CPUS_PER_ACTOR = 0.5

# So that actors end at about the same time.
_MIN_TASKS_PER_ACTOR = 8


def run_on_actors(
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
                    f"was published: {QUARANTINE_FOLDER}/ there says why. Discard the run with --abort, "
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

        run_on_ray(on_ray, address=resources.ray_address, on_poll=on_poll)
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
        self._plan = RunPlan.load(place.plan_file(run))
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
        fn_constructor_args=(str(table.root), plan.run_id, str(model)),
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
            f"{staged}: translating failed ({reason_in_traceback(str(error))}); nothing was "
            "published: run the same command again to go on"
        ) from error
