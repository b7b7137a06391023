"""Counts the rows that a planned run would take out of ``latest``, and refuses too many.

A lake that is half gone, for example because a disk is not mounted, looks like a lake from which
half of the files were deleted.

Reads: the input's id column, and the row ids of the table.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from lingo_model import InputError
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest, RunPlan, Unit
from pipeline.table.published_files import published_files
from pipeline.translate.config import MIN_RETRACTED_ROWS
from pipeline.translate.input_columns import input_root
from pipeline.translate.row_ids import expected_row_ids
from pipeline.translate.run_config import run_config
from pipeline.translate.tombstones import LostIds, PublishedRowIds, deleted_row_ids


@dataclasses.dataclass(frozen=True)
class Retraction:
    """The rows that a run takes out of ``latest``.

    Attributes:
        n_rows: their number.
        n_rows_in_table: the rows of the newest versions of all files of the table.
    """

    n_rows: int
    n_rows_in_table: int

    def refusal(self, plan: RunPlan) -> str | None:
        """Why the plan's settings forbid to take out so many rows, and how to go on, if they do."""
        share = run_config(plan).max_retracted_share
        if self.n_rows <= max(share * self.n_rows_in_table, MIN_RETRACTED_ROWS):
            return None
        return (
            f"{plan.input}: {self.n_rows:,} of the table's {self.n_rows_in_table:,} rows are no "
            f"longer in the input, more than max_retracted_share={share}; check that the input is "
            "complete; if these rows are to leave `latest`, run once with --max-retracted-share 1"
        )


def check_retraction(plan: RunPlan, published: list[RunManifest], data: Location) -> None:
    """Refuse a plan that takes too many rows out of ``latest``.

    Args:
        plan: the plan.
        published: the manifests of the table's runs, oldest first.
        data: the folder of the published runs.

    Raises:
        InputError: says how to go on.
    """
    in_table = published_files(published)
    replaced = {*plan.deleted_files, *(unit.path for unit in plan.units)}
    n_rows = {path: _n_rows(file.units) for path, file in in_table.items()}
    # Usually no row ids need to be read: all rows of the files that changed would not be too many.
    largest = Retraction(
        sum(n for path, n in n_rows.items() if path in replaced), sum(n_rows.values())
    )
    if largest.refusal(plan) is not None:
        refusal = retraction_of(plan, published, data).refusal(plan)
        if refusal is not None:
            raise InputError(refusal)


def retraction_of(plan: RunPlan, published: list[RunManifest], data: Location) -> Retraction:
    """Count the rows that a planned run would take out of ``latest``.

    Args:
        plan: the plan.
        published: the manifests of the table's runs, oldest first.
        data: the folder of the published runs.
    """
    in_table = published_files(published)
    n_rows_in_table = sum(_n_rows(file.units) for file in in_table.values())
    config, root, table_ids = run_config(plan), input_root(plan), PublishedRowIds(data)
    units_by_path = {
        path: list(units)
        for path, units in itertools.groupby(plan.units, key=lambda unit: unit.path)
    }
    replaced = units_by_path | {path: [] for path in plan.deleted_files}
    if config.id_column is None:
        shrunk = (
            _n_rows(in_table[path].units) - _n_rows(units)
            for path, units in replaced.items()
            if path in in_table
        )
        return Retraction(sum(n for n in shrunk if n > 0), n_rows_in_table)
    lost = LostIds()
    for path, units in replaced.items():
        if (file := in_table.get(path)) is not None:
            lost.add(deleted_row_ids(table_ids, file, root, units, config), file.run.run_id)
    for units in units_by_path.values():
        if lost.remaining():
            lost.drop(expected_row_ids(root, units, config))
    lost.hidden_rows(table_ids, (file for path, file in in_table.items() if path not in replaced))
    return Retraction(len(lost.remaining()), n_rows_in_table)


def _n_rows(units: Iterable[Unit]) -> int:
    return sum(unit.n_rows for unit in units)
