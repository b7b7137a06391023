"""Planning a translation run: its units, and which of them are new.

Reads: the input files that changed, and the manifests of published runs. Writes: nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from lingo_model import BundleManifest, InputError
from pipeline.lake.column_types import joined_schema
from pipeline.lake.files import InspectedFile, input_files, inspect_file
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.files import absolute
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.location import Location, location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    FORMAT_VERSION,
    Lineage,
    RunManifest,
    RunPlan,
    TableIdentity,
    Unit,
    run_number,
    run_path,
    schema_of,
)
from pipeline.table.published_files import PublishedFile, published_files
from pipeline.translate.config import _KEY_DIGITS, TranslateConfig, settings_key_of
from pipeline.translate.input_columns import _renamed, encoded_schema
from pipeline.translate.row_ids import check_unique_ids
from pipeline.translate.units import _unit_id, units_of

_IF_MOVED = "if the lake has moved, run once with --lake moved"


@dataclasses.dataclass(frozen=True, slots=True)
class FileDecision:
    """What a plan does with a file: its units, whether they are to be done now, and why."""

    path: str
    why: str
    units: tuple[Unit, ...]
    todo: bool


def plan_run(
    run: str,
    source: Location,
    model: BundleManifest,
    config: TranslateConfig,
    published: list[RunManifest],
    lineage: Lineage,
) -> tuple[RunPlan, list[FileDecision]]:
    """Plan a run over a file or a folder of files, and say why of each file.

    A file with the size and modification time that the table knows is not opened.

    Raises:
        InputError: no file there, one that cannot be read, or columns that do not fit.
    """
    root, stamps = input_files(source)
    known = published_files(published)
    settings_key = settings_key_of(config, model)
    files: list[InputFile] = []
    schemas: dict[str, pa.Schema] = {}
    decisions: list[FileDecision] = []
    emptied: list[str] = []
    if published:
        schemas["earlier runs"] = schema_of(published[-1].schema_base64)
    for relative, stamp in stamps.items():
        before = known.pop(relative, None)
        decision, inspected = _decide(relative, stamp, root, before, model, config, settings_key)
        decisions.append(decision)
        if inspected is not None:
            if inspected.file.n_rows:
                schemas[relative] = _renamed(root / relative, inspected.schema, config)
            files.append(inspected.file)
            if before is not None and inspected.file.sha256 != before.seen.sha256:
                if config.lake != "moved":
                    _check_same_file(source, root, before, published)
                if not decision.units:
                    emptied.append(relative)
        elif decision.todo and before is not None:
            files.append(before.seen)
    deleted = sorted(known) if config.lake == "snapshot" else []
    if deleted:
        _check_same_lake(source, published)
    decisions += [FileDecision(path, "deleted", known[path].units, todo=False) for path in deleted]
    units = tuple(unit for decision in decisions if decision.todo for unit in decision.units)
    if config.id_column is not None:
        check_unique_ids(root, units, config)
    plan = new_plan(
        run,
        source,
        model,
        config,
        published,
        lineage=lineage,
        schema_base64=encoded_schema(source, joined_schema(schemas)),
        files=tuple(files),
        deleted_files=(*deleted, *emptied),
        units=units,
        n_units_skipped=sum(
            len(decision.units)
            for decision in decisions
            if not decision.todo and decision.path not in known
        ),
    )
    return plan, decisions


def new_plan(
    run: str,
    source: Location,
    model: BundleManifest,
    config: TranslateConfig,
    published: Iterable[RunManifest],
    **what: Any,
) -> RunPlan:
    """A plan as of now.

    Args:
        source: the input. published: the table's runs, whose memory the run may use.
        what: the fields of the plan that say what is done.
    """
    now = utc_now()
    memory_key = fingerprint_of([model.model_id, config.decode.fingerprint()])[:_KEY_DIGITS]
    return RunPlan(
        format_version=FORMAT_VERSION,
        run=run,
        run_date=now[:10],
        started_at=now,
        input=str(absolute(source)),
        model_id=model.model_id,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        settings=config.model_dump(mode="json"),
        settings_key=settings_key_of(config, model),
        memory_key=memory_key,
        memory_runs=tuple(run_path(run) for run in published if run.memory_key == memory_key),
        **what,
    )


def table_identity(model: BundleManifest, config: TranslateConfig) -> TableIdentity:
    """What a table must agree on to take this model's translations with these settings."""
    return TableIdentity(
        format_version=FORMAT_VERSION,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        text_column=config.text_column,
        id_column=config.id_column,
        limit=config.limit,
    )


