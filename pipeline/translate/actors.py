"""Runs the units of a plan on Ray Data actors, each of which holds a model replica.

The only file of this stage that knows Ray.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext

from pipeline.cluster.failures import reason_in_traceback
from pipeline.cluster.ray_session import run_on_ray
from pipeline.errors import RunError
from pipeline.observability.progress import ProgressEvent, progress_bar
from pipeline.storage.location import location
from pipeline.table.manifest import RunPlan, Unit
from pipeline.table.open_table import open_table
from pipeline.translate.translation_run import RowCounter, TranslationRun
from pipeline.translate.unit_translator import UnitTranslator

# Actors that ask for a whole CPU each would leave no CPU for the tasks that feed them, and the run
# would wait for ever.
_CPUS_PER_ACTOR = 0.5
# With several tasks each, actors finish at about the same time.
_MIN_TASKS_PER_ACTOR = 8


def run_on_actors(run: TranslationRun) -> None:
    """Do the unfinished units of a run on Ray; see :class:`RunUnits`."""
    unfinished = run.unfinished_units()
    if not unfinished:
        return
    counter = RowCounter(run)

    def consume_receipts() -> None:
        for unit_number, n_failed in _receipts(run, unfinished):
            counter.count(unit_number, n_failed)

    n_rows = run.n_rows
    n_shown = -1
    with progress_bar("translate", n_rows) as bar:

        def show_progress() -> None:
            nonlocal n_shown
            if counter.n_done != n_shown:
                n_shown = counter.n_done
                bar.show(n_shown)
                run.on_progress(ProgressEvent(n_done=n_shown, n_total=n_rows))

        run_on_ray(consume_receipts, address=run.resources.ray_address, on_poll=show_progress)
        show_progress()


def _receipts(run: TranslationRun, unfinished: list[int]) -> Iterator[tuple[int, int]]:
    """Unit numbers as they are done, each with the number of its rows that failed.

    Ray must be running.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the error is raised below
    DataContext.get_current().enable_progress_bars = False
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    n_actors = run.resources.n_actors or n_gpus or int(ray.cluster_resources().get("CPU", 1))
    groups = task_groups(run.plan.units, unfinished, n_actors, run.config.rows_per_unit)
    tasks = [{"unit_numbers": group} for group in groups]
    results = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
        _Actor,
        fn_constructor_args=(str(run.table.root), run.plan.run_id, str(run.model)),
        batch_size=1,
        compute=ActorPoolStrategy(size=min(n_actors, len(tasks))),
        num_cpus=_CPUS_PER_ACTOR,
        num_gpus=1 if n_gpus else 0,
    )
    try:
        for batch in results.iter_batches(batch_size=1, prefetch_batches=0):
            yield from zip(batch["unit_number"].tolist(), batch["n_failed"].tolist(), strict=True)
    except ray.exceptions.RayError as error:
        raise RunError(
            f"{run.staged}: translation failed ({reason_in_traceback(str(error))}); nothing was "
            "published: run the same command again to continue"
        ) from error


class _Actor:
    """What Ray Data runs: a :class:`UnitTranslator` that takes tasks, each of them some units."""

    def __init__(self, table_root: str, run_id: str, model: str) -> None:
        # Paths, not the plan: Ray restarts a dead actor from its arguments, so they must be small.
        table = open_table(location(table_root))
        self._plan = RunPlan.load(table.plan_file(run_id))
        self._translator = UnitTranslator(
            table.staged(self._plan), table.data, self._plan, Path(model)
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        numbers = [int(number) for task in batch["unit_numbers"] for number in task]
        n_failed = [self._translator.translate(self._plan.units[i]).n_failed for i in numbers]
        return {"unit_number": np.array(numbers), "n_failed": np.array(n_failed)}


def task_groups(
    units: Sequence[Unit], unfinished: Sequence[int], n_actors: int, rows_per_task: int
) -> list[list[int]]:
    """The unit numbers of each task.

    Small neighbouring units share a task of up to ``rows_per_task`` rows. Tasks are small enough
    to give every actor several of them.
    """
    n_rows = sum(units[i].n_rows for i in unfinished)
    max_rows = min(rows_per_task, n_rows / (n_actors * _MIN_TASKS_PER_ACTOR))
    groups: list[list[int]] = []
    size = 0
    for i in unfinished:
        if not groups or size + units[i].n_rows > max_rows:
            groups.append([])
            size = 0
        groups[-1].append(i)
        size += units[i].n_rows
    return groups
