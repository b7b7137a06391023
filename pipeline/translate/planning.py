"""Plans a translation run: which files changed, and the units to do.

Reads: the input files that changed, and the manifests of published runs.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from lingo_model import BundleManifest, InputError
from pipeline.lake.files import InspectedFile, input_files
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.files import absolute
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.storage.location import Location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    Lineage,
    RunManifest,
    RunPlan,
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
from pipeline.translate.row_ids import check_unique_ids
from pipeline.translate.run_config import run_config, settings_key_of

_IF_MOVED = "if the lake has a new location, run once with --lake moved"


def plan_run(
    run_id: str,
    source: Location,
    model: BundleManifest,
    config: TranslateConfig,
    published: list[RunManifest],
    lineage: Lineage,
) -> tuple[RunPlan, list[FileDecision]]:
    """Plan a run over a file or a folder of files.

    Args:
        run_id: the id of the new run.
        source: a file or folder.
        model: the manifest of the model's bundle.
        config: the settings of the run.
        published: the manifests of the table's runs, oldest first.
        lineage: where the model comes from.

    Returns:
        the plan, and the decision about each file.

    Raises:
        InputError: there is no file, a file cannot be read, or columns do not fit together.
    """
    planner = _Planner(source, model, config, published)
    return planner.plan(run_id, lineage), planner.decisions


class _Planner:
    """Collects the content of a plan, file by file."""

    def __init__(
        self,
        source: Location,
        model: BundleManifest,
        config: TranslateConfig,
        published: list[RunManifest],
    ) -> None:
        self._source = source
        self._model = model
        self._config = config
        self._published = published
        self._settings_key = settings_key_of(config, model)
        self._root, stamps = input_files(source)
        self._files: list[InputFile] = []
        self._schemas: dict[str, pa.Schema] = {}
        self._own_schemas: dict[str, pa.Schema] = {}
        self._deleted_files: list[str] = []
        self._n_units_skipped = 0
        self.decisions: list[FileDecision] = []
        if published:
            self._schemas["earlier runs"] = schema_of(published[-1].schema_base64)
        in_table = published_files(published)
        for path, stamp in stamps.items():
            self._add_file(path, stamp, in_table.pop(path, None))
        if config.lake == "snapshot":
            self._add_deleted_files(in_table)

    def plan(self, run_id: str, lineage: Lineage) -> RunPlan:
        """The plan of everything that was added."""
        names = (name for schema in self._own_schemas.values() for name in schema.names)
        check_names(self._source, self._config, names, self._published)
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
        if inspected.file.n_rows:
            self._own_schemas[path] = inspected.schema
        self._files.append(inspected.file)
        if published is not None and inspected.file.sha256 != published.seen.sha256:
            self._check_same_file(published)
            if not decision.units:
                self._deleted_files.append(path)

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
