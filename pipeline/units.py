"""Planning a translation run: its units, and which of them are new.

Reads: the input files that changed, and the manifests of published runs. Writes: nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from lingo_model import BundleManifest, InputError
from pipeline.decode import DecodeConfig
from pipeline.documents.segmentation import SEGMENTER_VERSION
from pipeline.formats.rows import TEXT_COLUMN
from pipeline.lake.column_types import joined_schema
from pipeline.lake.files import Inspected, input_files, inspect_file
from pipeline.lake.range_reader import read_column
from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.settings import Settings
from pipeline.storage.file_version import FileStamp, InputFile
from pipeline.storage.hashing import fingerprint_of, hash64
from pipeline.storage.location import Location, absolute, location
from pipeline.storage.manifests import utc_now
from pipeline.table.manifest import (
    FORMAT_VERSION,
    Lineage,
    RunManifest,
    RunPlan,
    TableIdentity,
    Unit,
    run_folder,
    run_number,
    schema_of,
)
from pipeline.table.published_files import PublishedFile, published_files

ROW_ID = "row_id"

_PARTITION_KEYS = ("run_date", "run")
_KEY_DIGITS = 24

_IF_MOVED = "if the lake has moved, run once with --lake moved"


class TranslateConfig(Settings):
    """Settings of ``translate``.

    ``limit`` takes the first rows of each file only, into a table of its own. ``rename`` gives
    input columns other names. ``on_new_model`` says whether rows that another model translated
    are translated again. ``lake``: in one that ``grows``, rows of a file that is deleted stay; of a
    ``snapshot``, they are no more among the latest. ``moved`` is a lake that grows and lies
    elsewhere than it did.
    """

    text_column: str = TEXT_COLUMN
    id_column: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    lake: Literal["grows", "snapshot", "moved"] = "grows"
    rows_per_unit: int = Field(default=5000, ge=1, le=50_000)
    max_source_characters: int = Field(
        default=200_000, ge=1, description="a longer text goes to the quarantine"
    )
    max_segment_tokens: int = Field(default=128, ge=32, description="longer sentences are cut")
    reuse: bool = Field(default=True, description="take equal text from the translation memory")
    max_failed_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="of rows; with more, nothing is published"
    )
    on_new_model: Literal["keep", "retranslate"] = "keep"
    decode: DecodeConfig = DecodeConfig()
    limit: int | None = Field(default=None, ge=1)


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
        _check_ids(root, units, config)
    plan = new_plan(
        run,
        source,
        model,
        config,
        published,
        lineage=lineage,
        schema_base64=_written_schema(source, joined_schema(schemas)),
        files=tuple(files),
        files_gone=(*deleted, *emptied),
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
        memory_runs=tuple(run_folder(run) for run in published if run.memory_key == memory_key),
        **what,
    )


def _written_schema(source: Location, schema: pa.Schema) -> str:
    """The schema of all files as a plan holds it, if it can be written at all."""
    try:
        with pq.ParquetWriter(pa.BufferOutputStream(), schema):
            pass
    except pa.ArrowException as error:
        raise InputError(
            f"{source}: Parquet cannot hold its columns ({' '.join(str(error).split())}); leave "
            "that column out, or give it values"
        ) from error
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


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


def planned_schema(plan: RunPlan) -> pa.Schema:
    """Schema of the input columns of a planned run."""
    return schema_of(plan.schema_base64)


def input_root(plan: RunPlan) -> Location:
    """The folder that a plan's paths are relative to."""
    source = location(plan.input)
    return source if source.is_dir() else source.parent


def position_id(path: str, row: int) -> str:
    """Id of a row that has none of its own: of its file and its place there."""
    return _digest(f"{path}\x1f{row}")


def row_id(value: object, path: str, row: int) -> str:
    """Id of a row by the id column's value; an unreadable row may have none."""
    return position_id(path, row) if value is None else str(value)


