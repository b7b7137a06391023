"""A run in progress, and the interface of the two ways to do its units.

:func:`~pipeline.translate.actors.run_on_actors` distributes units over Ray Data actors.
:func:`~pipeline.translate.in_process.run_in_process` does them in this process, one by one.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from pipeline.errors import RunError
from pipeline.observability.progress import OnProgress, ignore_progress
from pipeline.storage.files import files_in
from pipeline.storage.location import Location
from pipeline.table.manifest import QUARANTINE_FOLDER, RunPlan
from pipeline.table.table import Table
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.run_config import run_config


@dataclasses.dataclass(frozen=True)
class TranslationRun:
    """Everything that is needed to do the units of a plan."""

    table: Table
    plan: RunPlan
    model: Path
    resources: TranslateResources = TranslateResources()
    on_progress: OnProgress = ignore_progress

    @property
    def staged(self) -> Location:
        """The folder in which the run is built."""
        return self.table.staged(self.plan)

    @property
    def config(self) -> TranslateConfig:
        """The settings of the plan."""
        return run_config(self.plan)

    @property
    def n_rows(self) -> int:
        """Rows of all units of the plan."""
        return sum(unit.n_rows for unit in self.plan.units)

    def unfinished_units(self) -> list[int]:
        """Numbers of the units that have no file in the staging folder."""
        finished = {path.name for path in files_in(self.staged, "part-*.parquet")}
        return [i for i, unit in enumerate(self.plan.units) if unit.file_name not in finished]


class RunUnits(Protocol):
    """Does the unfinished units of a run. A unit is done once its file is in the staging folder."""

    def __call__(self, run: TranslationRun) -> None:
        """Return once every unit is finished or deferred.

        Raises:
            RunError: units cannot be done, or too many rows fail.
        """


class RowCounter:
    """Counts finished and failed rows, and stops a run in which too many rows fail."""

    def __init__(self, run: TranslationRun) -> None:
        self._run = run
        self._n_failed = 0
        self._n_rows = run.n_rows
        self._config = run.config
        unfinished = run.unfinished_units()
        self.n_done = self._n_rows - sum(run.plan.units[i].n_rows for i in unfinished)

    def count(self, unit_number: int, n_failed: int) -> None:
        """Count a unit as done.

        Raises:
            RunError: more rows failed than ``max_failed_share`` allows.
        """
        self.n_done += self._run.plan.units[unit_number].n_rows
        self._n_failed += n_failed
        if self._n_failed > self._config.max_failed_share * self._n_rows:
            raise RunError(
                too_many_failed(self._run.staged, self._config, self._n_failed, self._n_rows)
            )


def too_many_failed(staged: Location, config: TranslateConfig, n_failed: int, n_rows: int) -> str:
    """The message of a run in which more rows failed than ``max_failed_share`` allows."""
    return (
        f"{staged}: {n_failed:,} of {n_rows:,} rows failed, more than "
        f"max_failed_share={config.max_failed_share}; nothing was published. {QUARANTINE_FOLDER}/ "
        "in that folder has the reasons. Discard the run with `lingo table abort`, fix the cause "
        "and run the command again, or allow a larger share"
    )
