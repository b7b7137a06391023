"""Says what a run would do, without doing it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lingo_model import read_bundle_manifest, read_training
from pipeline.storage.files import absolute
from pipeline.storage.location import Location
from pipeline.table.manifest import Lineage, RunManifest, RunPlan
from pipeline.table.open_table import open_table
from pipeline.table.table import new_run_id
from pipeline.translate.config import TranslateConfig
from pipeline.translate.planning import FileDecision, plan_run, table_identity

_RUNS_FOR_PACE = 10


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
        new_run_id(published), absolute(source), bundle, config, published, lineage_of(model)
    )
    # Of a small run, start-up is the most: it says little of the pace.
    pace = max(published[-_RUNS_FOR_PACE:], key=lambda run: run.rows.n_input, default=None)
    return Forecast(plan, decisions, pace, unfinished.run_id if unfinished else None)


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