def expected_row_ids(
    root: Location, units: Iterable[Unit], config: TranslateConfig
) -> Iterator[str]:
    """Ids of the rows that the units of *one file*, all of them, must give, from the input."""
    units = list(units)
    path, n_rows = units[0].path, sum(unit.n_rows for unit in units)
    if config.id_column is None:
        yield from (position_id(path, row) for row in range(n_rows))
        return
    column = read_column(root, path, config.rename, config.id_column)
    for row, (value, _) in enumerate(itertools.islice(column, n_rows)):
        yield row_id(value, path, row)


def source_hash(text: str) -> str:
    """Hash of a source text, the same in every run."""
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _decide(
    relative: str,
    stamp: FileStamp,
    root: Location,
    before: PublishedFile | None,
    model: BundleManifest,
    config: TranslateConfig,
    settings_key: str,
) -> tuple[FileDecision, Inspected | None]:
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
        why = f"content changed since run {before.run.run}"
    else:
        why = f"other settings than in run {before.run.run}"
    units = tuple(units_of(inspected, model, config))
    return FileDecision(inspected.file.path, why, units, todo=True), inspected


def _decide_of_same(
    before: PublishedFile, model: BundleManifest, config: TranslateConfig
) -> FileDecision:
    path = before.seen.path
    if before.model_id == model.model_id:
        return FileDecision(path, f"published in run {before.run.run}", before.units, todo=False)
    if config.on_new_model == "keep":
        why = f"published in run {before.run.run} by model {before.model_id}, on_new_model=keep"
        return FileDecision(path, why, before.units, todo=False)
    units = tuple(
        unit.model_copy(update={"unit_id": _unit_id(unit.content_id, model)})
        for unit in before.units
    )
    why = f"translated in run {before.run.run} by model {before.model_id}, on_new_model=retranslate"
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
        if run.settings["lake"] == "moved" and run_number(run.run) > run_number(before.run.run)
    ]
    if here.isdisjoint([before.run.input, *moved]):
        raise InputError(
            f"{root / path}: would replace the rows of another {path}, of {before.run.input}, "
            f"which run {before.run.run} read; give a folder that holds both, so that their paths "
            f"differ, or another table; {_IF_MOVED}"
        )


def last_of_lake(published: list[RunManifest]) -> RunManifest | None:
    """The newest run that read a lake, not a quarantine."""
    return next((run for run in reversed(published) if run.replay_of is None), None)


def _check_same_lake(source: Location, published: list[RunManifest]) -> None:
    """Refuse to take the files of one lake for deleted because another is given."""
    before = last_of_lake(published)
    if before is not None and before.input != str(absolute(source)):
        raise InputError(
            f"{source}: as a snapshot it would retract rows of {before.input}, which run "
            f"{before.run} read; give that input; {_IF_MOVED}"
        )


def _renamed(path: Location, schema: pa.Schema, config: TranslateConfig) -> pa.Schema:
    """The schema with columns renamed, checked against what the output needs."""
    schema = pa.schema([f.with_name(config.rename.get(f.name, f.name)) for f in schema])
    names = schema.names
    # SQL engines ignore case, so that Score beside score would be one column there.
    folded = [name.casefold() for name in names]
    if len(set(folded)) != len(folded):
        twice = next(name for name in names if folded.count(name.casefold()) > 1)
        raise InputError(f"{path}: column {twice!r} stands twice (case aside); use --rename")
    for column, option in ((config.text_column, "text"), (config.id_column, "id")):
        if column is not None and column not in names:
            raise InputError(
                f"{path}: has no column {column!r}: it has {', '.join(names) or 'none'}; "
                f"set --{option}-column"
            )
    at = schema.get_field_index(config.text_column)
    kind = schema.field(at).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        schema = schema.set(at, schema.field(at).with_type(kind))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{path}: column {config.text_column!r} is {kind}: needs text; cast it")
    if config.id_column is not None:
        kind = schema.field(config.id_column).type
        if pa.types.is_floating(kind) or pa.types.is_nested(kind):
            raise InputError(
                f"{path}: id column {config.id_column!r} is {kind}: needs text or whole numbers; "
                "cast it"
            )
    ours = {*TRANSLATION_COLUMNS.names, *QUARANTINE_COLUMNS.names, *_PARTITION_KEYS}
    if taken := [name for name in names if name.casefold() in ours]:
        raise InputError(
            f"{path}: column {taken[0]!r} has a name that the output uses itself; "
            f"use --rename {taken[0]}=source_{taken[0]}"
        )
    return schema


