"""Plans a translation run: which files changed, and the units to do.

Reads: the input files that changed, and the manifests of published runs.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from lingo_model import BundleManifest, InputError
from pipeline.lake.files import InspectedFile, count_of, input_files
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.files import absolute
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.storage.location import Location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    Lineage,
    RunManifest,
    RunPlan,
    SetAsideFile,
    TableIdentity,
    run_number,
    run_path,
    schema_of,
)
from pipeline.table.published_files import PublishedFile, published_files
from pipeline.translate.column_names import check_names
from pipeline.translate.config import TranslateConfig
from pipeline.translate.decisions import FileDecision, decide_file
from pipeline.translate.input_columns import encoded_schema, joined_columns, output_schema
from pipeline.translate.lake_checks import check_apart, overwrite_notes
from pipeline.translate.row_ids import check_unique_ids
from pipeline.translate.run_config import run_config, settings_key_of

_IF_MOVED = "if the lake has a new location, run once with --lake moved"


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """A plan, and what a user is told about it.

    Attributes:
        plan: the plan.
        decisions: the decision about each file.
        notes: what a user should know about the lake, one sentence each.
    """

    plan: RunPlan
    decisions: list[FileDecision]
    notes: tuple[str, ...]

    @property
    def n_rows_in_lake(self) -> int:
        """Rows of the files that are in the lake and can be read."""
        deleted = set(self.plan.deleted_files)
        return sum(
            unit.n_rows
            for decision in self.decisions
            if decision.path not in deleted
            for unit in decision.units
        )


def plan_run(
    run_id: str,
    source: Location,
    model: BundleManifest,
    config: TranslateConfig,
    published: list[RunManifest],
    lineage: Lineage,
    *,
    table: Location,
) -> PlannedRun:
    """Plan a run over a file or a folder of files.

    Args:
        run_id: the id of the new run.
        source: a file or folder.
        model: the manifest of the model's bundle.
        config: the settings of the run.
        published: the manifests of the table's runs, oldest first.
        lineage: where the model comes from.
        table: the folder of the table. It may be missing.

    Raises:
        InputError: there is no file, no file can be used, a file or folder cannot be read, columns
            do not fit together, or one of the lake and the table is in the other.
    """
    planner = _Planner(source, model, config, published, table)
    return PlannedRun(planner.plan(run_id, lineage), planner.decisions, tuple(planner.notes()))


class _Planner:
    """Collects the content of a plan, file by file."""

    def __init__(
        self,
        source: Location,
        model: BundleManifest,
        config: TranslateConfig,
        published: list[RunManifest],
        table: Location,
    ) -> None:
        self._source = source
        self._model = model
        self._config = config
        self._published = published
        self._settings_key = settings_key_of(config, model)
        self._lake = input_files(source)
        self._root = self._lake.root
        check_apart(self._lake, source, table)
        self._files: list[InputFile] = []
        self._new_files: list[InputFile] = []
        self._schemas: dict[str, pa.Schema] = {}
        self._own_names: set[str] = set()
        self._own_schemas: dict[str, pa.Schema] = {}
        self._deleted_files: list[str] = []
        self._n_units_skipped = 0
        self.decisions: list[FileDecision] = []
        if published:
            self._schemas["earlier runs"] = schema_of(published[-1].schema_base64)
        in_table = published_files(published)
        self._present = in_table.keys() & self._lake.stamps.keys()
        for path, stamp in self._lake.stamps.items():
            self._add_file(path, stamp, in_table.pop(path, None))
        self._check_any_good()
        # A file that is skipped is still there, so its rows stay.
        self._gone = {
            path: file for path, file in in_table.items() if not self._lake.is_skipped(path)
        }
        if config.lake == "snapshot":
            self._add_deleted_files(self._gone)

    def notes(self) -> Iterator[str]:
        """What a user should know about the lake."""
        if self._lake.temporary_files:
            yield f"skipped {count_of(self._lake.temporary_files, 'temporary file')} in the input"
        for link, target in self._lake.skipped_links.items():
            yield (
                f"{self._root / link}: a link to {target}, which is part of the input or holds it; "
                "it is not followed, so that no file is read twice"
            )
        if self._config.lake != "snapshot" and self._config.id_column is None:
            yield from overwrite_notes(self._root, self._new_files, self._gone, self._present)

    def plan(self, run_id: str, lineage: Lineage) -> RunPlan:
        """The plan of everything that was added."""
        check_names(self._source, self._config, self._own_names, self._published)
        for path, schema in self._own_schemas.items():
            self._schemas[path] = output_schema(self._root / path, schema, self._config)
        units = tuple(unit for file in self.decisions if file.todo for unit in file.units)
        check_unique_ids(self._root, units, self._config)
        return new_plan(
            run_id,
            self._source,
            self._model,
            self._config,
            self._published,
            lineage=lineage,
            schema_base64=encoded_schema(self._source, joined_columns(self._schemas, self._config)),
            files=tuple(self._files),
            deleted_files=tuple(self._deleted_files),
            units=units,
            set_aside=tuple(
                SetAsideFile(path=decision.path, reason=decision.why)
                for decision in self.decisions
                if decision.is_set_aside
            ),
            n_units_skipped=self._n_units_skipped,
        )

    def _add_file(self, path: str, stamp: FileStamp, published: PublishedFile | None) -> None:
        decision, inspected = decide_file(
            self._root, path, stamp, published, self._model, self._config, self._settings_key
        )
        self.decisions.append(decision)
        if not decision.todo:
            self._n_units_skipped += len(decision.units)
        if inspected is not None:
            self._add_inspected(inspected, decision, published)
        elif decision.todo and published is not None:
            self._files.append(published.seen)

    def _add_inspected(
        self, inspected: InspectedFile, decision: FileDecision, published: PublishedFile | None
    ) -> None:
        path = inspected.file.path
        self._own_names.update(inspected.schema.names)
        if inspected.file.n_rows:
            self._own_schemas[path] = inspected.schema
        self._files.append(inspected.file)
        if published is None:
            self._new_files.append(inspected.file)
        if published is not None and inspected.file.sha256 != published.seen.sha256:
            self._check_same_file(published)
            if not decision.units:
                self._deleted_files.append(path)

    def _check_any_good(self) -> None:
        """Refuse an input in which no file can be used."""
        if self.decisions and all(decision.is_set_aside for decision in self.decisions):
            first, *others = self.decisions
            more = f" (and {len(others):,} more files cannot be used)" if others else ""
            raise InputError(f"{self._root / first.path}: {first.why}{more}")

    def _add_deleted_files(self, in_table: dict[str, PublishedFile]) -> None:
        """Add the files of the table that the lake no longer has."""
        if in_table:
            self._check_same_lake()
        deleted = sorted(in_table)
        self._deleted_files = [*deleted, *self._deleted_files]
        self.decisions += [
            FileDecision(path, "deleted", in_table[path].units, todo=False) for path in deleted
        ]

    def _check_same_file(self, published: PublishedFile) -> None:
        """Refuse a file that has the path of another file of another lake."""
        if self._config.lake == "moved":
            return
        path, run = published.seen.path, published.run
        now = {str(absolute(p)) for p in (self._source, self._root, self._root / path)}
        moved_to = [
            later.input
            for later in self._published
            if later.retry_of is None
            and run_config(later).lake == "moved"
            and run_number(later.run_id) > run_number(run.run_id)
        ]
        if now.isdisjoint([run.input, *moved_to]):
            raise InputError(
                f"{self._root / path}: would replace the rows of another file {path}, which run "
                f"{run.run_id} read from {run.input}; give a folder that holds both, so that "
                f"their paths differ, or use another table; {_IF_MOVED}"
            )

    def _check_same_lake(self) -> None:
        """Refuse a snapshot of another lake: all files of the first would count as deleted."""
        last = last_lake_run(self._published)
        if last is not None and last.input != str(absolute(self._source)):
            raise InputError(
                f"{self._source}: as a snapshot it would delete the rows of {last.input}, which "
                f"run {last.run_id} read; give that input; {_IF_MOVED}"
            )


def last_lake_run(published: list[RunManifest]) -> RunManifest | None:
    """The newest run over a lake, which a retry is not."""
    return next((run for run in reversed(published) if run.retry_of is None), None)


def is_worth_a_run(plan: RunPlan, config: TranslateConfig, published: list[RunManifest]) -> bool:
    """Whether a plan changes the table: its rows, its lake or the list of bad files."""
    last = last_lake_run(published)
    known = set() if last is None else set(last.set_aside)
    return bool(
        plan.units
        or plan.deleted_files
        or (config.lake == "moved" and last is not None and last.input != plan.input)
        or set(plan.set_aside) - known
    )


def new_plan(
    run_id: str,
    source: Location,
    model: BundleManifest,
    config: TranslateConfig,
    published: Iterable[RunManifest],
    **content: Any,
) -> RunPlan:
    """A plan that starts now.

    Args:
        run_id: the id of the new run.
        source: the input.
        model: the manifest of the model's bundle.
        config: the settings of the run.
        published: the manifests of the table's runs. The run may use their translation memory.
        content: the other fields of the plan.
    """
    now = utc_now()
    memory_key = fingerprint_of([model.model_id, config.decode.fingerprint()])[:KEY_DIGITS]
    return RunPlan(
        format_version=RunPlan.FORMAT_VERSION,
        run_id=run_id,
        run_date=now.date(),
        started_at=now,
        input=str(absolute(source)),
        model_id=model.model_id,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        settings=config.model_dump(mode="json"),
        settings_key=settings_key_of(config, model),
        memory_key=memory_key,
        memory_runs=tuple(run_path(run) for run in published if run.memory_key == memory_key),
        **content,
    )


def table_identity(model: BundleManifest, config: TranslateConfig) -> TableIdentity:
    """The identity of a table that takes this model's translations with these settings."""
    return TableIdentity(
        format_version=TableIdentity.FORMAT_VERSION,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        text_column=config.text_column,
        id_column=config.id_column,
        limit=config.limit,
    )