def input_root(plan: RunPlan) -> Location:
    """The folder that a plan's paths are relative to."""
    source = location(plan.input)
    return source if source.is_dir() else source.parent


def _decide(
    relative: str,
    stamp: FileStamp,
    root: Location,
    before: PublishedFile | None,
    model: BundleManifest,
    config: TranslateConfig,
    settings_key: str,
) -> tuple[FileDecision, InspectedFile | None]:
    """What to do with a file, which is opened only where it differs from what the table knows."""
    same_settings = before is not None and before.settings_key == settings_key
    if before is not None and same_settings and stamp == before.seen.stamp:
        return _decide_of_same(before, model, config), None
    inspected = inspect_file(root, relative)
    if before is not None and same_settings and inspected.file.sha256 == before.seen.sha256:
        return _decide_of_same(before, model, config), inspected
    if before is None:
        why = "new file"
    elif inspected.file.sha256 != before.seen.sha256:
        why = f"content changed since run {before.run.run_id}"
    else:
        why = f"other settings than in run {before.run.run_id}"
    units = tuple(units_of(inspected, model, config))
    return FileDecision(inspected.file.path, why, units, todo=True), inspected


def _decide_of_same(
    before: PublishedFile, model: BundleManifest, config: TranslateConfig
) -> FileDecision:
    path = before.seen.path
    if before.model_id == model.model_id:
        return FileDecision(path, f"published in run {before.run.run_id}", before.units, todo=False)
    if config.on_new_model == "keep":
        why = f"published in run {before.run.run_id} by model {before.model_id}, on_new_model=keep"
        return FileDecision(path, why, before.units, todo=False)
    units = tuple(
        unit.model_copy(update={"unit_id": _unit_id(unit.content_id, model)})
        for unit in before.units
    )
    why = f"translated in run {before.run.run_id} by model {before.model_id}, on_new_model=retranslate"
    return FileDecision(path, why, units, todo=True)


def _check_same_file(
    source: Location, root: Location, before: PublishedFile, published: list[RunManifest]
) -> None:
    """Refuse to take a file for the newer version of one of the same name in another place."""
    path = before.seen.path
    here = {str(absolute(place)) for place in (source, root, root / path)}
    moved = [
        run.input
        for run in published
        if run.settings["lake"] == "moved"
        and run_number(run.run_id) > run_number(before.run.run_id)
    ]
    if here.isdisjoint([before.run.input, *moved]):
        raise InputError(
            f"{root / path}: would replace the rows of another {path}, of {before.run.input}, "
            f"which run {before.run.run_id} read; give a folder that holds both, so that their paths "
            f"differ, or another table; {_IF_MOVED}"
        )


def last_of_lake(published: list[RunManifest]) -> RunManifest | None:
    """The newest run that read a lake, not a quarantine."""
    return next((run for run in reversed(published) if run.retry_of is None), None)


def _check_same_lake(source: Location, published: list[RunManifest]) -> None:
    """Refuse to take the files of one lake for deleted because another is given."""
    before = last_of_lake(published)
    if before is not None and before.input != str(absolute(source)):
        raise InputError(
            f"{source}: as a snapshot it would retract rows of {before.input}, which run "
            f"{before.run} read; give that input; {_IF_MOVED}"
        )