def settings_key_of(config: TranslateConfig, model: BundleManifest) -> str:
    """Of the settings that can change a row, and of how rows are cut into units; not the model."""
    settings = config.model_dump(
        mode="json",
        include={
            "text_column",
            "id_column",
            "rename",
            "rows_per_unit",
            "limit",
            "max_source_characters",
            "max_segment_tokens",
        },
    )
    settings |= {
        "segmenter": SEGMENTER_VERSION,
        "decode": config.decode.fingerprint(),
        "source_lang": model.source_lang,
        "target_lang": model.target_lang,
    }
    return fingerprint_of(settings)[:_KEY_DIGITS]


def _unit_id(content_id: str, model: BundleManifest) -> str:
    return fingerprint_of([content_id, model.model_id])[:_KEY_DIGITS]


def units_of(
    inspected: Inspected, model: BundleManifest, config: TranslateConfig
) -> Iterator[Unit]:
    """The units of a file, in order."""
    settings_key = settings_key_of(config, model)
    file = inspected.file
    n_rows = file.n_rows if config.limit is None else min(file.n_rows, config.limit)
    for first_row, size in unit_ranges(n_rows, inspected.group_rows, config.rows_per_unit):
        content = [file.path, file.sha256, first_row, size, settings_key]
        content_id = fingerprint_of(content)[:_KEY_DIGITS]
        yield Unit(
            unit_id=_unit_id(content_id, model),
            content_id=content_id,
            path=file.path,
            first_row=first_row,
            n_rows=size,
        )


def unit_ranges(
    n_rows: int, group_rows: list[int] | None, rows_per_unit: int
) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each unit of a file, ``rows_per_unit`` at most.

    Row groups are packed whole into units, as many as fit; larger ones are split.
    """
    first = end = 0
    for group_size in group_rows if group_rows is not None else [n_rows]:
        size = min(group_size, n_rows - end)
        if end + size - first > rows_per_unit and end > first:
            yield first, end - first
            first = end
        end += size
        while end - first > rows_per_unit:
            yield first, rows_per_unit
            first += rows_per_unit
    if end > first:
        yield first, end - first


def _check_ids(root: Location, units: Iterable[Unit], config: TranslateConfig) -> None:
    """Refuse ids that are null or stand twice among the rows of a run, before any work."""
    by_path: dict[str, list[Unit]] = {}
    for unit in units:
        by_path.setdefault(unit.path, []).append(unit)
    hashes = []
    for path, mine in by_path.items():
        n_rows = sum(unit.n_rows for unit in mine)
        assert config.id_column is not None
        column = read_column(root, path, config.rename, config.id_column)
        found = np.empty(n_rows, np.uint64)
        for row in range(n_rows):
            value, is_readable = next(column)
            if value is None and is_readable:
                raise InputError(
                    f"{path}: row {row + 1} has no value in the id column "
                    f"{config.id_column!r}; fill it, or leave --id-column out"
                )
            found[row] = hash64(row_id(value, path, row))
        hashes.append(found)
    if not hashes:
        return
    together = np.concatenate(hashes)
    values, counts = np.unique(together, return_counts=True)
    if (counts > 1).any():
        _name_the_double(root, by_path, config, set(values[counts > 1].tolist()))


def _name_the_double(
    root: Location, by_path: Mapping[str, list[Unit]], config: TranslateConfig, doubled: set[int]
) -> None:
    assert config.id_column is not None
    seen: dict[str, str] = {}
    for path, mine in by_path.items():
        column = read_column(root, path, config.rename, config.id_column)
        for row in range(sum(unit.n_rows for unit in mine)):
            value = row_id(next(column)[0], path, row)
            if hash64(value) not in doubled:
                continue
            place = f"row {row + 1} of {path}"
            if value in seen:
                raise InputError(
                    f"id column {config.id_column!r}: {value!r} stands in {seen[value]} and in "
                    f"{place}; make ids unique, or leave --id-column out"
                )
            seen[value] = place
