"""Planning a translation run: its units, and which of them are new.

Reads: the input files and the manifests of published runs. Writes: nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field

from lingo_model import BundleManifest, InputError
from pipeline.decode import DecodeConfig
from pipeline.lake import input_files, inspect_file, joined_schema, read_column
from pipeline.readers import TEXT_COLUMN
from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.segments import SEGMENTER_VERSION
from pipeline.settings import Settings
from pipeline.storage import fingerprint_of
from pipeline.table import (
    FORMAT_VERSION,
    InputFile,
    RunManifest,
    RunPlan,
    TableIdentity,
    Unit,
    run_folder,
    utc_now,
)

_PARTITION_KEYS = ("run_date", "run")
_ID_DIGITS = 24


class TranslateConfig(Settings):
    """Settings of ``translate``.

    ``limit`` takes the first rows of each file only, into a table of its own. ``rename`` gives
    input columns other names. ``on_new_model`` says whether rows that another model translated
    are translated again.
    """

    text_column: str = TEXT_COLUMN
    id_column: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
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


def plan_run(
    run: str,
    source: Path,
    model: BundleManifest,
    config: TranslateConfig,
    published: list[RunManifest],
) -> RunPlan:
    """Plan a run over a file or a folder of files.

    Raises:
        InputError: no file there, one that cannot be read, or columns that do not fit.
    """
    root, paths = input_files(source)
    files: list[InputFile] = []
    schemas: dict[str, pa.Schema] = {}
    for path in paths:
        file, found = inspect_file(path, root)
        schemas[file.path] = _renamed(path, found, config)
        files.append(file)
    schema = joined_schema(schemas)
    done = _published_ids(published, config)
    units = list(_units(files, model, config))
    new = [unit for unit in units if _id_that_counts(unit, config) not in done]
    memory_key = fingerprint_of([model.model_id, config.decode.fingerprint()])[:_ID_DIGITS]
    now = utc_now()
    return RunPlan(
        format_version=FORMAT_VERSION,
        run=run,
        run_date=now[:10],
        started_at=now,
        input=str(source.resolve()),
        model_id=model.model_id,
        source_lang=model.source_lang,
        target_lang=model.target_lang,
        settings=config.model_dump(mode="json"),
        memory_key=memory_key,
        memory_runs=tuple(run_folder(run) for run in published if run.memory_key == memory_key),
        schema_base64=base64.b64encode(schema.serialize().to_pybytes()).decode(),
        files=tuple(files),
        units=tuple(new),
        n_units_skipped=len(units) - len(new),
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


def planned_schema(plan: RunPlan) -> pa.Schema:
    """Schema of the input columns of a planned run."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(plan.schema_base64)))


def input_root(plan: RunPlan) -> Path:
    """The folder that a plan's paths are relative to."""
    source = Path(plan.input)
    return source if source.is_dir() else source.parent


def row_ids(unit: Unit) -> list[str]:
    """Ids of a unit's rows where the input has none of its own: of path and position."""
    rows = range(unit.first_row, unit.first_row + unit.n_rows)
    return [_digest(f"{unit.path}\x1f{row}") for row in rows]


def expected_row_ids(root: Path, units: Iterable[Unit], config: TranslateConfig) -> list[str]:
    """Ids of the rows that units of *one file* must give, computed from the input."""
    units = list(units)
    if config.id_column is None:
        return [row_id for unit in units for row_id in row_ids(unit)]
    ids = list(read_column(root / units[0].path, config.rename, config.id_column))
    return [
        str(row_id)
        for unit in units
        for row_id in ids[unit.first_row : unit.first_row + unit.n_rows]
    ]


def source_hash(text: str) -> str:
    """Hash of a source text, the same in every run."""
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _renamed(path: Path, schema: pa.Schema, config: TranslateConfig) -> pa.Schema:
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
    kind = schema.field(config.text_column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{path}: column {config.text_column!r} is {kind}: needs text; cast it")
    ours = {*TRANSLATION_COLUMNS.names, *QUARANTINE_COLUMNS.names, *_PARTITION_KEYS}
    if taken := [name for name in names if name.casefold() in ours]:
        raise InputError(
            f"{path}: column {taken[0]!r} has a name that the output uses itself; "
            f"use --rename {taken[0]}=source_{taken[0]}"
        )
    return schema


def _units(
    files: list[InputFile], model: BundleManifest, config: TranslateConfig
) -> Iterable[Unit]:
    # Of the settings, those that can change a row; how rows are cut into units shows in the range.
    settings = config.model_dump(
        mode="json",
        include={
            "text_column",
            "id_column",
            "rename",
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
    for file in files:
        n_rows = file.n_rows if config.limit is None else min(file.n_rows, config.limit)
        for first_row in range(0, n_rows, config.rows_per_unit):
            size = min(config.rows_per_unit, n_rows - first_row)
            content_id = fingerprint_of([file.path, file.sha256, first_row, size, settings])
            yield Unit(
                unit_id=fingerprint_of([content_id, model.model_id])[:_ID_DIGITS],
                content_id=content_id[:_ID_DIGITS],
                path=file.path,
                first_row=first_row,
                n_rows=size,
            )


def _id_that_counts(unit: Unit, config: TranslateConfig) -> str:
    return unit.content_id if config.on_new_model == "keep" else unit.unit_id


def _published_ids(published: list[RunManifest], config: TranslateConfig) -> set[str]:
    return {_id_that_counts(unit, config) for run in published for unit in run.units}
