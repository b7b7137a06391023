"""Tells what a run would do.

Reads: the input files that changed, and the manifests of published runs.
Writes: nothing.
Run: ``lingo table plan INPUT --output TABLE``.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from lingo_model import read_bundle_manifest
from pipeline.storage.files import absolute, resolved
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest, RunPlan, SetAsideFile
from pipeline.table.open_table import open_table
from pipeline.table.table import new_run_id
from pipeline.translate.config import TranslateConfig
from pipeline.translate.decisions import FileDecision
from pipeline.translate.lineage import lineage_of
from pipeline.translate.planning import plan_run, table_identity
from pipeline.translate.publish import check_same_run, lake_request
from pipeline.translate.retraction import Retraction, retraction_of

_N_RUNS_FOR_SPEED = 10


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        plan: the run's plan.
        decisions: the decision about each file.
        reference_run: the largest of the newest runs, by whose speed the duration is estimated;
            None for a table without runs. Small runs consist mostly of start-up time.
        unfinished_id: the unfinished run that the next command would continue instead, if any.
        retraction: the rows that would leave ``latest``.
        retraction_refusal: why `lingo translate` would refuse to take so many rows out, if it does.
        notes: what a user should know about the lake.
    """

    plan: RunPlan
    decisions: list[FileDecision]
    reference_run: RunManifest | None
    unfinished_id: str | None
    retraction: Retraction
    retraction_refusal: str | None
    notes: tuple[str, ...]

    @property
    def n_rows(self) -> int:
        """Rows to translate."""
        return sum(unit.n_rows for unit in self.plan.units)

    @property
    def seconds(self) -> float | None:
        """Estimated duration; None if there is nothing to estimate it by."""
        rate = self.reference_run.rows_per_second if self.reference_run is not None else None
        return self.n_rows / rate if rate else None


def forecast_run(
    source: Location, model: Path, output: Location, config: TranslateConfig = TranslateConfig()
) -> Forecast:
    """Plan a run without doing or writing anything.

    Args:
        source: a file or folder, here or on S3.
        model: a model bundle.
        output: the table, here or on S3.
        config: columns, policies and decoding.

    Raises:
        InputError: see :func:`~pipeline.translate.stage.translate_table`.
    """
    bundle = read_bundle_manifest(model)
    table = open_table(resolved(output))
    table.check_identity(table_identity(bundle, config))
    unfinished = table.unfinished()
    if unfinished is not None:
        check_same_run(table, unfinished, lake_request(absolute(source), bundle, config))
    published = table.published()
    source = absolute(source)
    planned = plan_run(
        new_run_id(published),
        source,
        bundle,
        config,
        published,
        lineage_of(model),
        table=table.root,
    )
    retraction = retraction_of(planned.plan, published, table.data)
    newest = published[-_N_RUNS_FOR_SPEED:]
    reference_run = max(newest, key=lambda run: run.rows.n_input, default=None)
    return Forecast(
        planned.plan,
        planned.decisions,
        reference_run,
        unfinished.run_id if unfinished else None,
        retraction,
        retraction.refusal(planned.plan),
        planned.notes,
    )


def forecast_text(forecast: Forecast, *, each_unit: bool) -> str:
    """A forecast as text.

    Args:
        forecast: the forecast.
        each_unit: add a line for each unit, with the reason.
    """
    lines = []
    if forecast.unfinished_id is not None:
        lines.append(
            f"run {forecast.unfinished_id} is unfinished: `lingo translate` would continue it as "
            "planned"
        )
    if each_unit:
        lines += _unit_lines(forecast.decisions)
    lines += _summary_lines(forecast.decisions)
    lines += set_aside_lines(forecast.plan.set_aside)
    lines += [f"note: {note}" for note in forecast.notes]
    if forecast.retraction.n_rows:
        lines.append(
            f"{forecast.retraction.n_rows:,} of {forecast.retraction.n_rows_in_table:,} rows would "
            "leave `latest`"
        )
    if forecast.retraction_refusal is not None:
        lines.append(f"`lingo translate` would refuse: {forecast.retraction_refusal}")
    reference_run = forecast.reference_run
    if reference_run is None or not forecast.seconds:
        lines.append(f"to translate: {forecast.n_rows:,} rows")
    else:
        lines.append(
            f"to translate: {forecast.n_rows:,} rows, about {forecast.seconds / 60:,.1f} minutes "
            f"at {reference_run.rows_per_second:,.0f} rows/s, as in run {reference_run.run_id}"
        )
    return "\n".join(lines)


def set_aside_lines(files: Iterable[SetAsideFile]) -> list[str]:
    """A line for each bad file, with the reason."""
    return [f"set aside {file.path}: {file.reason}" for file in files]


def _unit_lines(decisions: list[FileDecision]) -> list[str]:
    lines = []
    for decision in decisions:
        verb = "translate" if decision.todo else "skip"
        for unit in decision.units:
            rows = f"rows {unit.first_row + 1:,} to {unit.first_row + unit.n_rows:,}"
            lines.append(f"{verb} {unit.unit_id} {decision.path} {rows}: {decision.why}")
    return lines


def _summary_lines(decisions: list[FileDecision]) -> list[str]:
    """A line for each reason, with its numbers of rows, units and files."""
    by_reason: dict[tuple[bool, str], list[FileDecision]] = defaultdict(list)
    for decision in decisions:
        if decision.is_set_aside:
            continue
        by_reason[decision.todo, decision.why].append(decision)
    lines = []
    for (todo, why), same_reason in sorted(by_reason.items(), key=lambda i: i[0], reverse=True):
        units = [unit for decision in same_reason for unit in decision.units]
        lines.append(
            f"{'translate' if todo else 'skip'} {sum(unit.n_rows for unit in units):,} rows, "
            f"{len(units):,} units, {len(same_reason):,} files: {why}"
        )
    return lines
